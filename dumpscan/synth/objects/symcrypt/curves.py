"""Parameters of the curves on which synthetic SymCrypt keys lie."""

from __future__ import annotations

from dataclasses import dataclass

from dumpscan.model import c_symcrypt


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve's parameters as SymCrypt stores them: of a Montgomery curve, (A + 2) / 4 as `a`, and no `b`.

    Source: docs/memory-layouts.md, "SymCrypt EC keys".

    Attributes:
        kind: As in `SYMCRYPT_ECURVE.type`.
        generator: (x, y).
        cofactor_power: The cofactor is 2^this.
    """

    kind: int
    p: int
    a: int
    b: int
    generator: tuple[int, int]
    order: int
    cofactor_power: int = 0

    @property
    def coordinates(self) -> int:
        """As in `SYMCRYPT_ECURVE.eCoordinates`."""
        if self.kind == c_symcrypt.CURVE_MONTGOMERY:
            return c_symcrypt.COORDINATES_SINGLE_PROJECTIVE
        return c_symcrypt.COORDINATES_JACOBIAN


def _nist(p: int, b: str, x: str, y: str, order: str) -> Curve:
    generator = int(x, 16), int(y, 16)
    return Curve(c_symcrypt.CURVE_WEIERSTRASS_MINUS_3, p, p - 3, int(b, 16), generator, int(order, 16))


CURVES = {
    "secp256r1": _nist(
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    ),
    "secp384r1": _nist(
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
        "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
        "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
    "secp521r1": _nist(
        2**521 - 1,
        "051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1"
        "56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
        "c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dba"
        "a14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
        "11839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c"
        "97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
        "1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    ),
    "secp160r1": _nist(
        2**160 - 2**31 - 1,
        "1c97befc54bd7a8b65acf89f81d4d4adc565fa45",
        "4a96b5688ef573284664698968c38bb913cbfc82",
        "23a628553168947d59dcc912042351377ac5fb32",
        "100000000000000000001f4c8f927aed3ca752257",
    ),
    "curve25519": Curve(
        c_symcrypt.CURVE_MONTGOMERY,
        2**255 - 19,
        (486662 + 2) // 4,
        0,
        (9, 0x20AE19A1B8A086B4E01EDD2C7748D14C923D4D7E6D7C61B229E9C5A27ECED3D9),
        2**252 + 27742317777372353535851937790883648493,
        3,
    ),
}
"""FIPS 186-4 D.1.2, SEC 2 2.4.2 (version 1), RFC 7748 4.1."""
