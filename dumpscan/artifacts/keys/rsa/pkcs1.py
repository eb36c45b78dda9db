"""RSA private keys in DER (RFC 8017, A.1.2): whole, with wrong or missing members, cut short, or without a beginning.

An RSAPrivateKey is a SEQUENCE of INTEGERs: version, n, e, d, p, q, dp, dq, qinv, and with more than two primes a
SEQUENCE of (r, d mod r-1, t) for each further one. Some programs leave the last members out, write zeros for those they
do not know, or leave out the zero byte before an INTEGER whose first bit is set. So members are read as unsigned
numbers as far as they are well formed, and arithmetic decides what they are worth.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import BytesDecoder, CutShortError, Parsed, Raw, RefusedError
from dumpscan.artifacts.keys.finding import read_from
from dumpscan.artifacts.keys.randomness import looks_random
from dumpscan.artifacts.keys.rsa import proof as rsa
from dumpscan.artifacts.keys.rsa.parts import RsaParts, stored_key
from dumpscan.scan.opening import opening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.artifacts.detector import Detector
    from dumpscan.findings import PrivateKey
    from dumpscan.memory.space import Memory

WHAT = "RSA private key"
FIRST_BYTES = "first bytes"
"""What is wrong with a key the beginning of whose structure was overwritten."""
MAX_NUMBER = 2049
"""Bytes of the largest INTEGER in a key: 16384 bits and a sign."""
_TWO_PRIMES, _MULTI = 0, 1
"""Versions."""
_MEMBERS = 9
_MIN_MEMBERS = 4
"""Members that a key can be rebuilt from: version, n, e, d."""

_MAX_USUAL_EXPONENT_BITS = 33
_OVERHEAD, _TOLERANCE = 40, 24
"""Bytes of a structure's content beside 4.5 times those of its modulus, more or less: headers, signs, version and e."""
_MIN_ZEROS = 32
"""Zeros at the end of a structure of which the end was overwritten."""
_MIN_SEEN = 16
"""Bytes of a modulus that must be there to tell that a key was cut short."""


def prove(structure: bytes) -> PrivateKey:
    """Prove the key in an RSAPrivateKey, the end of which may be missing or damaged.

    Raises:
        CutShortError: It is such a structure, and too little is left of it: the end is missing or was overwritten.
        RefusedError: It is not an RSA key.
    """
    head = der.header(structure)
    if head.tag != der.SEQUENCE:
        raise RefusedError("not a SEQUENCE")
    content = structure[head.size : head.total]
    numbers, end = integers(content)
    try:
        return _proven(numbers, content[end:], structure[: head.total])
    except RefusedError:
        overwritten = len(numbers) < _MEMBERS and not any(content[-_MIN_ZEROS:])
        if (len(structure) < head.total or overwritten) and _is_certain(content, numbers, head.content):
            raise CutShortError(WHAT) from None
        raise


def integers(content: bytes, most: int = _MEMBERS) -> tuple[list[int], int]:
    """Read INTEGERs one behind the other, without regard to their signs.

    Args:
        content: The bytes.
        most: How many to read.

    Returns:
        The numbers before the first one that is malformed or goes past the end, and the offset at which they end.
    """
    numbers: list[int] = []
    at = 0
    while len(numbers) < most and at < len(content):
        try:
            head = der.header(content, at)
        except RefusedError:
            break
        end = at + head.total
        if head.tag != der.INTEGER or not 0 < head.content <= MAX_NUMBER or end > len(content):
            break
        numbers.append(int.from_bytes(content[at + head.size : end], "big"))
        at = end
    return numbers, at


def _proven(numbers: Sequence[int], behind: bytes, structure: bytes) -> PrivateKey:
    if len(numbers) < _MIN_MEMBERS:
        raise RefusedError("too few members")
    version, n, e, d, *others = numbers
    if version == _MULTI and behind:
        primes = (*others[:2], *_further_primes(behind))
        return rsa.multi_prime_key(modulus=n, exponent=e, private_exponent=d, primes=primes, structure=structure)
    if version != _TWO_PRIMES:
        raise RefusedError("a version that keys with two primes do not have")
    p, q, dp, dq, qinv = _padded(others, 5)
    return stored_key(RsaParts(modulus=n, exponent=e, p=p, q=q, d=d, dp=dp, dq=dq), qinv)


def _padded(numbers: Sequence[int], count: int) -> list[int | None]:
    """Return the first `count` numbers, None for those that are not there."""
    return [*numbers[:count], *[None] * (count - len(numbers))]


