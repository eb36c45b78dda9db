"""An object to plant: its bytes at the address that it gets, and what a finding must say of it there."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.synth.objects.symcrypt.keys import SymcryptObject

DECOY = "decoy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedObject:
    """An object and the truth about it, in the words of `dumpscan.findings`.

    Attributes:
        kind: As in `ObjectSpec`.
        encoding: As in `Location.encoding` (for a decoy, the name of its flaw).
        data: The bytes to plant, the same at any address. A PEM text ends with its last dash.
        sha256: SHA-256 (hex) of `data`; None where the bytes depend on the address.
        library: In place of `data`: a library's own object, whose bytes hold addresses.
        algorithm: As in `PrivateKey.algorithm`; None for decoys.
        bits: Size of the modulus or field, or of a symmetric key.
        curve: Name of the curve of an EC key.
        key_id: SHA-256 (hex) of the key's SubjectPublicKeyInfo, or as in `SymmetricKey.key_id`.
        layout: As in `KeyObject.layout`.
        architecture: As in `KeyObject.architecture`.
        der: The certificate itself, however `data` writes it.
        thumbprint: SHA-1 of `der`, upper-case hex.
        subject: RFC 4514 distinguished name of a certificate.
        issuer: RFC 4514 distinguished name of its issuer.
        container: As in `EncryptedContainer.container`, with `kdf`, `cipher` and `iterations`.
    """

    kind: str
    encoding: str
    data: bytes = field(default=b"", repr=False)
    sha256: str | None = None
    library: SymcryptObject | None = None
    algorithm: str | None = None
    bits: int | None = None
    curve: str | None = None
    key_id: str | None = None
    layout: str | None = None
    architecture: str | None = None
    der: bytes | None = field(default=None, repr=False)
    thumbprint: str | None = None
    subject: str | None = None
    issuer: str | None = None
    container: str | None = None
    kdf: str | None = None
    cipher: str | None = None
    iterations: int | None = None

    @property
    def size(self) -> int:
        """Bytes that are planted: more than `length` where other objects belong to it."""
        return len(self.data) if self.library is None else self.library.size

    @property
    def length(self) -> int:
        """Bytes of a finding."""
        return len(self.data) if self.library is None else self.library.key_size

    @property
    def alignment(self) -> int:
        """What its address must be a multiple of."""
        return 1 if self.library is None else self.library.alignment

    def at(self, address: int) -> bytes:
        """Return the bytes to plant at an address.

        Raises:
            ScenarioError: If it cannot lie there.
        """
        return self.data if self.library is None else self.library.at(address)

    def truth(self) -> dict[str, str | int | None]:
        """Return what a finding must say wherever it lies, ready for JSON; no key material."""
        values: dict[str, str | int | None] = {
            "kind": self.kind,
            "encoding": self.encoding,
            "length": self.length,
            "sha256": self.sha256,
            "algorithm": self.algorithm,
            "bits": self.bits,
            "curve": self.curve,
            "key_id": self.key_id,
            "layout": self.layout,
            "architecture": self.architecture,
            "der_sha256": sha256(self.der).hexdigest() if self.der is not None else None,
            "thumbprint": self.thumbprint,
            "subject": self.subject,
            "issuer": self.issuer,
            "container": self.container,
            "kdf": self.kdf,
            "cipher": self.cipher,
            "iterations": self.iterations,
        }
        return {name: value for name, value in values.items() if value is not None}

    def truth_at(self, address: int, holes: Iterable[tuple[int, int]] = ()) -> dict[str, Any]:
        """Return what a finding must say where it was planted; nothing but `missing` for what is the same anywhere.

        Args:
            address: Where it was planted.
            holes: (first offset, past the last) of its bytes that the dump does not hold.

        Returns:
            `sha256` of the bytes that are held, `wrapper` (address of the handle), `missing` (bytes) and
            `missing_parts` (names), each where there is such a thing.
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
