"""SymCrypt's objects, written as the library lays them out, for every architecture and layout of `c_symcrypt`.

Each function returns the bytes of one allocation at `address`. Values that the library derives from a number (R^2, the
negated modulus, -1/n mod 2^64, the divisor's reciprocal, CRT inverses) are derived here too, so that the objects of a
real process dump come out byte for byte, which a test compares. Tables for faster arithmetic are left out.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from dumpscan.artifacts.symcrypt.numbers import reciprocal
from dumpscan.model import c_symcrypt
from dumpscan.model.c_symcrypt import DIVISOR_TAG, GENERIC_MODULUS_TAG, INT_TAG, MODULUS_TAG, WRAPPER_MAGIC
from dumpscan.synth.alignment import align

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers

    from dumpscan.model.c_symcrypt import Abi
    from dumpscan.synth.objects.symcrypt.curves import Curve

_PUBLIC_MODULUS_FLAGS = 0x01
_PRIME_FLAGS = 0x0A
_GROUP_FLAGS = 0x09
_MONTGOMERY_TYPE = {"x64": 0x80, "arm64": 0x80, "x86": 0x40}
"""Offset in the library's table of functions: x64 from the dump, the others assumed. No reader may rely on it."""


def integer(abi: Abi, value: int, digits: int) -> bytes:
    """Return an INT."""
    size = abi.int_size(digits)
    return _pack(abi, "SYMCRYPT_INT", type=_tag(INT_TAG), nDigits=digits, cbSize=size) + _number(abi, value, digits)


def modulus(abi: Abi, address: int, value: int, digits: int, *, flags: int, montgomery: bool = True) -> bytes:
    """Return a MODULUS; its elements are in Montgomery form unless `montgomery` is false."""
    element = digits * abi.digit
    divisor = _pack(
        abi,
        "SYMCRYPT_DIVISOR",
        type=_tag(DIVISOR_TAG),
        nDigits=digits,
        cbSize=abi.divisor_size(digits),
        nBits=value.bit_length(),
        W=reciprocal(value),
    )
    head = _pack(
        abi,
        "SYMCRYPT_MODULUS",
        type=_tag(MODULUS_TAG, _MONTGOMERY_TYPE[abi.architecture]) if montgomery else _tag(GENERIC_MODULUS_TAG),
        nDigits=digits,
        cbSize=abi.modulus_size(digits),
        flags=flags,
        cbModElement=element,
        Rsqr=address + abi.modulus_value + element if montgomery else 0,
        **_from_102(abi, inv64=-pow(value, -1, 1 << 64) % (1 << 64)),
    )
    extras = (pow(2, 16 * element, value), (1 << 8 * element) - value) if montgomery else (0, 0)
    numbers = b"".join(_number(abi, extra, digits) for extra in extras[: abi.modulus_extras])
    return head + divisor + integer(abi, value, digits) + numbers


def rsa_key(
    abi: Abi,
    address: int,
    public: RSAPublicNumbers,
    private: RSAPrivateNumbers | None = None,
    *,
    flags: int = c_symcrypt.FLAG_SIGNATURE,
    montgomery: bool = True,
) -> bytes:
    """Return a SYMCRYPT_RSAKEY with its numbers behind it.

    Args:
        abi: Build.
        address: Address of the key.
        public: n and e.
        private: The other numbers; None for a public key.
        flags: `fAlgorithmInfo`.
        montgomery: Whether the modulus is one for many operations; else it is a generic one.
    """
    bits = public.n.bit_length()
    digits = abi.digits(bits)
    structure, stride = abi.sizeof("SYMCRYPT_RSAKEY"), abi.modulus_size(digits)
    element, exponent = digits * abi.digit, abi.int_size(digits)
    at_modulus = address + structure
    number = modulus(abi, at_modulus, public.n, digits, flags=_PUBLIC_MODULUS_FLAGS, montgomery=montgomery)
    parts = [(stride, number)]
    if private is None:
        fields: dict[str, Any] = {"pbPrivExps": [at_modulus + stride]}
        parts.append((exponent, b""))
    else:
        p, q = private.p, private.q
        p_digits, q_digits = abi.digits(p.bit_length()), abi.digits(q.bit_length())
        sizes = (stride, stride, element, element, exponent, exponent, exponent)
        *places, _ = accumulate(sizes, initial=at_modulus + stride)
        primes, inverses, exponents, crt_exponents = places[:2], places[2:4], places[4:5], places[5:]
        fields = {
            "hasPrivateKey": 1,
            "nPrimes": 2,
            "nBitsOfPrimes": [p.bit_length(), q.bit_length()],
            "nDigitsOfPrimes": [p_digits, q_digits],
            "nMaxDigitsOfPrimes": max(p_digits, q_digits),
            "pbPrimes": primes,
            "pmPrimes": primes,
            "pbCrtInverses": inverses,
            "peCrtInverses": inverses,
            "pbPrivExps": exponents,
            "piPrivExps": exponents,
            "pbCrtPrivExps": crt_exponents,
            "piCrtPrivExps": crt_exponents,
        }
        contents = (
            modulus(abi, primes[0], p, p_digits, flags=_PRIME_FLAGS),
            modulus(abi, primes[1], q, q_digits, flags=_PRIME_FLAGS),
            _element(abi, pow(q, -1, p), p, p_digits),
            _element(abi, pow(p, -1, q), q, q_digits),
            integer(abi, private.d, digits),
            integer(abi, private.dmp1, p_digits),
            integer(abi, private.dmq1, q_digits),
        )
        parts += zip(sizes, contents, strict=True)
    head = _pack(
        abi,
        "SYMCRYPT_RSAKEY",
        **_from_102(abi, fAlgorithmInfo=flags),
        cbTotalSize=structure + sum(size for size, _ in parts),
        nSetBitsOfModulus=bits,
        nBitsOfModulus=bits,
        nDigitsOfModulus=digits,
        nPubExp=1,
        au64PubExp=[public.e],
        pmModulus=at_modulus,
        **fields,
    )
    return head + _joined(parts)


