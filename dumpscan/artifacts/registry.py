"""Every kind of object that dumpscan finds, and what each command looks for.

A new kind is a module with its `DETECTORS` and a line in one of the lists here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dumpscan.artifacts.aes import searcher as aes
from dumpscan.artifacts.containers import bouncycastle, java, pkcs, pvk
from dumpscan.artifacts.keys import private_key
from dumpscan.artifacts.keys.openpgp import armour as openpgp_armour
from dumpscan.artifacts.keys.openpgp import secret_keys as openpgp
from dumpscan.artifacts.keys.ssh import openssh, private_keys, putty
from dumpscan.artifacts.keys.windows import capi, cng
from dumpscan.artifacts.openssh import shielded
from dumpscan.artifacts.openssl import detectors as big_numbers
from dumpscan.artifacts.symcrypt import detectors as symcrypt
from dumpscan.artifacts.text import digit_text, named_numbers, pem
from dumpscan.artifacts.x509 import certificate
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey, SymmetricKey

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from dumpscan.artifacts.detector import Detector, GroupDetector
    from dumpscan.findings import Finding, Location

X509_DETECTORS: tuple[Detector, ...] = (
    *certificate.DETECTORS,
    *private_key.DETECTORS,
    *cng.DETECTORS,
    *capi.DETECTORS,
    *pem.DETECTORS,
    *digit_text.DETECTORS,
    *named_numbers.DETECTORS,
    *openssh.DETECTORS,
    *private_keys.DETECTORS,
    *putty.DETECTORS,
    *openpgp.DETECTORS,
    *openpgp_armour.DETECTORS,
    *pkcs.DETECTORS,
    *java.DETECTORS,
    *bouncycastle.DETECTORS,
    *pvk.DETECTORS,
)
"""Certificates, keys and containers in the forms of files."""

LIBRARY_DETECTORS: tuple[Detector, ...] = (*symcrypt.DETECTORS, *shielded.DETECTORS)
"""Keys as cryptographic libraries hold them."""

GROUP_DETECTORS: tuple[GroupDetector, ...] = (*big_numbers.GROUP_DETECTORS,)
"""Keys that only several places of memory tell together: a pass of their own over memory."""

AES_DETECTORS: tuple[Detector, ...] = aes.DETECTORS
UNALIGNED_AES_DETECTORS: tuple[Detector, ...] = aes.UNALIGNED_DETECTORS
"""AES keys by their schedules, at multiples of four or anywhere: a pass of their own over memory."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search over a dump. All of them see certificates, so that keys can be paired.

    Attributes:
        name: As the command is called.
        detectors: What is looked for.
        kinds: The findings that are shown.
        of_library: Whether only keys that lie in some place as an object of SymCrypt are shown.
        nothing: What to say when nothing was found.
        groups: What is looked for that only several places tell together.
    """

    name: str
    detectors: tuple[Detector, ...]
    kinds: tuple[type[Finding], ...]
    of_library: bool
    nothing: str
    groups: tuple[GroupDetector, ...] = ()

    def shown(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return those of a scan's findings that the command shows."""
        return [
            finding
            for finding in findings
            if isinstance(finding, self.kinds)
            and (not self.of_library or any(_is_of_symcrypt(place) for place in finding.locations))
        ]

    def with_aes(self, *, unaligned: bool = False) -> Self:
        """Return the search that looks for AES keys too; `unaligned`: at all addresses, not just multiples of four."""
        found = UNALIGNED_AES_DETECTORS if unaligned else AES_DETECTORS
        return replace(self, detectors=(*self.without_aes().detectors, *found))

    def without_aes(self) -> Self:
        """Return the search that does not look for AES keys."""
        others = (*AES_DETECTORS, *UNALIGNED_AES_DETECTORS)
        return replace(self, detectors=tuple(each for each in self.detectors if each not in others))


def _is_of_symcrypt(place: Location) -> bool:
    """Say whether SymCrypt's own object lies at a place, or a schedule of which nobody knows whose it is."""
    return place.key_object is not None and place.key_object.library in (None, "symcrypt")


_ALL = (*X509_DETECTORS, *LIBRARY_DETECTORS)
_WITH_AES = (*_ALL, *AES_DETECTORS)

X509 = Search(
    "x509",
    X509_DETECTORS,
    (Certificate, PrivateKey, EncryptedContainer),
    of_library=False,
    nothing="no certificate and no private key found; live key objects of libraries were not searched for "
    "(`dumpscan keys` and `dumpscan scan` do)",
)
SYMCRYPT = Search(
    "symcrypt", _ALL, (PrivateKey, PublicKey, SymmetricKey), of_library=True, nothing="no key of SymCrypt found"
)
KEYS = Search(
    "keys",
    _WITH_AES,
    (PrivateKey, SymmetricKey, EncryptedContainer),
    of_library=False,
    nothing="no key found",
    groups=GROUP_DETECTORS,
)
EVERYTHING = Search(
    "scan",
    _WITH_AES,
    (Certificate, PrivateKey, PublicKey, SymmetricKey, EncryptedContainer),
    of_library=False,
    nothing="no certificate and no key found",
    groups=GROUP_DETECTORS,
)

SEARCHES = {search.name: search for search in (X509, SYMCRYPT, KEYS, EVERYTHING)}
"""All searches, by the names of their commands."""
