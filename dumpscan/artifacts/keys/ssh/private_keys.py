"""Private keys as OpenSSH serializes them: in its key files, in messages to an agent, and in the memory of both.

A key is its type's name and its numbers. Such a key stands in the message SSH_AGENTC_ADD_IDENTITY (17), or
SSH_AGENTC_ADD_ID_CONSTRAINED (25), behind the message's type, and in the private section of a key file once that is
decrypted.

Sources: draft-ietf-sshm-ssh-agent, 3.2; `sshkey_private_serialize` in OpenSSH's `sshkey.c`; `PROTOCOL.u2f`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.ssh.wire import Strings, string_pattern
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

_WINDOW = 16 << 10
"""Bytes that hold any key: RSA with 16384 bits takes ten numbers of 1 KiB."""


def take_key(strings: Strings) -> PrivateKey | None:
    """Take the next key, and prove it.

    Returns:
        The key; None for one whose private half a security key holds.

    Raises:
        RefusedError: If it is none, or of a type that is not known.
    """
    kind = strings.string()
    if kind in _SECURITY_KEYS:
        for _ in range(_SECURITY_KEYS[kind]):
            strings.string()
        strings.take(1)  # flags
        for _ in range(2):  # the key's handle, and a reserved string
            strings.string()
        return None
    if kind not in _KINDS:
        raise RefusedError("a key of a type that is not known")
    return _KINDS[kind](strings)


def _rsa(strings: Strings) -> PrivateKey:
    n, e, d, coefficient, p, q = (strings.number() for _ in range(6))
    crt = (None, None, coefficient)
    return key_proof.rsa_key(modulus=n, exponent=e, p=p, q=q, private_exponent=d, crt=crt)


def _ec(strings: Strings) -> PrivateKey:
    curve, point, value = CURVES.get(strings.string()), strings.string(), strings.number()
    if curve is None:
        raise RefusedError("a curve that OpenSSH does not have")
    return key_proof.ec_key(curve, value, point)


def _ed25519(strings: Strings) -> PrivateKey:
    public, both = strings.string(), strings.string()
    size = key_proof.ED25519.size
    if both[size:] != public:
        raise RefusedError("two public values")
    return key_proof.raw_key(key_proof.ED25519, both[:size], public)


def _dsa(strings: Strings) -> PrivateKey:
    p, q, g, y, x = (strings.number() for _ in range(5))
    return key_proof.dsa_key(p=p, q=q, g=g, y=y, x=x)


CURVES: dict[bytes, ec.EllipticCurve] = {
    b"nistp256": ec.SECP256R1(),
    b"nistp384": ec.SECP384R1(),
    b"nistp521": ec.SECP521R1(),
}
_KINDS: dict[bytes, Callable[[Strings], PrivateKey]] = {
    b"ssh-rsa": _rsa,
    b"ssh-dss": _dsa,
    b"ssh-ed25519": _ed25519,
    **{b"ecdsa-sha2-" + curve: _ec for curve in CURVES},
}
_SECURITY_KEYS = {b"sk-ssh-ed25519@openssh.com": 2, b"sk-ecdsa-sha2-nistp256@openssh.com": 3}
"""Types of keys whose private half is elsewhere, with the number of strings before their flags."""


def parse(data: bytes) -> Parsed:
    """Prove the key that fills `data`."""
    strings = Strings(data)
    key = take_key(strings)
    if key is None or strings.offset != len(data):
        raise RefusedError("not one key")
    return Parsed(read_from(key, data), "ssh")


def read_counted(memory: Memory, address: int, counts: Mapping[bytes, int], most: int) -> Raw:
    """Read a key that its type's name opens, up to its last string.

    Args:
        memory: Where it lies.
        address: Of its first byte.
        counts: Strings behind the name of each type.
        most: Bytes that hold any key.

    Raises:
        RefusedError: The memory ends within it.
    """
    data = memory.read(address, most)
    strings = Strings(data)
    for _ in range(counts[strings.string()]):
        strings.string()
    return Raw(data[: strings.offset], strings.offset)


_STRINGS = {b"ssh-rsa": 6, b"ssh-dss": 5, b"ssh-ed25519": 2, **{b"ecdsa-sha2-" + curve: 3 for curve in CURVES}}
_DECODER = BytesDecoder(partial(read_counted, counts=_STRINGS, most=_WINDOW), parse)

OPENINGS_OF_PUBLIC_HALVES = {
    "ed25519": f"{string_pattern(b'ssh-ed25519')} 00 00 00 20",
    **{
        f"ec-{curve.decode()}": f"{string_pattern(b'ecdsa-sha2-' + curve)} {string_pattern(curve)} 00 00 00 .. 02-04"
        for curve in CURVES
    },
}
"""What a public key opens with and its private key, which begins with the same strings."""
_OPENINGS = {
    # n, which a public key has behind e
    "rsa": f"{string_pattern(b'ssh-rsa')} 00 00 00-08 .. 00",
    # p
    "dsa": f"{string_pattern(b'ssh-dss')} 00 00 00-02 .. 00",
    **OPENINGS_OF_PUBLIC_HALVES,
}
DETECTORS: tuple[Detector, ...] = tuple(
    (opening(f"ssh-{name}", pattern), _DECODER) for name, pattern in _OPENINGS.items()
)
