"""How key material is protected by a password: key derivation and cipher, by the names that administrators know.

Sources: RFC 8018 (PBES1, PBES2, PBKDF2), RFC 7292 appendix C (PKCS#12's own), RFC 7914 (scrypt), RFC 9579 (PBMAC1).
"""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto import algos, core

from dumpscan.artifacts.decoded import RefusedError

PARSER_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What `asn1crypto` raises for structures that are not what they should be; it parses late, at any access."""

_MOST_ITERATIONS = 1 << 32
_UNLISTED = {"1.3.6.1.4.1.11591.4.11": "scrypt", "1.2.840.113549.1.5.14": "PBMAC1"}
_CIPHERS = {
    "des": "DES-CBC",
    "tripledes_3key": "3DES-CBC",
    "rc2": "RC2-CBC",
    "rc4": "RC4",
    "rc5": "RC5-CBC",
}
_OWN_CIPHERS = {
    "pbes1_md2_des": "DES-CBC",
    "pbes1_md5_des": "DES-CBC",
    "pbes1_md2_rc2": "RC2-64-CBC",
    "pbes1_md5_rc2": "RC2-64-CBC",
    "pbes1_sha1_des": "DES-CBC",
    "pbes1_sha1_rc2": "RC2-64-CBC",
    "pkcs12_sha1_rc4_128": "RC4-128",
    "pkcs12_sha1_rc4_40": "RC4-40",
    "pkcs12_sha1_tripledes_3key": "3DES-CBC",
    "pkcs12_sha1_tripledes_2key": "3DES-2KEY-CBC",
    "pkcs12_sha1_rc2_128": "RC2-128-CBC",
    "pkcs12_sha1_rc2_40": "RC2-40-CBC",
}
"""Of the schemes whose identifier names key derivation and cipher together, by the library's names."""
_OWN_KDFS = {"pbes1": "PBKDF1", "pkcs12": "PKCS12-KDF"}
_BLOCKS = {"AES": 16, "DES": 8, "3DES": 8, "RC2": 8}
"""Bytes of a cipher's block, by the first part of its name."""


@dataclass(frozen=True, slots=True)
class Protection:
    """How something is encrypted.

    Attributes:
        kdf: Key derivation, e.g. `PBKDF2-HMAC-SHA256`.
        cipher: e.g. `AES-256-CBC`.
        iterations: Of the key derivation, where it has such a number.
    """

    kdf: str
    cipher: str
    iterations: int | None

    def allows(self, size: int) -> bool:
        """Whether the cipher can have produced `size` bytes: one that chains blocks fills them."""
        block = _BLOCKS.get(self.cipher.partition("-")[0], 1) if self.cipher.endswith("-CBC") else 1
        return size > 0 and size % block == 0


def read_protection(algorithm: bytes) -> Protection:
    """Read the AlgorithmIdentifier of a password-based encryption.

    Raises:
        RefusedError: If it is none.
    """
    try:
        return _protection(algos.EncryptionAlgorithm.load(algorithm, strict=True))
    except PARSER_ERRORS:
        raise RefusedError("no password-based encryption") from None


def read_mac(mac_data: core.Sequence) -> str | None:
    """Say how a PKCS#12 structure's integrity is protected, given its MacData."""
    if isinstance(mac_data, core.Void):
        return None
    name = _name(mac_data["mac"]["digest_algorithm"]["algorithm"].native)
    if name == "PBMAC1":
        return name
    return f"HMAC-{name}, {_iterations(mac_data['iterations'].native)} iterations"


def _protection(scheme: algos.EncryptionAlgorithm) -> Protection:
    own = scheme["algorithm"].native
    if own in _OWN_CIPHERS:
        family, digest, _ = own.split("_", 2)
        iterations = _iterations(scheme["parameters"]["iterations"].native)
        return Protection(f"{_OWN_KDFS[family]}-{digest.upper()}", _OWN_CIPHERS[own], iterations)
    if own != "pbes2":
        raise RefusedError("no password-based encryption")
    derivation, encryption = (scheme["parameters"][part] for part in ("key_derivation_func", "encryption_scheme"))
    cipher = encryption["algorithm"].native
    if cipher.startswith("aes"):
        cipher = "AES-" + cipher.removeprefix("aes").replace("_", "-").upper()
    cipher = _CIPHERS.get(cipher, cipher)
    kdf = derivation["algorithm"].native
    if kdf != "pbkdf2":
        return Protection(_name(kdf), cipher, None)
    parameters = derivation["parameters"]
    digest = _name(parameters["prf"]["algorithm"].native)
    return Protection(f"PBKDF2-HMAC-{digest}", cipher, _iterations(parameters["iteration_count"].native))


def _iterations(count: int) -> int:
    if not 0 < count < _MOST_ITERATIONS:
        raise RefusedError("an impossible number of iterations")
    return count


def _name(name: str) -> str:
    """Spell a digest as standards do; what the library has no name for keeps its object identifier."""
    return _UNLISTED.get(name, name.upper().replace("_", "-"))
