"""SymCrypt's objects, written as the library lays them out, for every architecture and in both layouts of the model.

Each function returns the bytes of one allocation that begins at `address`. What the library computes from a number
when it sets it (R^2, the negated modulus, -1/n mod 2^64, the divisor's reciprocal, CRT inverses) is computed here too,
so that the objects of the real process dump come out byte for byte (a test compares them); tables for faster
arithmetic are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dumpscan.artifacts.aes.schedule import expand
from dumpscan.model import c_symcrypt
from dumpscan.model.c_symcrypt import DIVISOR_TAG, GENERIC_MODULUS_TAG, INT_TAG, MODULUS_TAG, WRAPPER_MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers

    from dumpscan.model.c_symcrypt import Abi
    from dumpscan.synth.objects.symcrypt.curves import Curve

_PUBLIC_MODULUS_FLAGS = 0x01
_PRIME_FLAGS = 0x0A
_GROUP_FLAGS = 0x09
_ROUND_KEY = 16
_MONTGOMERY_TYPE = {"x64": 0x80, "arm64": 0x80, "x86": 0x40}
"""Offset in the library's table of functions: x64 from the dump, the others assumed. No reader may rely on it."""


def integer(abi: Abi, value: int, digits: int) -> bytes:
    """An INT."""
    size = abi.int_size(digits)
    head = _pack(abi, "SYMCRYPT_INT", type=_tag(INT_TAG), nDigits=digits, cbSize=size)
    return head + _number(abi, value, digits)


def modulus(abi: Abi, address: int, value: int, digits: int, *, flags: int, montgomery: bool = True) -> bytes:
    """A MODULUS."""
    bits = value.bit_length()
    top = value << max(64 - bits, 0) >> max(bits - 64, 0)
    divisor = _pack(
        abi,
        "SYMCRYPT_DIVISOR",
        type=_tag(DIVISOR_TAG),
        nDigits=digits,
        cbSize=abi.divisor_size(digits),
        nBits=bits,
        W=((1 << 96) - 1) // top - (1 << 32),
    )
    square_at = address + abi.modulus_value + digits * abi.digit
    fields: dict[str, int] = {} if abi.layout == c_symcrypt.PRE_102 else {"inv64": -pow(value, -1, 1 << 64) % (1 << 64)}
    head = _pack(
        abi,
        "SYMCRYPT_MODULUS",
        type=_tag(MODULUS_TAG, _MONTGOMERY_TYPE[abi.architecture]) if montgomery else _tag(GENERIC_MODULUS_TAG),
        nDigits=digits,
        cbSize=abi.modulus_size(digits),
        flags=flags,
        cbModElement=digits * abi.digit,
        Rsqr=square_at if montgomery else 0,
        **fields,
    )
    square = pow(2, 16 * digits * abi.digit, value) if montgomery else 0
    negated = (1 << 8 * digits * abi.digit) - value if montgomery else 0
    extras = [square, negated][: abi.modulus_extras]
    return head + divisor + integer(abi, value, digits) + b"".join(_number(abi, extra, digits) for extra in extras)


