"""Layouts of SymCrypt, the library behind Windows' own cryptography: numbers, keys, groups, curves, AES schedules.

Source: `inc/symcrypt_internal.h` of SymCrypt 101.0 (`pre-102`) and 103.8 (`102+`). See docs/memory-layouts.md,
"SymCrypt", for how it was checked and which Windows has which layout.

A structure is declared once, with C's own alignment rules; pointer size, digit size and `SYMCRYPT_ASYM_ALIGN` make six
`Abi`s of it. If contents follow a structure, they begin at its size rounded up to that alignment. Offsets in comments
are those of x64 in layout `102+`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dissect.cstruct import cstruct

if TYPE_CHECKING:
    from collections.abc import Iterator

PRE_102 = "pre-102"
FROM_102 = "102+"

INT_TAG = b"\x49\x67"
DIVISOR_TAG = b"\x44\x67"
MODULUS_TAG = b"\x4d\x6d"
GENERIC_MODULUS_TAG = b"\x4d\x67"
MODULUS_TAGS = (
    GENERIC_MODULUS_TAG,
    MODULUS_TAG,
    b"\x4d\x78",
    b"\x78\x31",
    b"\x78\x32",
    b"\x6d\x32",
    b"\x6d\x39",
    b"\x6e\x33",
)
"""Bytes 2 and 3 of the object. Bytes 0 and 1 are an offset in a table of functions and differ between builds.
A generic modulus is one whose elements are not in Montgomery form, such as every curve's order.
The later tags name the multiplication that the processor allows: MULX for any size, for 512 and for 1024 bits, 1024
bits on ARM64, and 576 and 384 bits (SymCrypt's source code; in no dump that we hold)."""

WRAPPER_MAGIC = b"KRSM"

MAX_DIGITS = 0x80
"""Digits of the largest number that is looked for: 65536 bits on x64, 16384 on x86."""

FLAG_NO_FIPS = 0x100
FLAG_MINIMAL_VALIDATION = 0x200
FLAG_SIGNATURE = 0x1000
FLAG_AGREEMENT = 0x2000
"""Bits of `fAlgorithmInfo`: the last two are RSAKEY_SIGN, ECKEY_ECDSA, DLKEY_DSA and RSAKEY_ENCRYPT, ECKEY_ECDH,
DLKEY_DH."""

CURVE_WEIERSTRASS = 1
CURVE_EDWARDS = 2
CURVE_MONTGOMERY = 3
CURVE_WEIERSTRASS_MINUS_3 = 4

COORDINATES_AFFINE = 0x22
COORDINATES_PROJECTIVE = 0x33
COORDINATES_JACOBIAN = 0x43
COORDINATES_EXTENDED_PROJECTIVE = 0x54
COORDINATES_SINGLE_PROJECTIVE = 0x62
"""`eCoordinates`: the low four bits are the number of coordinates of a point."""

symcrypt_def = """
typedef struct {
    uint32  type;
    uint32  nDigits;
    uint32  cbSize;             /* 0x08: header, and nDigits digits */
    void *  magic;
} SYMCRYPT_INT;                 /* the value's limbs follow, little-endian */

typedef struct {
    uint32  type;
    uint32  nDigits;
    uint32  cbSize;
    uint32  nBits;              /* 0x0c: of the value */
    void *  magic;
    uint64  W;                  /* 0x18: td */
} SYMCRYPT_DIVISOR;             /* a SYMCRYPT_INT follows */

typedef struct {
    uint32  type;
    uint32  nDigits;
    uint32  cbSize;
    uint32  flags;              /* 0x0c */
    uint32  cbModElement;       /* 0x10: nDigits digits */
    uint64  inv64;              /* 0x18, 102+ only: -1/modulus mod 2^64 */
    void *  magic;
    void *  Rsqr;               /* 0x28, tm: of R^2 mod modulus; 0 where elements are not in Montgomery form */
    uint64  _tm;                /* pre-102 only: room for inv64, whose place in tm is not known */
} SYMCRYPT_MODULUS;             /* a SYMCRYPT_DIVISOR follows, then R^2, then (102+) the negated modulus */

typedef struct {
    uint32  fAlgorithmInfo;     /* 102+ only */
    uint32  cbTotalSize;        /* bytes of the whole allocation */
    uint8   hasPrivateKey;
    uint32  nSetBitsOfModulus;  /* 0x0c */
    uint32  nBitsOfModulus;
    uint32  nDigitsOfModulus;
    uint32  nPubExp;            /* 1 */
    uint32  nPrimes;            /* 0x1c: 0 or 2 */
    uint32  nBitsOfPrimes[2];
    uint32  nDigitsOfPrimes[2];
    uint32  nMaxDigitsOfPrimes; /* 0x30 */
    uint64  au64PubExp[1];      /* 0x38 */
    void *  pbPrimes[2];
    void *  pbCrtInverses[2];
    void *  pbPrivExps[1];
    void *  pbCrtPrivExps[2];
    void *  pmModulus;          /* 0x78 */
    void *  pmPrimes[2];
    void *  peCrtInverses[2];
    void *  piPrivExps[1];      /* 0xa0 */
    void *  piCrtPrivExps[2];
    void *  magic;              /* address + constant in checked builds only */
} SYMCRYPT_RSAKEY;              /* the objects follow in the order of their pointers */

typedef struct {
    uint32  fAlgorithmInfo;     /* 102+ only */
    uint8   hasPrivateKey;
    void *  pCurve;             /* 0x08 */
    void *  poPublicKey;
    void *  piPrivateKey;       /* 0x18 */
    void *  magic;
} SYMCRYPT_ECKEY;               /* a SYMCRYPT_ECPOINT follows, then a SYMCRYPT_INT */

typedef struct {
    uint8   normalized;         /* Z is 1 */
    void *  pCurve;             /* 0x08 */
    void *  magic;
} SYMCRYPT_ECPOINT;             /* one element follows for each coordinate */

typedef struct {
    uint32  window;
    uint32  nPrecompPoints;
    uint32  nRecodedDigits;
    void *  poPrecompPoints[64];
} SYMCRYPT_ECURVE_INFO_PRECOMP;

typedef struct {
    uint32  version;            /* 1 */
    uint32  curve_type;         /* 0x04: `type` */
    uint32  eCoordinates;
    uint32  FModBitsize;        /* 0x0c */
    uint32  FModDigits;
    uint32  FModBytesize;
    uint32  GOrdBitsize;        /* 0x18 */
    uint32  GOrdDigits;
    uint32  GOrdBytesize;
    uint32  cbModElement;
    uint32  cbAlloc;            /* 0x28 */
    uint32  cbScratchCommon;
    uint32  cbScratchScalar;
    uint32  cbScratchScalarMulti;
    uint32  cbScratchGetSetValue;
    uint32  cbScratchEckey;
    uint32  coFactorPower;      /* 0x40: the cofactor is 2^this */
    uint32  PrivateKeyDefaultFormat;
    uint32  HighBitRestrictionNumOfBits;
    uint32  HighBitRestrictionPosition;
    uint32  HighBitRestrictionValue;
    SYMCRYPT_ECURVE_INFO_PRECOMP sw;    /* 0x58: info */
    void *  FMod;               /* 0x268 */
    void *  GOrd;
    void *  A;
    void *  B;
    void *  G;
    void *  H;
    void *  magic;
} SYMCRYPT_ECURVE;              /* FMod, A, B, GOrd, H, G follow */

typedef struct {
    DLKEY_HEAD
    void *  pbPrivate;
    void *  pePublicKey;        /* 0x20 */
    void *  piPrivateKey;
    void *  magic;
} SYMCRYPT_DLKEY;               /* the public element follows, then room for the SYMCRYPT_INT */

typedef struct {
    uint32  cbTotalSize;
    uint8   fHasPrimeQ;
    uint32  nBitsOfP;           /* 0x08 */
    uint32  cbPrimeP;
    uint32  nDigitsOfP;
    uint32  nMaxBitsOfP;
    uint32  nBitsOfQ;           /* 0x18 */
    uint32  cbPrimeQ;
    uint32  nDigitsOfQ;
    uint32  nMaxBitsOfQ;
    uint8   isSafePrimeGroup;
    uint32  nMinBitsPriv;
    uint32  nDefaultBitsPriv;
    uint32  nBitsOfSeed;
    uint32  cbSeed;
    uint32  eFipsStandard;
    void *  pHashAlgorithm;
    uint32  dwGenCounter;
    uint8   bIndexGenG;
    void *  pbQ;
    void *  pmP;                /* 0x58 */
    void *  pmQ;
    void *  peG;
    void *  pbSeed;
    void *  magic;
} SYMCRYPT_DLGROUP;             /* P, Q, the element G and the seed follow */

typedef struct {
    uint8   RoundKey[464];      /* 29 round keys of 16 bytes: those of encryption, then those of decryption */
    void *  lastEncRoundKey;    /* 0x1d0 */
    void *  lastDecRoundKey;
    void *  magic;
} SYMCRYPT_AES_EXPANDED_KEY;

typedef struct {
    uint32  cbLength;           /* of this structure */
    char    magic[4];           /* KRSM */
    uint32  dwAlgorithm;        /* 0x08: 0xa400 CALG_RSA_KEYX, 0x2400 CALG_RSA_SIGN */
    uint32  dwModBits;
    int32   _unknown[2];
    void *  pAlgorithm;
    void *  pKey;               /* 0x20: the SYMCRYPT_RSAKEY */
} MSBCRYPT_RSAKEY;              /* the provider's handle */
"""

_DLKEY_HEAD = {
    FROM_102: "uint32 fAlgorithmInfo; uint8 fHasPrivateKey; uint8 fPrivateModQ; uint32 nBitsPriv; void * pDlgroup;",
    PRE_102: "void * pDlgroup; uint8 fHasPrivateKey; uint8 fPrivateModQ; uint32 nBitsPriv;",
}


def _definitions(layout: str) -> str:
    """Return the declarations of a layout: without the fields that only the other one has."""
    absent = "102+ only" if layout == PRE_102 else "pre-102 only"
    lines = [line for line in symcrypt_def.splitlines() if absent not in line]
    return "\n".join(lines).replace("DLKEY_HEAD", _DLKEY_HEAD[layout])


@dataclass(frozen=True)
class Abi:
    """SymCrypt as it was compiled for one architecture, in one layout.

    Attributes:
        architecture: `x64`, `arm64` or `x86`.
        layout: `pre-102` or `102+`.
        pointer_size: Bytes of a pointer.
        digit: Bytes of a digit, the unit in which numbers are allocated.
        alignment: Bytes to which objects and the contents behind a structure are aligned.
    """

    architecture: str
    layout: str
    pointer_size: int
    digit: int
    alignment: int

    @cached_property
    def c(self) -> Any:  # noqa: ANN401 - the structures are attributes made at run time
        """The structures."""
        return cstruct(pointer=f"uint{self.pointer_size * 8}").load(_definitions(self.layout), align=True)

    def sizeof(self, structure: str) -> int:
        """Return the bytes from the beginning of a structure to the contents behind it."""
        size = self._sizes.get(structure)
        if size is None:
            size = -(-len(getattr(self.c, structure)) // self.alignment) * self.alignment
            self._sizes[structure] = size
        return size

    def offset(self, structure: str, field: str) -> int:
        """Return the offset of a field in bytes."""
        return self._span(structure, field)[0]

    def number(self, data: bytes, structure: str, field: str) -> int:
        """Return one integer or pointer from a structure's bytes, without decoding the rest."""
        start, end = self._span(structure, field)
        return int.from_bytes(data[start:end], "little")

    def _span(self, structure: str, field: str) -> tuple[int, int]:
        span = self._spans.get((structure, field))
        if span is None:
            found = getattr(self.c, structure).fields[field]
            span = self._spans[structure, field] = int(found.offset), int(found.offset) + len(found.type)
        return span

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {}

    @cached_property
    def _spans(self) -> dict[tuple[str, str], tuple[int, int]]:
        return {}

    @cached_property
    def int_value(self) -> int:
        """Offset of the value in an INT (`ti`)."""
        return self.sizeof("SYMCRYPT_INT")

    @cached_property
    def divisor_int(self) -> int:
        """Offset of the INT in a DIVISOR."""
        return self.sizeof("SYMCRYPT_DIVISOR")

    @cached_property
    def modulus_divisor(self) -> int:
        """Offset of the DIVISOR in a MODULUS."""
        return self.sizeof("SYMCRYPT_MODULUS")

    @cached_property
    def modulus_value(self) -> int:
        """Offset of the value in a MODULUS."""
        return self.modulus_divisor + self.divisor_int + self.int_value

    @property
    def modulus_extras(self) -> int:
        """Numbers behind the value of a MODULUS: R^2, and in `102+` the negated modulus."""
        return 1 if self.layout == PRE_102 else 2

    @cached_property
    def aes_key_size(self) -> int:
        """Bytes of an AES_EXPANDED_KEY, which has an alignment of its own (`SYMCRYPT_ALIGN`: 16, on x86 4)."""
        alignment = 2 * self.pointer_size if self.pointer_size > 4 else self.pointer_size  # noqa: PLR2004 - x86
        return -(-len(self.c.SYMCRYPT_AES_EXPANDED_KEY) // alignment) * alignment

    def digits(self, bits: int) -> int:
        """Return the digits of a number of `bits` bits."""
        return -(-bits // (self.digit * 8))

    def int_size(self, digits: int) -> int:
        """Return `cbSize` of an INT."""
        return self.int_value + digits * self.digit

    def divisor_size(self, digits: int) -> int:
        """Return `cbSize` of a DIVISOR."""
        return self.divisor_int + self.int_size(digits)

    def modulus_size(self, digits: int) -> int:
        """Return `cbSize` of a MODULUS."""
        return self.modulus_divisor + self.divisor_size(digits) + self.modulus_extras * digits * self.digit


X64 = Abi("x64", FROM_102, 8, 64, 32)
X64_OLD = Abi("x64", PRE_102, 8, 64, 32)
ARM64 = Abi("arm64", FROM_102, 8, 32, 32)
ARM64_OLD = Abi("arm64", PRE_102, 8, 32, 32)
X86 = Abi("x86", FROM_102, 4, 16, 16)
X86_OLD = Abi("x86", PRE_102, 4, 16, 16)

ABIS = (X64, X64_OLD, ARM64, ARM64_OLD, X86, X86_OLD)


def abis(pointer_size: int, digit: int | None = None) -> Iterator[Abi]:
    """Yield the builds that can occur in memory with such pointers, `102+` first.

    32-bit code occurs in 64-bit processes too (WoW64).

    Args:
        pointer_size: Bytes of the memory's pointers.
        digit: Only builds whose digits have so many bytes.
    """
    for abi in ABIS:
        if abi.pointer_size <= pointer_size and digit in (None, abi.digit):
            yield abi
