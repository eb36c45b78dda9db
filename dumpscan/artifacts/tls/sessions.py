"""What a TLS session is here: its secrets by the names of the key log, and what is known of it beside."""

from __future__ import annotations

from dataclasses import dataclass, field

CLIENT_RANDOM = "CLIENT_RANDOM"
CLIENT_HANDSHAKE = "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
SERVER_HANDSHAKE = "SERVER_HANDSHAKE_TRAFFIC_SECRET"
CLIENT_TRAFFIC = "CLIENT_TRAFFIC_SECRET_0"
SERVER_TRAFFIC = "SERVER_TRAFFIC_SECRET_0"
EXPORTER = "EXPORTER_SECRET"

OTHER_SIDE = {
    CLIENT_TRAFFIC: SERVER_TRAFFIC,
    SERVER_TRAFFIC: CLIENT_TRAFFIC,
    CLIENT_HANDSHAKE: SERVER_HANDSHAKE,
    SERVER_HANDSHAKE: CLIENT_HANDSHAKE,
}
CLIENT_UPDATED = "CLIENT_TRAFFIC_SECRET_N"
SERVER_UPDATED = "SERVER_TRAFFIC_SECRET_N"
"""What took their place by an update of keys (RFC 8446, 7.2), as OpenSSL calls it; Wireshark derives it itself."""
UNKNOWN_SIDE = "TRAFFIC_SECRET_0"
"""A traffic secret of which it is not known whose it is; the key log has no such name."""
VERSION_12 = "TLS 1.2"
VERSION_13 = "TLS 1.3"

BY_ORDER = "its place beside a proven secret says which it is; nothing checks it"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a session.

    Attributes:
        label: Its name in the key log.
        secret: The secret.
        address: Where it lies, or what it was derived from.
        length: Bytes there.
        proof: What was checked.
        derived: Whether the bytes at the address are not the secret, but what it follows from.
    """

    label: str
    secret: bytes = field(repr=False)
    address: int
    length: int
    proof: tuple[str, ...]
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Randoms:
    """The randoms of both sides.

    Attributes:
        client: 32 bytes.
        server: 32 bytes; empty if they are not known.
        proven: Whether keys in memory follow from them; otherwise only their place says whose they are.
        address: Where the client's lies in the object that holds both; None if that is not known.
    """

    client: bytes
    server: bytes = b""
    proven: bool = False
    address: int | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as far as it is known.

    Attributes:
        server_name: The name that the client asked for (RFC 6066, 3).
        certificate: The certificate of the side that the process is not, in DER; empty if it is not known.
    """

    server_name: str | None = None
    certificate: bytes = b""

    def or_else(self, other: Peer) -> Peer:
        """Return this with what only another knows."""
        return Peer(self.server_name or other.server_name, self.certificate or other.certificate)


@dataclass(frozen=True, slots=True)
class Session:
    """A session.

    Attributes:
        version: e.g. `TLS 1.3`.
        suite: The cipher suite, as far as it is known; empty if nothing of it is.
        secrets: Its secrets.
        randoms: None if they were not found.
        library: The library whose object holds it.
        structure: The name of that object.
        peer: Who is at the other end.
        resumed: Whether it goes on with what an earlier session agreed upon; None if no capture tells.
    """

    version: str
    suite: str
    secrets: tuple[Secret, ...]
    randoms: Randoms | None = None
    library: str | None = None
    structure: str | None = None
    peer: Peer = field(default_factory=Peer)
    resumed: bool | None = None