def rsa_key(
    abi: Abi,
    address: int,
    public: RSAPublicNumbers,
    private: RSAPrivateNumbers | None = None,
    *,
    flags: int = c_symcrypt.FLAG_SIGNATURE,
) -> bytes:
    """A SYMCRYPT_RSAKEY with everything behind it; without private numbers a public-only one."""
    bits = public.n.bit_length()
    digits = abi.digits(bits)
    stride, element, exponent = abi.modulus_size(digits), digits * abi.digit, abi.int_size(digits)
    at_modulus = address + abi.sizeof("SYMCRYPT_RSAKEY")
    if private is None:
        total = abi.sizeof("SYMCRYPT_RSAKEY") + stride + exponent
        head = _rsa_head(abi, flags, total, public, pmModulus=at_modulus, pbPrivExps=[at_modulus + stride])
        content = modulus(abi, at_modulus, public.n, digits, flags=_PUBLIC_MODULUS_FLAGS)
        return _join(total, [(0, head), (abi.sizeof("SYMCRYPT_RSAKEY"), content)])
    primes = [at_modulus + stride, at_modulus + 2 * stride]
    inverses = [at_modulus + 3 * stride, at_modulus + 3 * stride + element]
    exponents = [inverses[1] + element + number * exponent for number in range(3)]
    total = exponents[2] + exponent - address
    prime_digits = [abi.digits(prime.bit_length()) for prime in (private.p, private.q)]
    head = _rsa_head(
        abi,
        flags,
        total,
        public,
        hasPrivateKey=1,
        nPrimes=2,
        nBitsOfPrimes=[private.p.bit_length(), private.q.bit_length()],
        nDigitsOfPrimes=prime_digits,
        nMaxDigitsOfPrimes=max(prime_digits),
        pbPrimes=primes,
        pbCrtInverses=inverses,
        pbPrivExps=exponents[:1],
        pbCrtPrivExps=exponents[1:],
        pmModulus=at_modulus,
        pmPrimes=primes,
        peCrtInverses=inverses,
        piPrivExps=exponents[:1],
        piCrtPrivExps=exponents[1:],
    )
    p, q = private.p, private.q
    parts = [(at_modulus, modulus(abi, at_modulus, public.n, digits, flags=_PUBLIC_MODULUS_FLAGS))]
    for at, prime, count in zip(primes, (p, q), prime_digits, strict=True):
        parts.append((at, modulus(abi, at, prime, count, flags=_PRIME_FLAGS)))
    for at, inverse, prime, count in zip(inverses, (pow(q, -1, p), pow(p, -1, q)), (p, q), prime_digits, strict=True):
        parts.append((at, _element(abi, inverse, prime, count)))
    parts.append((exponents[0], integer(abi, private.d, digits)))
    for at, value, count in zip(exponents[1:], (private.dmp1, private.dmq1), prime_digits, strict=True):
        parts.append((at, integer(abi, value, count)))
    return _join(total, [(0, head), *((at - address, content) for at, content in parts)])


def rsa_wrapper(abi: Abi, key_address: int, bits: int, *, algorithm: int = 0xA400, provider: int = 0) -> bytes:
    """The provider's handle to an RSA key."""
    form = abi.c.MSBCRYPT_RSAKEY
    data: bytes = form(
        cbLength=len(form),
        magic=WRAPPER_MAGIC,
        dwAlgorithm=algorithm,
        dwModBits=bits,
        pAlgorithm=provider,
        pKey=key_address,
    ).dumps()
    return data


def ec_curve(abi: Abi, address: int, curve: Curve) -> bytes:
    """A SYMCRYPT_ECURVE with its parameters behind it."""
    field_bits, order_bits = curve.p.bit_length(), curve.order.bit_length()
    digits, order_digits = abi.digits(field_bits), abi.digits(order_bits)
    element = digits * abi.digit
    at_field = address + abi.sizeof("SYMCRYPT_ECURVE")
    at_a = at_field + abi.modulus_size(digits)
    at_b = at_a + element
    at_order = at_b + element
    at_cofactor = at_order + abi.modulus_size(order_digits)
    at_generator = at_cofactor + abi.int_size(1)
    generator = ec_point(abi, address, curve, curve.generator, 1)
    total = at_generator + len(generator) - address
    head = _pack(
        abi,
        "SYMCRYPT_ECURVE",
        version=1,
        curve_type=curve.kind,
        eCoordinates=curve.coordinates,
        FModBitsize=field_bits,
        FModDigits=digits,
        FModBytesize=(field_bits + 7) // 8,
        GOrdBitsize=order_bits,
        GOrdDigits=order_digits,
        GOrdBytesize=(order_bits + 7) // 8,
        cbModElement=element,
        cbAlloc=total,
        coFactorPower=curve.cofactor_power,
        FMod=at_field,
        GOrd=at_order,
        A=at_a,
        B=at_b,
        G=at_generator,
        H=at_cofactor,
    )
    parts = [
        (address, head),
        (at_field, modulus(abi, at_field, curve.p, digits, flags=_GROUP_FLAGS)),
        (at_a, _element(abi, curve.a, curve.p, digits)),
        (at_b, _element(abi, curve.b, curve.p, digits)),
        (at_order, modulus(abi, at_order, curve.order, order_digits, flags=_GROUP_FLAGS, montgomery=False)),
        (at_cofactor, integer(abi, 1 << curve.cofactor_power, 1)),
        (at_generator, generator),
    ]
    return _join(total, [(at - address, content) for at, content in parts])


