"""What each command looks for, and which of the things found it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.symcrypt import detectors as symcrypt_detectors
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey, SymmetricKey
from dumpscan.search.scanner import X509_DETECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.artifacts.decoded import Detector
    from dumpscan.findings import Finding


@dataclass(frozen=True, slots=True)
class Search:
    """A search over a dump. All of them see certificates, so that keys can be paired.

    Attributes:
        name: As the command is called.
        detectors: What is looked for.
        kinds: The findings that are shown.
        of_library: Whether only keys that lie in some place as a library's own object are shown.
        nothing: What to say when nothing was found.
    """

    name: str
    detectors: tuple[Detector, ...]
    kinds: tuple[type[Finding], ...]
    of_library: bool
    nothing: str

    def shown(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return those of a scan's findings that the command shows."""
        return [
            finding
            for finding in findings
            if isinstance(finding, self.kinds)
            and not (self.of_library and all(place.key_object is None for place in finding.locations))
        ]


_ALL = (*X509_DETECTORS, *symcrypt_detectors.DETECTORS)

X509 = Search(
    "x509",
    X509_DETECTORS,
    (Certificate, PrivateKey, EncryptedContainer),
    of_library=False,
    nothing="no certificate and no private key found",
)
SYMCRYPT = Search(
    "symcrypt", _ALL, (PrivateKey, PublicKey, SymmetricKey), of_library=True, nothing="no key of SymCrypt found"
)
KEYS = Search("keys", _ALL, (PrivateKey, SymmetricKey, EncryptedContainer), of_library=False, nothing="no key found")
