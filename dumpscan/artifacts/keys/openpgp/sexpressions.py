"""Private keys as libgcrypt and gpg-agent write them: S-expressions, whose numbers are of OpenPGP's algorithms.

In memory they are in the canonical form, `(11:private-key(3:rsa(1:n257:...`; the files of gpg-agent hold them also in
the advanced form, `(private-key (rsa (n #00C3...#)`. A protected key has its public numbers in clear, then how the
others are protected. Sources: RFC 9804 (the forms); libgcrypt's manual, "RSA key parameters" to "ECC key parameters"
(the members); GnuPG's `agent/keyformat.txt` (protected keys).
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from dumpscan.artifacts import effort
from dumpscan.artifacts.decoded import BytesDecoder, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys import encode
from dumpscan.artifacts.keys import proof as key_proof
from dumpscan.artifacts.keys.algorithms.dh import elgamal_key
from dumpscan.artifacts.keys.ec.named import curve_named, curve_of_oid
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.findings import EncryptedContainer
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.detector import Detector
    from dumpscan.artifacts.keys.ec.named import NamedCurve
    from dumpscan.findings import PrivateKey, PublicKey
    from dumpscan.memory.space import Memory

ENCODING = "s-expression"
MAX_BYTES = 32 << 10
"""Of an expression: RSA with 16384 bits takes 18 KiB in hexadecimal digits."""
_MAX_DEPTH, _MAX_ATOMS = 8, 128

_TOKEN = re.compile(
    rb"""\s*+(?: (?P<open>\() | (?P<close>\)) | (?P<size>[0-9]{1,5}): | \#(?P<hex>[0-9A-Fa-f\s]*+)\#
        | \|(?P<base64>[A-Za-z0-9+/=\s]*+)\| | "(?P<text>(?:[^"\\\0]++|\\[^\0])*+)"
        | (?P<name>[A-Za-z][0-9A-Za-z.:*+=/_-]{0,63}) )""",
    re.VERBOSE,
)
_UNFINISHED = re.compile(
    rb"""\s*+(?: [0-9]{0,5}+ | [\#][0-9A-Fa-f\s]*+ | \|[A-Za-z0-9+/=\s]*+ | "(?:[^"\\\0]++|\\[^\0])*+\\? )\Z""",
    re.VERBOSE,
)
"""What may become a token if more of the memory is read."""
_ESCAPE = re.compile(rb"\\(?:([0-7]{3})|x([0-9A-Fa-f]{2})|(\r\n|\n\r|.))", re.DOTALL)
_ESCAPED = {
    b"b": b"\b", b"t": b"\t", b"v": b"\v", b"n": b"\n", b"f": b"\f", b"r": b"\r",
    b"\n": b"", b"\r": b"", b"\r\n": b"", b"\n\r": b"",
}  # fmt: skip
"""What a letter or the end of a line stands for behind a backslash; another character stands for itself."""
_PER_TOKEN, _PER_BYTE = 2, 0.02
"""Microseconds to read a token, and for each byte of it."""
_PRIVATE, _PROTECTED = b"private-key", b"protected-private-key"

List = list["bytes | List"]
"""A list of an expression: its atoms and lists."""
Members = dict[bytes, bytes]
"""The atom behind the name that opens each list of two."""


def parse(data: bytes) -> Parsed:
    """Prove the key in an expression, or describe its protection."""
    expression, end = _read(data)
    if end != len(data):
        raise RefusedError("something behind the expression")
    kind, key = expression[0], expression[1] if len(expression) > 1 else None
    if kind not in (_PRIVATE, _PROTECTED) or not isinstance(key, list) or not isinstance(key[0], bytes):
        raise RefusedError("no private key")
    if kind == _PROTECTED:
        public = _public(key[0], _members(key))
        others = (Parsed(replace(public, sha256=sha256(data).hexdigest(), size=len(data)), ENCODING),) if public else ()
        return Parsed(_container(key, data), ENCODING, others)
    if key[0] not in _ALGORITHMS:
        raise RefusedError("an algorithm that is not known")
    return Parsed(read_from(_ALGORITHMS[key[0]](_members(key)), data), ENCODING)


class _UnfinishedError(RefusedError):
    """The bytes end within an expression that has no fault so far."""


def _read(data: bytes) -> tuple[List, int]:
    """Read the list that opens bytes; return it with where it ends."""
    root: List = []
    open_lists = [root]
    at = 0
    for _ in range(_MAX_ATOMS):
        token = _TOKEN.match(data, at)
        if token is None:
            effort.charge(_PER_BYTE * (len(data) - at))
            if _UNFINISHED.match(data, at):
                raise _UnfinishedError("no expression that is whole")
            break
        effort.charge(_PER_TOKEN + _PER_BYTE * (token.end() - at))
        at = token.end()
        if token["open"]:
            inner: List = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
        elif token["close"]:
            if not open_lists.pop():
                break
            if len(open_lists) == 1 and isinstance(found := root[0], list):
                return found, at
        else:
            atom = _atom(token, data)
            at += int(token["size"] or 0)
            open_lists[-1].append(atom)
        if not 1 < len(open_lists) <= _MAX_DEPTH:
            break
    raise RefusedError("no expression that is whole")


def _atom(token: re.Match[bytes], data: bytes) -> bytes:
    if token["size"] is not None:
        atom = data[token.end() : token.end() + int(token["size"])]
        if len(atom) < int(token["size"]):
            raise _UnfinishedError("an atom that is cut short")
        return atom
    try:
        if token["hex"] is not None:
            return bytes.fromhex(b"".join(token["hex"].split()).decode())
        if token["base64"] is not None:
            return binascii.a2b_base64(token["base64"])
    except ValueError:
        raise RefusedError("an atom that is badly written") from None
    return token["name"] if token["text"] is None else _ESCAPE.sub(_unescaped, token["text"])


def _unescaped(escape: re.Match[bytes]) -> bytes:
    """Return what an escape in a quoted string stands for: libgcrypt writes short random bytes as such strings."""
    octal, digits, character = escape.groups()
    if character is not None:
        return _ESCAPED.get(character, character)
    return bytes((int(octal, 8) & 0xFF if octal else int(digits, 16),))


def _members(key: List) -> Members:
    return {
        member[0]: member[1]
        for member in key[1:]
        if isinstance(member, list)
        and len(member) > 1
        and isinstance(member[0], bytes)
        and isinstance(member[1], bytes)
    }


def _numbers(members: Members, names: str) -> Iterator[int]:
    for name in names.encode():
        number = members.get(bytes((name,)))
        if number is None:
            raise RefusedError("a number is missing")
        yield int.from_bytes(number, "big")


def _rsa(members: Members) -> PrivateKey:
    n, e, d, p, q, coefficient = _numbers(members, "nedpqu")
    # As in OpenPGP, the coefficient is the inverse of p modulo q.
    return key_proof.rsa_key(modulus=n, exponent=e, p=q, q=p, private_exponent=d, crt=(None, None, coefficient))


def _dsa(members: Members) -> PrivateKey:
    p, q, g, y, x = _numbers(members, "pqgyx")
    return key_proof.dsa_key(p=p, q=q, g=g, y=y, x=x)


def _elgamal(members: Members) -> PrivateKey:
    p, g, y, x = _numbers(members, "pgyx")
    return elgamal_key(p=p, g=g, y=y, x=x)


def _ec(members: Members) -> PrivateKey:
    (value,) = _numbers(members, "d")
    point, name = members.get(b"q", b""), members.get(b"curve", b"").decode("latin-1")
    raw = _RAW.get(name.casefold())
    if raw is None:
        return key_proof.ec_key(_curve(name), value, *([point] if point else []))
    algorithm, order = raw
    public = point[-algorithm.size :]
    if len(point) - len(public) > 1 or value.bit_length() > 8 * algorithm.size:
        raise RefusedError("values of another size than the curve's")
    return key_proof.raw_key(algorithm, value.to_bytes(algorithm.size, order), public or None)


def _curve(name: str) -> NamedCurve:
    name = _OTHER_NAMES.get(name, name)
    try:
        found = curve_of_oid(encode.object_identifier(name)) if name[:1].isdecimal() else curve_named(name)
    except (KeyError, ValueError):
        found = None
    if found is None:
        raise RefusedError("a curve that is not known")
    return found


_RAW: dict[str, tuple[key_proof.RawAlgorithm, Literal["big", "little"]]] = {
    "ed25519": (key_proof.ED25519, "big"), "1.3.6.1.4.1.11591.15.1": (key_proof.ED25519, "big"),
    "curve25519": (key_proof.X25519, "little"), "x25519": (key_proof.X25519, "little"),
    "1.3.6.1.4.1.3029.1.5.1": (key_proof.X25519, "little"),
    "ed448": (key_proof.ED448, "big"), "1.3.101.113": (key_proof.ED448, "big"),
    "x448": (key_proof.X448, "big"), "1.3.101.111": (key_proof.X448, "big"),
}  # fmt: skip
"""Curves that are not Weierstrass's, by the names that libgcrypt takes, and the order of a private value's bytes: that
of Curve25519 is written as a number, the others as they are."""
_OTHER_NAMES = {
    "NIST P-192": "secp192r1", "nistp192": "secp192r1", "NIST P-224": "secp224r1", "nistp224": "secp224r1",
    "NIST P-256": "secp256r1", "nistp256": "secp256r1", "NIST P-384": "secp384r1", "nistp384": "secp384r1",
    "NIST P-521": "secp521r1", "nistp521": "secp521r1", "prime192v1": "secp192r1", "prime256v1": "secp256r1",
    "sm2p256v1": "SM2",
}  # fmt: skip
_ALGORITHMS: dict[bytes, Callable[[Members], PrivateKey]] = {
    b"rsa": _rsa, b"openpgp-rsa": _rsa, b"oid.1.2.840.113549.1.1.1": _rsa,
    b"dsa": _dsa, b"openpgp-dsa": _dsa,
    b"elg": _elgamal, b"openpgp-elg": _elgamal,
    b"ecc": _ec, b"ecdsa": _ec, b"ecdh": _ec, b"eddsa": _ec,
}  # fmt: skip

_MODES = {
    b"openpgp-s2k3-sha1-aes-cbc": ("AES-128-CBC", "SHA1"),
    b"openpgp-s2k3-sha1-aes256-cbc": ("AES-256-CBC", "SHA1"),
    b"openpgp-s2k3-ocb-aes": ("AES-128-OCB", None),
}
"""Ciphers, and the hash of what is encrypted, by the names of modes."""


def _public(algorithm: bytes, members: Members) -> PublicKey | None:
    """Return the public key of an RSA or EC key that is protected: its private numbers may lie elsewhere in memory."""
    try:
        if algorithm == b"rsa":
            n, e = _numbers(members, "ne")
            if not (n & e & 1 and key_proof.LEAST_RSA_BITS <= n.bit_length() <= key_proof.MOST_RSA_BITS):
                return None
            content = encode.tlv(0x30, encode.integer_key(n), encode.integer_key(e))
            info = encode.public_info(encode.RSA_ALGORITHM, content)
            return encode.public_key("RSA", n.bit_length(), info, proof=())
        if algorithm not in (b"ecc", b"ecdsa"):
            return None
        point, name = members.get(b"q", b""), members.get(b"curve", b"").decode("latin-1")
        if raw := _RAW.get(name.casefold()):
            if len(point) - raw[0].size not in (0, 1):
                return None
            info = encode.public_info(encode.algorithm(raw[0].identifier), point[-raw[0].size :])
            return encode.public_key(raw[0].name, raw[0].bits, info, proof=())
        curve = _curve(name)
    except RefusedError:
        return None
    if point[:1] != b"\4" or not curve.may_have(point):
        return None
    info = encode.public_info(encode.ec_algorithm(curve.parameters), point)
    return encode.public_key("EC", curve.bits, info, proof=("Q is on the curve",), curve=curve.name)


def _container(key: List, data: bytes) -> EncryptedContainer:
    """Describe a protected key: `(protected MODE ((HASH SALT COUNT) NONCE) ENCRYPTED)`."""
    protected = next((each for each in key if isinstance(each, list) and each[:1] == [b"protected"]), None)
    if protected is None or len(protected) < 4 or not isinstance(protected[1], bytes):  # noqa: PLR2004
        raise RefusedError("a protected key without what protects it")
    cipher, mac = _MODES.get(protected[1], (protected[1][:64].decode("ascii", "replace"), None))
    derivation = protected[2][0] if isinstance(protected[2], list) and protected[2] else None
    count = derivation[2] if isinstance(derivation, list) and len(derivation) > 2 else None  # noqa: PLR2004
    return EncryptedContainer(
        sha256=sha256(data).hexdigest(),
        size=len(data),
        container="s-expression",
        kdf="S2K iterated SHA1" if isinstance(derivation, list) else None,
        cipher=cipher,
        iterations=int(count) if isinstance(count, bytes) and count.isdigit() and len(count) <= 10 else None,  # noqa: PLR2004
        mac=mac,
        data=data,
    )


def _extract(memory: Memory, address: int) -> Raw:
    size = 1 << 10
    while True:
        data = memory.read(address, size)
        try:
            end = _read(data)[1]
        except _UnfinishedError:
            if len(data) < size or size == MAX_BYTES:
                raise
            size *= 2
        else:
            return Raw(data[:end], end)


_DECODER = BytesDecoder(_extract, parse)


def _text(written: str) -> str:
    return " ".join(f"{value:02x}" for value in written.encode())


DETECTORS: tuple[Detector, ...] = tuple(
    (opening(f"s-expression-{name}", f"{_text(before)} {_text(kind)} {behind}"), _DECODER)
    for kind, size in ((_PRIVATE.decode(), "11:"), (_PROTECTED.decode(), "21:"))
    for name, before, behind in (
        (kind, f"({size}", "28 31-39"),
        (f"{kind}-text", "(", "09|0a|0d|20 09|0a|0d|20|28"),
        (f"{kind}-tight", "(", "28 61-7a"),
    )
)
