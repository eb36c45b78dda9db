"""Layouts of the big numbers of libraries, and of the key structures that hold them.

Every number is a small header that points to its limbs, the least significant first: words as large as a pointer.

Sources: OpenSSL 1.1.1 to 3.5 `crypto/bn/bn_local.h` (bignum_st), `crypto/rsa/rsa_local.h` (rsa_st),
`crypto/ec/ec_local.h` (ec_key_st, ec_point_st); BoringSSL
`include/openssl/bn.h`, `crypto/fipsmodule/ec/internal.h` (EC_POINT, EC_FELEM); mbedTLS 2.28 and 3.6 `bignum.h`,
`rsa.h`, `ecp.h`; GMP `gmp.h` (__mpz_struct); Go `reflect.SliceHeader`, `math/big`. Compared with real processes: see
`docs/memory-layouts.md`, "Big numbers of libraries".
"""

from __future__ import annotations

from typing import Any

from dumpscan.model.structures import structures

LIMB = 8
LIMB_32 = 4
"""Bytes of a limb, and of a pointer, in 64-bit and in 32-bit programs."""
MIN_LIMBS = 4
"""Limbs of the smallest private number that is looked for: the scalar of a curve over 256 bits."""
MAX_LIMBS = 256
"""Limbs of the largest number: an RSA modulus of 16384 bits."""
MAX_DMAX = 512
MAX_FLAGS = 0x1000F
"""BN_FLG_MALLOCED 1, BN_FLG_STATIC_DATA 2, BN_FLG_CONSTTIME 4, BN_FLG_SECURE 8, BN_FLG_FIXED_TOP 0x10000."""
FLAG_CONSTTIME = 4
FLAG_SECURE = 8
"""OpenSSL sets either or both on private numbers; BoringSSL has neither."""
MAX_POINTER = 1 << 48
NID_P256 = 415
NID_SECP256K1 = 714
NID_P384 = 715
NID_P521 = 716
"""OpenSSL's numbers of curves (`include/openssl/obj_mac.h`)."""

_DEFINITIONS = """
struct bignum_st {              /* OpenSSL, BoringSSL */
    uint64  d;
    int32   top;
    int32   dmax;
    int32   neg;
    int32   flags;
};
struct rsa_st_numbers {         /* within rsa_st: pointers to bignum_st */
    uint64  n;
    uint64  e;
    uint64  d;
    uint64  p;
    uint64  q;
    uint64  dmp1;
    uint64  dmq1;
    uint64  iqmp;
};
struct ec_key_st_numbers {      /* within ec_key_st: pointers */
    uint64  group;
    uint64  pub_key;            /* ec_point_st */
    uint64  priv_key;           /* bignum_st */
};
struct ec_point_st {            /* OpenSSL: pointers to bignum_st, plain or in Montgomery form */
    uint64  meth;
    int32   curve_name;
    int32   pad;
    uint64  X;
    uint64  Y;
    uint64  Z;                  /* X/Z^2 and Y/Z^3 are the point */
};
struct boringssl_ec_point {     /* BoringSSL: limbs, in Montgomery form; those of a curve come first in each */
    uint64  group;
    uint64  X[9];
    uint64  Y[9];
    uint64  Z[9];
};
struct mbedtls_mpi {            /* mbedTLS 2.28 */
    int32   s;
    int32   pad;
    uint64  n;
    uint64  p;
};
struct mbedtls_mpi_3_5 {        /* mbedTLS since 3.5 */
    uint64  p;
    int16   s;
    uint16  n;
    int32   pad;
};
struct mpz_struct {             /* GMP */
    int32   alloc;
    int32   size;
    uint64  d;
};
struct go_slice {
    uint64  array;
    int64   len;
    int64   cap;
};
"""

c_numbers = structures(_DEFINITIONS)
c_numbers_32 = structures(_DEFINITIONS.replace("uint64", "uint32").replace("    int32   pad;\n", ""))
"""The same of 32-bit programs, in which nothing has to be padded; BoringSSL's points are not known there."""


def layouts(pointer_size: int) -> Any:  # noqa: ANN401 - as `structures`
    """Return the layouts in a program with pointers of so many bytes."""
    return c_numbers if pointer_size == LIMB else c_numbers_32