def _further_primes(data: bytes) -> list[int]:
    """Read the primes from the third on out of OtherPrimeInfos."""
    infos = der.members(data, least=1, most=rsa.MAX_PRIMES)
    return [der.integer(der.members(info.encoded, least=3, most=3)[0], most=MAX_NUMBER) for info in infos]


def _is_certain(content: bytes, numbers: Sequence[int], length: int) -> bool:
    """Return whether bytes are certainly the beginning of an RSAPrivateKey with two primes.

    Args:
        content: As much of its content as is there.
        numbers: The INTEGERs that it begins with.
        length: What the header says of the content's length.
    """
    if not numbers or numbers[0] != _TWO_PRIMES:
        return False
    _, begin = integers(content, 1)
    try:
        modulus = der.header(content, begin)
    except RefusedError:
        return False
    if modulus.tag != der.INTEGER or abs(length - 9 * modulus.content // 2 - _OVERHEAD) > _TOLERANCE:
        return False
    end = begin + modulus.total
    seen = content[begin + modulus.size : end].lstrip(b"\0")
    if len(seen) < _MIN_SEEN or not looks_random(seen[:64]):
        return False
    if len(content) < end + der.HEADER_SIZE:
        return True
    if len(numbers) < _MIN_MEMBERS - 1:
        return False
    _, n, e = numbers[:3]
    try:
        rsa.check_public(n, e)
    except RefusedError:
        return False
    return bool(n & 1) and e.bit_length() <= _MAX_USUAL_EXPONENT_BITS and not rsa.has_small_factor(n)


# --- Keys whose first bytes were overwritten ------------------------------------------------------------------------

_BEGINNING = re.compile(rb"\x30(?:\x82..|\x81.)\x02\x01[\0\1]\x02(?:\x82(?P<long>..)|\x81(?P<short>.))\Z", re.DOTALL)
_MAX_INTACT = 4
"""Bytes by which a modulus may be longer than its private exponent, as INTEGERs, in a key whose beginning is intact."""


def parse_rest(data: bytes) -> Parsed:
    """Prove a key of the members from e on: the modulus is the product of the primes.

    What frees memory writes its own data over the first bytes: sixteen for the links of a list.
    """
    numbers, _ = integers(data, _MEMBERS - 2)
    e, d, p, q, dp, dq, qinv = _padded(numbers, _MEMBERS - 2)
    if not (e and d and p and q and p * q > 1 and rsa.belong_together(p * q, e, d, (p, q))):
        raise RefusedError("the exponents do not belong together")
    key = stored_key(RsaParts(modulus=p * q, exponent=e, p=p, q=q, d=d, dp=dp, dq=dq), qinv)
    return Parsed(read_from(replace(key, wrong_parts=(*key.wrong_parts, FIRST_BYTES)), data), "pkcs1")


def _extract_rest(memory: Memory, address: int) -> Raw:
    """Read the members of an RSAPrivateKey from e on, if what precedes them is not whole."""
    opening_bytes = memory.read(address, 2 * der.HEADER_SIZE)
    first = der.header(opening_bytes)
    private = der.header(opening_bytes, first.total)
    if _is_intact(memory, address, private.content):
        raise RefusedError("the structure's own beginning is there")
    size = first.total + 9 * private.content // 2 + 8 * der.HEADER_SIZE
    data = memory.read(address, size)
    _, end = integers(data, _MEMBERS - 2)
    return Raw(data[:end], end)


def _is_intact(memory: Memory, address: int, private_size: int) -> bool:
    """Return whether a structure's header, its version and the header of its modulus precede e at `address`."""
    room = min(address, private_size + _MAX_INTACT + 4 * der.HEADER_SIZE)
    before = memory.read(address - room, room)
    for size in range(private_size, private_size + _MAX_INTACT):
        beginning = _BEGINNING.search(before[: len(before) - size])
        if beginning and int.from_bytes(beginning["long"] or beginning["short"], "big") == size:
            return True
    return False


_REST = BytesDecoder(_extract_rest, parse_rest)
_EXPONENTS = {"65537": "02 03 01 00 01", "small": "02 01 03|05|07|11|23|25|29"}
_PRIVATE_EXPONENTS = {"long": "02 82 00-08", "middle": "02 81 80-ff"}

DETECTORS: tuple[Detector, ...] = tuple(
    (opening(f"rsa-rest-{exponent}-{size}", f"{usual} {private}"), _REST)
    for exponent, usual in _EXPONENTS.items()
    for size, private in _PRIVATE_EXPONENTS.items()
)
