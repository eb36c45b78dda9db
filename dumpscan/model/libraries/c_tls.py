"""Where libraries keep the secrets of TLS sessions, in 64-bit programs.

Sources: OpenSSL 1.1.1 to 3.5 `ssl/ssl_local.h` (ssl_session_st, ssl_st) and `include/crypto/x509.h` (x509_st);
BoringSSL `ssl/internal.h` (SSL3_STATE); GnuTLS 3.7 `lib/gnutls_int.h` (security_parameters_st, gnutls_key_st); rustls
`src/tls13/key_schedule.rs`; wolfSSL 5.5 `wolfssl/internal.h` (WOLFSSL, Arrays). The distances were measured in real
processes: see `docs/memory-layouts.md`, "TLS secrets".
"""

from __future__ import annotations

from dumpscan.model.structures import structures

MIN_SESSION_VERSION = 0x0301
MAX_SESSION_VERSION = 0x0303
"""TLS 1.0 to 1.2. SSL_SESSION of TLS 1.3 holds no traffic secret."""
VERSION_OF_13 = 0x0304

_DEFINITIONS = """
struct ssl_session_st {         /* OpenSSL: the head, as far as all versions agree */
    int32   ssl_version;
    int32   pad;
    uint64  master_key_length;
    char    early_secret[64];
    char    master_key[256];
    uint64  session_id_length;
    char    session_id[32];
};

struct x509_st {                /* OpenSSL: the head, as far as all versions agree */
    uint64  version;
    int32   serial_number_length;
    int32   serial_number_type;
    uint64  serial_number_data;
    uint64  serial_number_flags;
    uint64  algorithm[2];
    uint64  issuer;
    uint64  validity[2];
    uint64  subject;
    uint64  key;
    uint64  unique_ids[2];
    uint64  extensions;
    uint64  signed_data;        /* enc.enc: TBSCertificate as it was received */
    uint64  signed_length;
    uint64  signed_modified;
    uint64  signature_algorithm[2];
    int32   signature_length;
    int32   signature_type;
    uint64  signature_data;
    uint64  signature_flags;
};
"""

c_tls = structures(_DEFINITIONS)

HEAD_SIZE = len(c_tls.ssl_session_st)
MASTER_OFFSET = 80
"""Offset of `master_key` in `ssl_session_st`."""

OPENSSL_MASTER = -384
OPENSSL_TRANSCRIPT = -128
"""Bytes from `client_app_traffic_secret` in `ssl_st` to `master_secret` and to `server_finished_hash`; they lie in
arrays of EVP_MAX_MD_SIZE, 64 bytes, in a row."""
OPENSSL_STEP = 64
"""Bytes from `client_app_traffic_secret` to `server_app_traffic_secret`."""
OPENSSL_111_RANDOMS = 152
"""Offset of `server_random`, which `client_random` follows, in `ssl3_state_st` of 1.1.1: behind `flags`, and a
MAC secret of 64 bytes with its size for each direction. Ciphers of TLS 1.3 leave those zero."""
OPENSSL_RANDOMS = (-1664, -1400)
"""Bytes from `client_app_traffic_secret` in which `server_random` lies, and `client_random` behind it: at -1508 in 3.0
on Linux, -1500 in 3.0 and -1520 in 3.5 on Windows, -1524 in 4.0 on Linux. MAC secrets before them are unused."""

OPENSSL_SESSION = (1792, 2048)
"""Bytes from `client_random` in `ssl_st` in which the pointer `session` lies: at 1976 in 3.0, 1856 in 3.2, 1912 in 3.5
and 4.0. (In 1.1.1, the randoms are in another object.)"""
OPENSSL_HOST_NAMES = (288, 320)
"""Bytes from `session` to the pointer `ext.hostname`: since 3.2, and in 3.0."""
OPENSSL_PEER = (592, 800)
"""Offsets in `ssl_session_st` in which the pointer `peer` to an `x509_st` lies: at 696 in 3.0, 704 since 3.2."""
X509_SIZE = 512
"""Bytes of `x509_st` in which `sha1_hash` lies, the hash of the whole certificate: at 312 in 3.0 to 4.0."""
V_ASN1_INTEGER = 2
V_ASN1_BIT_STRING = 3

DOWNGRADE = b"DOWNGRD"
"""How the last 8 bytes of a server's random begin that could have spoken TLS 1.3 and chose an older version; 0 or 1 is
behind it (RFC 8446, 4.1.3)."""
DOWNGRADE_SIZE = 8

HELLO_SIZE = 71
"""Bytes of a ClientHello or ServerHello up to the end of a session id of 32 bytes (RFC 8446, 4.1.2 and 4.1.3)."""

