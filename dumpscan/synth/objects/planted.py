"""A planted object: its bytes at an address, and the truth about it there."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.synth.objects.library_keys import LibraryKey
    from dumpscan.synth.objects.symcrypt.keys import SymcryptObject

DECOY = "decoy"
_NOT_TOLD = ("data", "library", "der")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedObject:
    """An object and what a finding must say of it, in the terms of `dumpscan.findings`.

    Attributes:
        kind: As in `ObjectSpec`.
        encoding: As in `Location.encoding`, behind its carriers: `json+base64+pem`. For a decoy, its flaw.
        data: The bytes to plant, if they are the same at any address.
        library: In place of `data`: an object of a library, whose bytes hold addresses.
        der: A certificate in DER, whatever its encoding.
        algorithm: As in `PrivateKey.algorithm`; None for decoys.
        bits: Size of the modulus or field, or of a symmetric key.
        curve: Name of the curve of an EC key.
        key_id: SHA-256 (hex) of the key's SubjectPublicKeyInfo, or as in `SymmetricKey.key_id`.
        key_library: As in `KeyObject.library`, where it is not SymCrypt.
        structure: As in `KeyObject.structure`, likewise.
        layout: As in `KeyObject.layout`.
        architecture: As in `KeyObject.architecture`.
        der_sha256: SHA-256 (hex) of `der`, or of the certificate that a container holds in the clear.
        thumbprint: SHA-1 (upper-case hex) of the same.
        subject: RFC 4514 distinguished name of a certificate.
        issuer: RFC 4514 distinguished name of its issuer.
        container: As in `EncryptedContainer`, like `kdf`, `cipher` and `iterations`.
    """

    kind: str
    encoding: str
    data: bytes = field(default=b"", repr=False)
    library: SymcryptObject | LibraryKey | None = None
    der: bytes | None = field(default=None, repr=False)
    algorithm: str | None = None
    bits: int | None = None
    curve: str | None = None
    key_id: str | None = None
    key_library: str | None = None
    structure: str | None = None
    layout: str | None = None
    architecture: str | None = None
    der_sha256: str | None = None
    thumbprint: str | None = None
    subject: str | None = None
    issuer: str | None = None
    container: str | None = None
    kdf: str | None = None
    cipher: str | None = None
    iterations: int | None = None

    @property
    def size(self) -> int:
        """Bytes to plant. They are more than `length` if other objects belong to this one."""
        return len(self.data) if self.library is None else self.library.size

    @property
    def length(self) -> int:
        """Bytes of a finding."""
        return len(self.data) if self.library is None else self.library.key_size

    @property
    def alignment(self) -> int:
        """The object's address must be a multiple of this."""
        return 1 if self.library is None else self.library.alignment

    @property
    def sha256(self) -> str | None:
        """SHA-256 (hex) of `data`; None if the bytes depend on the address."""
        return sha256(self.data).hexdigest() if self.library is None else None

    def at(self, address: int) -> bytes:
        """Return the bytes to plant at an address.

        Raises:
            ScenarioError: If the object cannot lie there.
        """
        return self.data if self.library is None else self.library.at(address)

    def truth(self) -> dict[str, Any]:
        """Return what a finding must say wherever the object lies, ready for JSON. It holds no key material."""
        first: dict[str, Any] = {
            "kind": self.kind,
            "encoding": self.encoding,
            "length": self.length,
            "sha256": self.sha256,
        }
        facts = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in _NOT_TOLD}
        return {name: value for name, value in (first | facts).items() if value is not None}

    def truth_at(self, address: int, holes: Iterable[tuple[int, int]] = ()) -> dict[str, Any]:
        """Return what a finding must say of the object planted at `address`.

        Args:
            address: Where it was planted.
            holes: (first offset, offset past the last) of its bytes that the dump does not hold.

        Returns:
            `missing` (bytes) if there are holes. For a library's object also `sha256` of the bytes that the dump holds
            and, if they apply, `wrapper` (address of the handle) and `missing_parts` (names).
        """
        holes = [(low, min(high, self.size)) for low, high in holes if low < self.size]
        missing = sum(max(min(high, self.length) - low, 0) for low, high in holes)
        truth: dict[str, Any] = {"missing": missing} if missing else {}
        if self.library is None:
            return truth
        data = bytearray(self.at(address)[: self.length])
        for low, high in sorted(holes, reverse=True):
            del data[low:high]
        truth["sha256"] = sha256(data).hexdigest()
        wrapper = self.library.wrapper
        if wrapper is not None and not any(low < self.size and wrapper < high for low, high in holes):
            truth["wrapper"] = address + wrapper
        parts = self.library.parts_in(holes)
        if parts:
            truth["missing_parts"] = list(parts)
        return truth