def ec_point(abi: Abi, curve_address: int, curve: Curve, point: tuple[int, int], z: int) -> bytes:
    """An ECPOINT: (X, Y, Z) in Jacobian coordinates, or (X, Z) on Curve25519, for any z that is not zero."""
    digits = abi.digits(curve.p.bit_length())
    head = _pack(abi, "SYMCRYPT_ECPOINT", normalized=int(z == 1), pCurve=curve_address)
    x, y = point
    if curve.coordinates == c_symcrypt.COORDINATES_SINGLE_PROJECTIVE:
        values = [x * z, z]
    else:
        values = [x * z * z, y * z * z * z, z]
    return head + b"".join(_element(abi, value % curve.p, curve.p, digits) for value in values)


def ec_key(
    abi: Abi,
    address: int,
    curve_address: int,
    curve: Curve,
    *,
    public: tuple[int, int],
    scalar: int | None,
    z: int = 1,
    flags: int = c_symcrypt.FLAG_SIGNATURE,
) -> bytes:
    """A SYMCRYPT_ECKEY with its public point and its scalar.

    Args:
        abi: Build.
        address: Of the key.
        curve_address: Of its curve.
        curve: The curve.
        public: Affine public point (only x counts on Curve25519).
        scalar: Private scalar, divided by the cofactor; None makes a public-only key.
        z: Projective coordinate of the point.
        flags: `fAlgorithmInfo`.
    """
    at_point = address + abi.sizeof("SYMCRYPT_ECKEY")
    point = ec_point(abi, curve_address, curve, public, z)
    at_scalar = at_point + len(point)
    head = _pack(
        abi,
        "SYMCRYPT_ECKEY",
        **_flags(abi, flags),
        hasPrivateKey=int(scalar is not None),
        pCurve=curve_address,
        poPublicKey=at_point,
        piPrivateKey=at_scalar,
    )
    return head + point + integer(abi, scalar or 0, abi.digits(curve.order.bit_length() + curve.cofactor_power))


