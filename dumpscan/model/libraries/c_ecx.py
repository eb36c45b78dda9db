"""Keys of Curve25519 and Curve448 as OpenSSL holds them: the public value, and a pointer to the private one.

Sources: OpenSSL 3.0 to 3.5 `include/crypto/ecx.h` (ecx_key_st); 1.1.1 `crypto/ec/ec_local.h` (ECX_KEY),
`include/crypto/evp.h` (evp_pkey_st) and `include/openssl/obj_mac.h` (the NIDs). Compared with real processes: see
`docs/memory-layouts.md`, "Keys of Curve25519 and Curve448 in OpenSSL".
"""

from __future__ import annotations

from dumpscan.model.structures import structures

HAS_PUBLIC = 1
"""The bit of `flags` that says that the public value is there."""
MAX_REFERENCES = 0xFFFF
"""The most references to a key that are taken for real."""

_DEFINITIONS = """
struct ecx_key_st {             /* 3.0 and later */
    uint64  libctx;
    uint64  propq;
    uint8   flags;
    uint8   pubkey[57];
    uint8   pad[6];
    uint64  privkey;
    uint64  keylen;
    uint32  type;
    int32   references;
};
struct ecx_key_st_32 {          /* the same in 32-bit programs */
    uint32  libctx;
    uint32  propq;
    uint8   flags;
    uint8   pubkey[57];
    uint8   pad[2];
    uint32  privkey;
    uint32  keylen;
    uint32  type;
    int32   references;
};
struct ecx_key_1_1_1 {
    uint8   pubkey[57];
    uint8   pad[7];
    uint64  privkey;
};
struct evp_pkey_1_1_1 {
    int32   type;
    int32   save_type;
    int32   references;
    int32   pad;
    uint64  ameth;
    uint64  engine;
    uint64  pmeth_engine;
    uint64  pkey;               /* ecx_key_1_1_1 */
    int32   save_parameters;    /* 1 */
    int32   pad2;
};
"""

c_ecx = structures(_DEFINITIONS)

TYPE_ED25519 = 2
TYPE_ED448 = 3
"""Of ECX_KEY_TYPE; X25519 is 0, X448 is 1."""
NID_ED25519 = 1087
NID_ED448 = 1088
"""The types of the same algorithms in 1.1.1."""