def rsa_wrapper(abi: Abi, key_address: int, bits: int, *, algorithm: int = 0xA400, provider: int = 0) -> bytes:
    """Return the provider's handle to an RSA key."""
    form = abi.c.MSBCRYPT_RSAKEY
    return bytes(
        form(
            cbLength=len(form),
            magic=WRAPPER_MAGIC,
            dwAlgorithm=algorithm,
            dwModBits=bits,
            pAlgorithm=provider,
            pKey=key_address,
        )
    )


def ec_curve(abi: Abi, address: int, curve: Curve) -> bytes:
    """Return a SYMCRYPT_ECURVE with its parameters behind it."""
    field_bits, order_bits = curve.p.bit_length(), curve.order.bit_length()
    digits, order_digits = abi.digits(field_bits), abi.digits(order_bits)
    element = digits * abi.digit
    generator = ec_point(abi, address, curve, curve.generator, 1)
    sizes = (
        abi.sizeof("SYMCRYPT_ECURVE"),
        abi.modulus_size(digits),
        element,
        element,
        abi.modulus_size(order_digits),
        abi.int_size(1),
        len(generator),
    )
    _, at_field, at_a, at_b, at_order, at_cofactor, at_generator, end = accumulate(sizes, initial=address)
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
        cbAlloc=end - address,
        coFactorPower=curve.cofactor_power,
        FMod=at_field,
        GOrd=at_order,
        A=at_a,
        B=at_b,
        G=at_generator,
        H=at_cofactor,
    )
    return b"".join(
        (
            head,
            modulus(abi, at_field, curve.p, digits, flags=_GROUP_FLAGS),
            _element(abi, curve.a, curve.p, digits),
            _element(abi, curve.b, curve.p, digits),
            modulus(abi, at_order, curve.order, order_digits, flags=_GROUP_FLAGS, montgomery=False),
            integer(abi, 1 << curve.cofactor_power, 1),
            generator,
        )
    )


def ec_point(abi: Abi, curve_address: int, curve: Curve, point: tuple[int, int], z: int) -> bytes:
    """Return an ECPOINT: (X, Y, Z) in Jacobian coordinates, or (X, Z) on Curve25519, for any z except 0."""
    digits = abi.digits(curve.p.bit_length())
    head = _pack(abi, "SYMCRYPT_ECPOINT", normalized=int(z == 1), pCurve=curve_address)
    x, y = point
    single = curve.coordinates == c_symcrypt.COORDINATES_SINGLE_PROJECTIVE
    values = (x * z, z) if single else (x * z**2, y * z**3, z)
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
    """Return a SYMCRYPT_ECKEY with its public point and its scalar.

    Args:
        abi: Build.
        address: Address of the key.
        curve_address: Address of its curve.
        curve: The curve.
        public: Affine public point. Only x counts on Curve25519.
        scalar: Private scalar, divided by the cofactor; None for a public key.
        z: Projective coordinate of the point.
        flags: `fAlgorithmInfo`.
    """
    at_point = address + abi.sizeof("SYMCRYPT_ECKEY")
    point = ec_point(abi, curve_address, curve, public, z)
    head = _pack(
        abi,
        "SYMCRYPT_ECKEY",
        **_from_102(abi, fAlgorithmInfo=flags),
        hasPrivateKey=int(scalar is not None),
        pCurve=curve_address,
        poPublicKey=at_point,
        piPrivateKey=at_point + len(point),
    )
    return head + point + integer(abi, scalar or 0, abi.digits(curve.order.bit_length() + curve.cofactor_power))