BORINGSSL_SECRET = 49
"""InplaceVector<uint8_t, 48>: the bytes, then one with their number."""
BORINGSSL_COUNT = 3
"""`write_traffic_secret`, `read_traffic_secret`, `exporter_secret`: in a server, its own comes first, in a client, the
client's."""
BORINGSSL_SESSION = (144, 240)
"""Bytes from the first of them in which `established_session` lies: at 176 in those that were measured."""
BORINGSSL_SESSION_HEAD = 10
"""Bytes of `ssl_session_st` of TLS 1.3 up to `peer_signature_algorithm`: before it come `u32 references; u16
ssl_version; u16 group_id`."""
BORINGSSL_VERSION_13 = b"\4\3"
BORINGSSL_MASTER = 6
"""Offset of `secret` in BoringSSL's `ssl_session_st`, behind the version, the group and the signature's algorithm."""
BORINGSSL_SESSION_SIZE = BORINGSSL_MASTER + BORINGSSL_SECRET
BORINGSSL_ID_LENGTH = 55
"""Older ones have `u8 secret_length` before `secret`, and `u8 session_id_length` (0 or 32) here, behind it."""
BORINGSSL_RANDOM = -240
"""Bytes from the first of them to `client_random`, which follows `server_random`."""

GNUTLS_STEP = 64
"""MAX_HASH_SIZE: `hs_ckey`, `hs_skey`, `ap_ckey`, `ap_skey`, `ap_expkey` lie in a row; `e_ckey` before them is zero."""
GNUTLS_RANDOM = -6084
"""Bytes from `ap_ckey` to `client_random`, which `server_random` follows."""
RUNS_12 = {
    ("gnutls", "security_parameters_st"): (0, 48, 80),
    ("rustls", "ConnectionSecrets"): (64, 0, 32),
}
"""Where objects hold both randoms and the master secret of TLS 1.2 in one run: distances from its first byte to the
master secret, the client's random and the server's."""
KEY_EXPANSION = b"key expansion"
"""What Go joins with the server's random and the client's to one piece of its heap (RFC 5246, 6.3)."""

MBEDTLS_SUITE = 48
"""Bytes from `ciphersuite` in `mbedtls_ssl_session` to `master`; `compression`, `u64 id_len` and `id` are between."""

SCHANNEL_MAGIC = b"5lss"
SCHANNEL_MAGIC_BEFORE = 24
"""Bytes from the magic number `ssl5` to the master secret: behind it are the version, the suite and its side. Source:
Kambic, "Extracting CNG TLS/SSL artifacts from LSASS memory" (2016); no such memory was at hand."""

WOLFSSL_STEP = 48
"""Bytes from `clientSecret` to `serverSecret` in `WOLFSSL`."""
WOLFSSL_ARRAYS = -8
"""Bytes from `clientSecret` to the pointer `arrays`."""
WOLFSSL_RANDOM = 0xC62
"""Offset of `clientRandom`, which `serverRandom` follows, in `Arrays`."""
WOLFSSL_ID_LENGTH = 96
WOLFSSL_MASTER = 209
"""Bytes from `clientRandom` to `sessionIDSz` and to `masterSecret`; secrets of TLS 1.3 between are zero in 1.2."""
WOLFSSL_SIZE = WOLFSSL_MASTER + 48

S2N_STEP = 48
"""Bytes from `client_app_secret` in `s2n_connection` to `server_app_secret`, to `resumption_master_secret` and to
`exporter_master_secret`, each from the one before it."""
S2N_RANDOM = 2400
"""Bytes from the first of them to `client_random`, around which the object is zero."""

RUSTLS_STEP = 72
"""Bytes from one secret to the next: 64, and their number."""

RUSTLS_RANDOM = 2 * RUSTLS_STEP
"""Bytes from a client's handshake secret to `ConnectionRandoms`, in which the client's comes first; the server's
handshake secret is between."""
RUSTLS_LEFT = 288
"""Bytes from a client's handshake secret to a copy of its application secret that is by itself, on the stack."""
RUSTLS_GAPS = (296, 224)
"""Bytes from a client's handshake secret to its application secret: on the heap, and on the stack."""

NSS_HANDLE = -1056
"""Bytes from the value in `sftk_session_object_st` to the object's handle."""
NSS_KEY_HANDLE = 8
"""Offset of `objectID` in `PK11SymKeyStr`."""
NSS_SECRETS = (696, 704, 720)
"""Bytes from `client_random`, which follows `server_random`, to the pointers `clientTrafficSecret`,
`serverTrafficSecret` and `exporterSecret` to `PK11SymKeyStr`."""
CKA_VALUE = 0x11

JAVA_LENGTH = -4
"""HotSpot: the length of a byte[] is before its first byte, and the class before that, which is not zero."""
