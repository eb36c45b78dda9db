"""Private keys in the format of ssh.com's SSH 2 (Tectia, SecureCRT; `puttygen -O private-sshcom`), encrypted or not.

What stands in base64 in such a file, between `---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----` and its end, is a number that
marks the format, the length of all, the type of the key, a cipher, and what that protects: its length and the key's
numbers. The text says `ENCRYPTED` whether or not it is.

Source: PuTTY's `import.c`, as restated in `docs/memory-layouts.md`, "Private keys of other formats, and containers".
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.ssh.wire import COUNT_SIZE, Strings, key_file
from dumpscan.findings import EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

MAGIC = bytes.fromhex("3f6ff9eb")
_HEAD = 2 * COUNT_SIZE
_MIN_BYTES, _MAX_BYTES = 64, 16 << 10
"""Of a whole key: RSA with 16384 bits has some 10 KiB."""
_MAX_BITS = 16384
_NONE, _TRIPLE_DES = b"none", b"3des-cbc"
_BLOCK = 8
_LABEL = b"SSH2 ENCRYPTED PRIVATE KEY"


def parse(data: bytes) -> Parsed:
    """Prove a key, or describe its protection."""
    strings = Strings(data, _HEAD)
    kind, cipher, private = strings.string(), strings.string(), strings.string()
    if data[:COUNT_SIZE] != MAGIC or strings.offset != len(data) or kind[:8] not in _KINDS:
        raise RefusedError("not ssh.com's format")
    if cipher == _TRIPLE_DES and private and not len(private) % _BLOCK:
        return Parsed(_encrypted(data), "ssh.com")
    if cipher != _NONE:
        raise RefusedError("a cipher that the format does not have")
    numbers = Strings(Strings(private).string())
    key = _KINDS[kind[:8]](numbers)
    if numbers.rest():
        raise RefusedError("something behind the key")
    return Parsed(read_from(key, data), "ssh.com")


def _encrypted(data: bytes) -> EncryptedContainer:
    """Describe an encrypted key; what is kept of it is a file that `puttygen` reads."""
    text = key_file(b"---- BEGIN %b ----" % _LABEL, data, b"---- END %b ----" % _LABEL)
    return EncryptedContainer(
        sha256=sha256(text).hexdigest(), size=len(text), container="ssh.com", kdf="MD5", cipher="3DES-CBC", data=text
    )


def _number(strings: Strings) -> int:
    """Take a number: its bits are counted, not its bytes, and there is no sign."""
    bits = strings.count()
    if bits > _MAX_BITS:
        raise RefusedError("a number of no key's size")
    return int.from_bytes(strings.take((bits + 7) // 8), "big")


def _rsa(strings: Strings) -> PrivateKey:
    """Prove an RSA key, whose coefficient is the inverse of the first prime modulo the second."""
    e, d, n, coefficient, q, p = (_number(strings) for _ in range(6))
    crt = (None, None, coefficient)
    return key_proof.rsa_key(modulus=n, exponent=e, p=p, q=q, private_exponent=d, crt=crt)


def _dsa(strings: Strings) -> PrivateKey:
    if strings.count():
        raise RefusedError("parameters that are not written out")
    p, g, q, y, x = (_number(strings) for _ in range(5))
    return key_proof.dsa_key(p=p, q=q, g=g, y=y, x=x)


_KINDS = {b"if-modn{": _rsa, b"dl-modp{": _dsa}
"""By what the type of a key begins with; what follows are the algorithms that it is used with."""


def _extract(memory: Memory, address: int) -> Raw:
    length = int.from_bytes(memory.read(address + COUNT_SIZE, COUNT_SIZE), "big")
    if not _MIN_BYTES <= length <= _MAX_BYTES:
        raise RefusedError("no size of a key")
    return Raw(memory.read(address, length), length)


DETECTORS: tuple[Detector, ...] = (
    (opening("ssh.com", f"{MAGIC.hex(' ')} 00 00 00-40 .. 00 00 00"), BytesDecoder(_extract, parse)),
)
