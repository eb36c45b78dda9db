"""Layouts of the key blobs of Windows' crypto interfaces.

Sources: `bcrypt.h` for `BCRYPT_*`, whose headers give lengths in bytes and whose numbers are big-endian; `wincrypt.h`
for `PUBLICKEYSTRUC` and `RSAPUBKEY`, whose numbers are little-endian, with lengths that follow from `bitlen`.
`PVK_HEADER`: private key files of Microsoft's code signing tools, as Dr Stephen N. Henson described them ("PVK file
information") and as OpenSSL's `crypto/pem/pvkfmt.c` reads them; the salt and a password make an RC4 key with SHA-1.
"""

from __future__ import annotations

from dumpscan.model.structures import structures

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
    char    dwMagic[4];         /* ECS1..6 (ECDSA), ECK1..6 (ECDH): P-256, P-384, P-521, odd public, even private;
                                   ECDP, ECKP public and ECDV, ECKV private of a curve that is not named */
    uint32  cbKey;
} BCRYPT_ECCKEY_BLOB;           /* X, Y, then (private) d, cbKey bytes each; X and Y all zero: not given */

typedef struct {
    char    dwMagic[4];         /* DSPB public, DSPV private */
    uint32  cbKey;              /* 64 to 128 */
    uint8   Count[4];           /* all ff, as Seed: not known */
    uint8   Seed[20];
    uint8   q[20];
} BCRYPT_DSA_KEY_BLOB;          /* p, g, y (cbKey bytes each), then (private) x (20) */

typedef struct {
    char    dwMagic[4];         /* DPB2 public, DPV2 private */
    uint32  cbKey;              /* 129 to 384 */
    uint32  hashAlgorithm;      /* 0 SHA-1, 1 SHA-256, 2 SHA-512 */
    uint32  standardVersion;    /* 0 FIPS 186-2, 1 FIPS 186-3 */
    uint32  cbSeedLength;
    uint32  cbGroupSize;
    uint8   Count[4];
} BCRYPT_DSA_KEY_BLOB_V2;       /* Seed (cbSeedLength), q (cbGroupSize), p, g, y (cbKey bytes each),
                                   then (private) x (cbGroupSize) */

typedef struct {
    char    dwMagic[4];         /* DHPB public, DHPV private */
    uint32  cbKey;
} BCRYPT_DH_KEY_BLOB;           /* p, g, y, then (private) x, cbKey bytes each */

typedef struct {
    uint8   bType;              /* 7: PRIVATEKEYBLOB */
    uint8   bVersion;           /* 2, or 3 */
    uint16  reserved;
    uint32  aiKeyAlg;           /* 0xa400 CALG_RSA_KEYX, 0x2400 CALG_RSA_SIGN, 0x2200 CALG_DSS_SIGN,
                                   0xaa01 CALG_DH_SF, 0xaa02 CALG_DH_EPHEM */
} PUBLICKEYSTRUC;

typedef struct {
    char    magic[4];           /* RSA1 public, RSA2 private */
    uint32  bitlen;
    uint32  pubexp;
} RSAPUBKEY;                    /* n (bitlen/8), then p, q, dp, dq, qinv (bitlen/16 each), d (bitlen/8) */

typedef struct {
    uint32  counter;            /* all ff: the seed is not known */
    uint8   seed[20];
} DSSSEED;

typedef struct {
    char    magic[4];           /* DSS1 public, DSS2 private; DH1 public, DH2 private */
    uint32  bitlen;
} DSSPUBKEY;                    /* DSS2: p (bitlen/8), q (20), g (bitlen/8), x (20), DSSSEED;
                                   DH2: p, g, x (bitlen/8 each) */

typedef struct {
    char    magic[4];           /* DSS4 of DSA, DH4 of Diffie-Hellman */
    uint32  bitlenP;
    uint32  bitlenQ;
    uint32  bitlenJ;            /* 0: j is not given */
    uint32  bitlenX;
    DSSSEED DSSSeed;
} DSSPRIVKEY_VER3;              /* p (bitlenP/8), q (bitlenQ/8), g (bitlenP/8), j (bitlenJ/8), y (bitlenP/8),
                                   x (bitlenX/8) */

typedef struct {
    uint32  magic;              /* 0xb0b5f11e */
    uint32  reserved;
    uint32  keytype;            /* 1 exchange, 2 signature */
    uint32  encrypted;          /* 0 no, 1 RC4 */
    uint32  saltlen;
    uint32  keylen;
} PVK_HEADER;                   /* salt (saltlen), PUBLICKEYSTRUC, then the rest, encrypted or not: keylen in all */
"""

c_keyblob = structures(keyblob_def)