def dl_group(abi: Abi, address: int, p: int, q: int | None, g: int, *, safe: bool = False) -> bytes:
    """A SYMCRYPT_DLGROUP with its numbers."""
    digits = abi.digits(p.bit_length())
    order_digits = abi.digits(q.bit_length()) if q else 0
    at_p = address + abi.sizeof("SYMCRYPT_DLGROUP")
    at_q = at_p + abi.modulus_size(digits)
    at_g = at_q + abi.modulus_size(order_digits or digits)
    at_seed = at_g + digits * abi.digit
    seed = -(-((q or p).bit_length() + 7) // 8 // abi.alignment) * abi.alignment
    total = at_seed + seed - address
    q_bits = q.bit_length() if q else 0
    head = _pack(
        abi,
        "SYMCRYPT_DLGROUP",
        cbTotalSize=total,
        fHasPrimeQ=int(q is not None),
        nBitsOfP=p.bit_length(),
        cbPrimeP=(p.bit_length() + 7) // 8,
        nDigitsOfP=digits,
        nMaxBitsOfP=p.bit_length(),
        nBitsOfQ=q_bits,
        cbPrimeQ=(q_bits + 7) // 8,
        nDigitsOfQ=order_digits,
        nMaxBitsOfQ=q_bits or p.bit_length(),
        isSafePrimeGroup=int(safe),
        bIndexGenG=1,
        pbQ=at_q,
        pmP=at_p,
        pmQ=at_q if q else 0,
        peG=at_g,
        pbSeed=at_seed,
    )
    parts = [(0, head), (at_p - address, modulus(abi, at_p, p, digits, flags=_GROUP_FLAGS))]
    if q:
        parts.append((at_q - address, modulus(abi, at_q, q, order_digits, flags=_GROUP_FLAGS)))
    parts.append((at_g - address, _element(abi, g, p, digits)))
    return _join(total, parts)


def dl_key(
    abi: Abi,
    address: int,
    group_address: int,
    numbers: tuple[int, int | None, int],
    private: int,
    *,
    flags: int = c_symcrypt.FLAG_SIGNATURE,
) -> bytes:
    """A SYMCRYPT_DLKEY with its public element and its private value.

    Args:
        abi: Build.
        address: Of the key.
        group_address: Of its group.
        numbers: The group's p, q and g; without q the private value is one modulo p.
        private: x.
        flags: `fAlgorithmInfo`.
    """
    p, q, g = numbers
    digits = abi.digits(p.bit_length())
    private_digits = abi.digits(q.bit_length()) if q else digits
    at_public = address + abi.sizeof("SYMCRYPT_DLKEY")
    at_private = at_public + digits * abi.digit
    head = _pack(
        abi,
        "SYMCRYPT_DLKEY",
        **_flags(abi, flags),
        fHasPrivateKey=1,
        fPrivateModQ=int(q is not None),
        nBitsPriv=(q or p).bit_length(),
        pDlgroup=group_address,
        pbPrivate=at_private,
        pePublicKey=at_public,
        piPrivateKey=at_private,
    )
    total = at_private + abi.int_size(digits) - address
    parts = [(0, head), (at_public - address, _element(abi, pow(g, private, p), p, digits))]
    return _join(total, [*parts, (at_private - address, integer(abi, private, private_digits))])


def aes_key(abi: Abi, address: int, key: bytes) -> bytes:
    """A SYMCRYPT_AES_EXPANDED_KEY: round keys of encryption, then of decryption, which share the last of the first."""
    schedule = expand(key)
    last = len(schedule) - _ROUND_KEY
    inverse = [_inv_mix_columns(schedule[at : at + _ROUND_KEY]) for at in range(last - _ROUND_KEY, 0, -_ROUND_KEY)]
    rounds = schedule + b"".join(inverse) + schedule[:_ROUND_KEY]
    form = abi.c.SYMCRYPT_AES_EXPANDED_KEY
    data: bytes = form(
        RoundKey=list(rounds.ljust(len(form.fields["RoundKey"].type), b"\0")),
        lastEncRoundKey=address + last,
        lastDecRoundKey=address + 2 * last,
    ).dumps()
    return data.ljust(abi.aes_key_size, b"\0")


def _rsa_head(abi: Abi, flags: int, total: int, public: RSAPublicNumbers, **fields: Any) -> bytes:  # noqa: ANN401 - numbers or lists
    bits = public.n.bit_length()
    return _pack(
        abi,
        "SYMCRYPT_RSAKEY",
        **_flags(abi, flags),
        cbTotalSize=total,
        nSetBitsOfModulus=bits,
        nBitsOfModulus=bits,
        nDigitsOfModulus=abi.digits(bits),
        nPubExp=1,
        au64PubExp=[public.e],
        **fields,
    )


def _flags(abi: Abi, flags: int) -> dict[str, int]:
    return {} if abi.layout == c_symcrypt.PRE_102 else {"fAlgorithmInfo": flags}


def _pack(abi: Abi, structure: str, **fields: Any) -> bytes:  # noqa: ANN401 - numbers or lists
    """A structure, padded to where its contents begin."""
    data: bytes = getattr(abi.c, structure)(**fields).dumps()
    return data.ljust(abi.sizeof(structure), b"\0")


def _tag(tag: bytes, low: int = 0) -> int:
    return int.from_bytes(tag, "little") << 16 | low


def _number(abi: Abi, value: int, digits: int) -> bytes:
    return value.to_bytes(digits * abi.digit, "little")


def _element(abi: Abi, value: int, modulo: int, digits: int) -> bytes:
    """A number in Montgomery form: multiplied by R = 2^(bits of all its digits)."""
    return _number(abi, (value << 8 * digits * abi.digit) % modulo, digits)


def _join(size: int, parts: Iterable[tuple[int, bytes]]) -> bytes:
    data = bytearray(size)
    for offset, part in parts:
        data[offset : offset + len(part)] = part
    return bytes(data)


def _inv_mix_columns(data: bytes) -> bytes:
    """FIPS 197, 5.3.3, on any number of columns."""
    mixed = bytearray()
    for at in range(0, len(data), 4):
        column = data[at : at + 4]
        for row in range(4):
            value = 0
            for factor, byte in zip((14, 11, 13, 9), column[row:] + column[:row], strict=True):
                value ^= _times(factor, byte)
            mixed.append(value)
    return bytes(mixed)


def _times(a: int, b: int) -> int:
    """Multiply in GF(2^8) (FIPS 197, 4.2)."""
    product = 0
    while a:
        product ^= b if a & 1 else 0
        b = b << 1 ^ (0x11B if b & 0x80 else 0)
        a >>= 1
    return product