def dl_group(abi: Abi, address: int, p: int, q: int | None, g: int, *, safe: bool = False) -> bytes:
    """Return a SYMCRYPT_DLGROUP with its numbers."""
    p_bits, q_bits = p.bit_length(), q.bit_length() if q else 0
    digits, order_digits = abi.digits(p_bits), abi.digits(q_bits)
    sizes = (
        abi.sizeof("SYMCRYPT_DLGROUP"),
        abi.modulus_size(digits),
        abi.modulus_size(order_digits or digits),
        digits * abi.digit,
        align(((q_bits or p_bits) + 7) // 8, abi.alignment),
    )
    _, at_p, at_q, at_g, at_seed, end = accumulate(sizes, initial=address)
    head = _pack(
        abi,
        "SYMCRYPT_DLGROUP",
        cbTotalSize=end - address,
        fHasPrimeQ=int(q is not None),
        nBitsOfP=p_bits,
        cbPrimeP=(p_bits + 7) // 8,
        nDigitsOfP=digits,
        nMaxBitsOfP=p_bits,
        nBitsOfQ=q_bits,
        cbPrimeQ=(q_bits + 7) // 8,
        nDigitsOfQ=order_digits,
        nMaxBitsOfQ=q_bits or p_bits,
        isSafePrimeGroup=int(safe),
        bIndexGenG=1,
        pbQ=at_q,
        pmP=at_p,
        pmQ=at_q if q else 0,
        peG=at_g,
        pbSeed=at_seed,
    )
    contents = (
        head,
        modulus(abi, at_p, p, digits, flags=_GROUP_FLAGS),
        modulus(abi, at_q, q, order_digits, flags=_GROUP_FLAGS) if q else b"",
        _element(abi, g, p, digits),
        b"",
    )
    return _joined(zip(sizes, contents, strict=True))


def dl_key(
    abi: Abi,
    address: int,
    group_address: int,
    numbers: tuple[int, int | None, int],
    private: int | None = None,
    *,
    public: int | None = None,
    flags: int = c_symcrypt.FLAG_SIGNATURE,
) -> bytes:
    """Return a SYMCRYPT_DLKEY with its public element and its private value.

    Args:
        abi: Build.
        address: Address of the key.
        group_address: Address of its group.
        numbers: The group's p, q and g. Without q, the private value is a number modulo p.
        private: x; None for a public key, which has room for it but no INT there.
        public: y, where x is not given.
        flags: `fAlgorithmInfo`.
    """
    p, q, g = numbers
    digits = abi.digits(p.bit_length())
    at_public = address + abi.sizeof("SYMCRYPT_DLKEY")
    at_private = at_public + digits * abi.digit
    head = _pack(
        abi,
        "SYMCRYPT_DLKEY",
        **_from_102(abi, fAlgorithmInfo=flags),
        fHasPrivateKey=int(private is not None),
        fPrivateModQ=int(q is not None),
        nBitsPriv=(q or p).bit_length(),
        pDlgroup=group_address,
        pbPrivate=at_private,
        pePublicKey=at_public,
        piPrivateKey=at_private if private is not None else 0,
    )
    y = pow(g, private, p) if private is not None else public or 0
    scalar = b"" if private is None else integer(abi, private, abi.digits((q or p).bit_length()))
    return head + _element(abi, y, p, digits) + scalar.ljust(abi.int_size(digits), b"\0")


def _from_102(abi: Abi, **fields: int) -> dict[str, int]:
    """Return fields that only layout `102+` has; none for `pre-102`."""
    return {} if abi.layout == c_symcrypt.PRE_102 else fields


def _pack(abi: Abi, structure: str, **fields: Any) -> bytes:  # noqa: ANN401 -- numbers or lists
    """Return a structure, padded to where its contents begin."""
    return bytes(getattr(abi.c, structure)(**fields)).ljust(abi.sizeof(structure), b"\0")


def _tag(tag: bytes, low: int = 0) -> int:
    return int.from_bytes(tag, "little") << 16 | low


def _number(abi: Abi, value: int, digits: int) -> bytes:
    return value.to_bytes(digits * abi.digit, "little")


def _element(abi: Abi, value: int, modulo: int, digits: int) -> bytes:
    """Return a number in Montgomery form: multiplied by R = 2^(bits of all its digits)."""
    return _number(abi, (value << 8 * digits * abi.digit) % modulo, digits)


def _joined(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """Return (size, content) parts one after another, each content padded to its size."""
    return b"".join(content.ljust(size, b"\0") for size, content in parts)
