"""How key material is protected by a password: key derivation and cipher, by the names that administrators know.

Sources: RFC 8018 (PBES1, PBES2, PBKDF2), RFC 7292 appendix C (PKCS#12's own), RFC 7914 (scrypt), RFC 9579 (PBMAC1).
"""

from __future__ import annotations

from dataclasses import dataclass

from dumpscan.artifacts import der
from dumpscan.artifacts.decoded import RefusedError

_MOST_ITERATIONS = 1 << 32
_MOST_ITERATION_BYTES = 8
_OWN = {
    "1.2.840.113549.1.5.1": ("PBKDF1-MD2", "DES-CBC"),
    "1.2.840.113549.1.5.3": ("PBKDF1-MD5", "DES-CBC"),
    "1.2.840.113549.1.5.4": ("PBKDF1-MD2", "RC2-64-CBC"),
    "1.2.840.113549.1.5.6": ("PBKDF1-MD5", "RC2-64-CBC"),
    "1.2.840.113549.1.5.10": ("PBKDF1-SHA1", "DES-CBC"),
    "1.2.840.113549.1.5.11": ("PBKDF1-SHA1", "RC2-64-CBC"),
    "1.2.840.113549.1.12.1.1": ("PKCS12-KDF-SHA1", "RC4-128"),
    "1.2.840.113549.1.12.1.2": ("PKCS12-KDF-SHA1", "RC4-40"),
    "1.2.840.113549.1.12.1.3": ("PKCS12-KDF-SHA1", "3DES-CBC"),
    "1.2.840.113549.1.12.1.4": ("PKCS12-KDF-SHA1", "3DES-2KEY-CBC"),
    "1.2.840.113549.1.12.1.5": ("PKCS12-KDF-SHA1", "RC2-128-CBC"),
    "1.2.840.113549.1.12.1.6": ("PKCS12-KDF-SHA1", "RC2-40-CBC"),
}
"""Schemes whose identifier names key derivation and cipher together."""
_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_PBMAC1 = "1.2.840.113549.1.5.14"
_KDFS = {"1.3.6.1.4.1.11591.4.11": "scrypt"}
_AES_MODES = ("ECB", "CBC", "OFB", "CFB", "WRAP", "GCM", "CCM", "WRAP-PAD")
_CIPHERS = {
    "1.3.14.3.2.7": "DES-CBC",
    "1.2.840.113549.3.2": "RC2-CBC",
    "1.2.840.113549.3.4": "RC4",
    "1.2.840.113549.3.7": "3DES-CBC",
    "1.2.840.113549.3.9": "RC5-CBC",
    **{
        f"2.16.840.1.101.3.4.1.{base + number}": f"AES-{bits}-{mode}"
        for base, bits in ((1, 128), (21, 192), (41, 256))
        for number, mode in enumerate(_AES_MODES)
    },
}
_SHA = ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512-224", "SHA512-256")
_DIGESTS = {
    "1.2.840.113549.2.2": "MD2",
    "1.2.840.113549.2.5": "MD5",
    "1.3.14.3.2.26": "SHA1",
    **{f"1.2.840.113549.2.{number}": name for number, name in enumerate(_SHA, 7)},
    **{
        f"2.16.840.1.101.3.4.2.{number}": name
        for number, name in enumerate(("SHA256", "SHA384", "SHA512", "SHA224", "SHA512-224", "SHA512-256"), 1)
    },
    **{
        f"2.16.840.1.101.3.4.2.{first + number}": f"SHA3-{bits}"
        for first in (7, 13)
        for number, bits in enumerate((224, 256, 384, 512))
    },
}
"""Digests, and HMAC with them. What has no name here keeps its object identifier."""
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
    """Read the AlgorithmIdentifier of a password-based encryption, in DER.

    Raises:
        RefusedError: If it is none.
    """
    scheme, parameters = _algorithm(algorithm)
    if scheme in _OWN:
        _salt, iterations = der.members(_given(parameters), least=2, most=2)
        return Protection(*_OWN[scheme], _iterations(iterations))
    if scheme != _PBES2:
        raise RefusedError("no password-based encryption")
    derivation, encryption = der.members(_given(parameters), least=2, most=2)
    cipher, _ = _algorithm(encryption.encoded)
    kdf, parameters = _algorithm(derivation.encoded)
    if kdf != _PBKDF2:
        return Protection(_KDFS.get(kdf, kdf), _CIPHERS.get(cipher, cipher), None)
    _salt, iterations, *rest = der.members(_given(parameters), least=2, most=4)
    functions = [_algorithm(each.encoded)[0] for each in rest if each.tag == der.SEQUENCE]
    digest = _DIGESTS.get(functions[0], functions[0]) if functions else "SHA1"
    return Protection(f"PBKDF2-HMAC-{digest}", _CIPHERS.get(cipher, cipher), _iterations(iterations))


def read_mac(mac_data: bytes) -> str:
    """Say how a PKCS#12 structure's integrity is protected, given its MacData in DER.

    Raises:
        RefusedError: If it is none.
    """
    mac, _salt, *iterations = der.members(mac_data, least=2, most=3)
    algorithm, _value = der.members(mac.encoded, least=2, most=2)
    digest, _ = _algorithm(algorithm.encoded)
    if digest == _PBMAC1:
        return "PBMAC1"
    count = _iterations(iterations[0]) if iterations else 1
    return f"HMAC-{_DIGESTS.get(digest, digest)}, {count} iterations"


def _algorithm(data: bytes) -> tuple[str, bytes | None]:
    """Return the object identifier of an AlgorithmIdentifier, and its parameters if it has any."""
    identifier, *parameters = der.members(data, least=1, most=2)
    return der.dotted(identifier), parameters[0].encoded if parameters else None


def _given(parameters: bytes | None) -> bytes:
    if parameters is None:
        raise RefusedError("no parameters")
    return parameters


def _iterations(element: der.Element) -> int:
    count = der.integer(element, most=_MOST_ITERATION_BYTES)
    if not 0 < count < _MOST_ITERATIONS:
        raise RefusedError("an impossible number of iterations")
    return count
