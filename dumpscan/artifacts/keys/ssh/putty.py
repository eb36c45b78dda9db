"""PuTTY's private key files (`.ppk`), versions 2 and 3, encrypted or not.

Source: PuTTY User Manual, appendix C. The MAC covers the type of the key, the cipher, the comment and both halves; in a
file that is not encrypted its key is a constant, so that it proves the file whole.
"""

from __future__ import annotations

import binascii
import hmac
import re
from dataclasses import replace
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.ssh.private_keys import CURVES
from dumpscan.artifacts.keys.ssh.wire import COUNT_SIZE, Strings
from dumpscan.findings import EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

_WINDOWS = (4 << 10, 48 << 10)
"""Bytes read at first, and when those did not reach to the end: those of RSA with 16384 bits, and a comment."""
_TEXT = b"PuTTY-User-Key-File-"
_END = rb"[ \t]{0,16}\r?\n[ \t]{0,64}"
_LINES = rb"(?:[ \t]{0,64}[A-Za-z0-9+/=]{1,64}[ \t]{0,16}\r?\n){1,400}[ \t]{0,64}"
"""Lines may be indented, as in YAML."""
_DERIVATION = _END.join(
    (
        rb"Key-Derivation: (?P<kdf>Argon2(?:id|i|d))",
        rb"Argon2-Memory: \d{1,10}",
        rb"Argon2-Passes: (?P<passes>\d{1,10})",
        rb"Argon2-Parallelism: \d{1,10}",
        rb"Argon2-Salt: [0-9A-Fa-f]{0,256}",
        rb"",
    )
)
_FILE = re.compile(
    _END.join(
        (
            _TEXT + rb"(?P<version>[23]): (?P<type>[a-z0-9-]{1,32})",
            rb"Encryption: (?P<cipher>none|aes256-cbc)",
            rb"Comment: ?(?P<comment>[^\r\n]{0,1024}?)",
            rb"Public-Lines: \d{1,3}",
            rb"(?P<public>" + _LINES + rb")(?:" + _DERIVATION + rb")?Private-Lines: \d{1,3}",
            rb"(?P<private>" + _LINES + rb")Private-MAC: (?P<mac>[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40})",
        )
    )
)
_NONE = b"none"
_BLOCK = 16
_MAC_KEY_2 = sha1(b"putty-private-key-file-mac-key", usedforsecurity=False).digest()
_MAC_PROOF = "the MAC is that of the file"
_MAC = "MAC"


def parse(data: bytes) -> Parsed:
    """Prove the key in a file, or describe its protection."""
    file = _FILE.fullmatch(data)
    if file is None:
        raise RefusedError("not PuTTY's format")
    public, private = _decoded(file["public"]), _decoded(file["private"])
    kind = Strings(public).string()
    if kind != file["type"] or kind not in _KINDS:
        raise RefusedError("a key of a type that is not known")
    if file["cipher"] != _NONE:
        return Parsed(_encrypted(file, private), "ppk")
    if file["kdf"] is not None:
        raise RefusedError("a key derivation without a cipher")
    public_half, private_half = Strings(public, COUNT_SIZE + len(kind)), Strings(private)
    key = _KINDS[kind](public_half, private_half)
    if public_half.rest() or private_half.rest():
        raise RefusedError("something behind the key")
    if _mac(file, public, private) == bytes.fromhex(file["mac"].decode()):
        key = replace(key, proof=(*key.proof, _MAC_PROOF))
    else:
        key = replace(key, wrong_parts=(*key.wrong_parts, _MAC))
    return Parsed(read_from(key, data), "ppk")


def _decoded(lines: bytes) -> bytes:
    try:
        return binascii.a2b_base64(b"".join(lines.split()), strict_mode=True)
    except binascii.Error:
        raise RefusedError("no base64") from None


def _encrypted(file: re.Match[bytes], private: bytes) -> EncryptedContainer:
    third = file["version"] == b"3"
    if third != (file["kdf"] is not None) or len(private) % _BLOCK:
        raise RefusedError("nothing that the cipher can have produced")
    data = file.group()
    return EncryptedContainer(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        container="putty",
        kdf=file["kdf"].decode() if third else "SHA1",
        cipher="AES-256-CBC",
        iterations=int(file["passes"]) if third else None,
        mac="HMAC-SHA256" if third else "HMAC-SHA1",
        data=data,
    )


def _mac(file: re.Match[bytes], public: bytes, private: bytes) -> bytes:
    """Compute the MAC of a file that is not encrypted."""
    parts = (file["type"], file["cipher"], file["comment"], public, private)
    message = b"".join(len(part).to_bytes(COUNT_SIZE, "big") + part for part in parts)
    if file["version"] == b"3":
        return hmac.digest(b"", message, "sha256")
    return hmac.digest(_MAC_KEY_2, message, "sha1")


def _rsa(public: Strings, private: Strings) -> PrivateKey:
    e, n = public.number(), public.number()
    d, p, q, coefficient = (private.number() for _ in range(4))
    crt = (None, None, coefficient)
    return key_proof.rsa_key(modulus=n, exponent=e, p=p, q=q, private_exponent=d, crt=crt)


def _dsa(public: Strings, private: Strings) -> PrivateKey:
    p, q, g, y = (public.number() for _ in range(4))
    return key_proof.dsa_key(p=p, q=q, g=g, y=y, x=private.number())


def _ec(public: Strings, private: Strings) -> PrivateKey:
    curve, point = CURVES.get(public.string()), public.string()
    if curve is None:
        raise RefusedError("a curve that PuTTY does not have")
    return key_proof.ec_key(curve, private.number(), point)


def _ed25519(public: Strings, private: Strings) -> PrivateKey:
    return key_proof.raw_key(key_proof.ED25519, private.string(), public.string())


def _ed448(public: Strings, private: Strings) -> PrivateKey:
    return key_proof.raw_key(key_proof.ED448, private.string(), public.string())


_KINDS: dict[bytes, Callable[[Strings, Strings], PrivateKey]] = {
    b"ssh-rsa": _rsa,
    b"ssh-dss": _dsa,
    b"ssh-ed25519": _ed25519,
    b"ssh-ed448": _ed448,
    **{b"ecdsa-sha2-" + curve: _ec for curve in CURVES},
}


def _extract(memory: Memory, address: int) -> Raw:
    for size in _WINDOWS:
        data = memory.read(address, size)
        file = _FILE.match(data)
        if file is not None:
            return Raw(file.group(), file.end())
        if len(data) < size:
            break
    raise RefusedError("no end of the file")


DETECTORS: tuple[Detector, ...] = ((opening("putty", f"{_TEXT.hex(' ')} 32|33 3a 20"), BytesDecoder(_extract, parse)),)
