"""What a capture holds of TLS sessions: their randoms, and records by which a secret is proven."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """A record of TLS (RFC 8446, 5.1).

    Attributes:
        header: Type, version and length.
        body: What follows; encrypted, in records that are kept.
    """

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A session of which a capture has at least both hellos.

    Attributes:
        client_random: 32 bytes.
        server_random: 32 bytes.
        suite: The cipher suite's number.
        version: `TLS 1.2` or `TLS 1.3`.
        resumed: Whether it goes on with what an earlier session agreed upon, by a ticket or a session id.
        client: The first encrypted records of the client.
        server: Those of the server.
        server_name: The name of the server that the client asked for.
        certificate: The server's certificate, in DER; empty if it was not sent, and in TLS 1.3, which encrypts it.
    """

    client_random: bytes
    server_random: bytes
    suite: int
    version: str
    resumed: bool
    client: tuple[Record, ...]
    server: tuple[Record, ...]
    server_name: str | None = None
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class Capture:
    """The TLS sessions of a capture.

    Attributes:
        sessions: In the order of their first packets.
        problems: What could not be read, a sentence each.
    """

    sessions: tuple[RecordedSession, ...]
    problems: tuple[str, ...] = ()

    def describe(self) -> str:
        """Say what there is, in one line."""
        if not self.sessions:
            return "no TLS session begins in it"
        resumed = sum(session.resumed for session in self.sessions)
        parts = [f"{sum(each.version == version for each in self.sessions)} of {version}" for version in self._versions]
        return f"TLS sessions: {', '.join(parts)}; {resumed} of them resume another"

    @property
    def _versions(self) -> list[str]:
        return sorted({session.version for session in self.sessions})
