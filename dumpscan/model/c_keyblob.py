"""Layouts of the key blobs of Windows' crypto interfaces.

`BCRYPT_*` from Microsoft's `bcrypt.h`: the header gives lengths in bytes, and the numbers follow big-endian.
`PUBLICKEYSTRUC` and `RSAPUBKEY` from `wincrypt.h`: the numbers follow little-endian, their lengths implied by `bitlen`.
"""

from __future__ import annotations

from dissect.cstruct import cstruct

keyblob_def = """
typedef struct {
    char    Magic[4];           /* RSA1 public, RSA2 private, RSA3 full private */
    uint32  BitLength;
    uint32  cbPublicExp;
    uint32  cbModulus;
    uint32  cbPrime1;
    uint32  cbPrime2;
} BCRYPT_RSAKEY_BLOB;           /* e, n, then p, q, then (RSA3) dp, dq, qinv, d */

typedef struct {
    char    dwMagic[4];         /* ECS1..6 (ECDSA), ECK1..6 (ECDH): P-256, P-384, P-521, odd public, even private */
    uint32  cbKey;
} BCRYPT_ECCKEY_BLOB;           /* X, Y, then (private) d, cbKey bytes each */

typedef struct {
    uint8   bType;              /* 7: PRIVATEKEYBLOB */
    uint8   bVersion;           /* 2 */
    uint16  reserved;
    uint32  aiKeyAlg;           /* 0xa400 CALG_RSA_KEYX, 0x2400 CALG_RSA_SIGN */
} PUBLICKEYSTRUC;

typedef struct {
    char    magic[4];           /* RSA1 public, RSA2 private */
    uint32  bitlen;
    uint32  pubexp;
} RSAPUBKEY;                    /* n (bitlen/8), then p, q, dp, dq, qinv (bitlen/16 each), d (bitlen/8) */
"""

c_keyblob = cstruct().load(keyblob_def)
