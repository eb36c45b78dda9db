"""Every kind of object that dumpscan finds, and what each command looks for.

A new kind is a module with its `DETECTORS` and a line in one of the lists here or in `Search.detectors`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from dumpscan.artifacts.containers import bouncycastle, java, pkcs, pvk
from dumpscan.artifacts.keys import private_key, public_keys
from dumpscan.artifacts.keys.openpgp import armour as openpgp_armour
from dumpscan.artifacts.keys.openpgp import secret_keys as openpgp
from dumpscan.artifacts.keys.openpgp import sexpressions
from dumpscan.artifacts.keys.ssh import openssh, private_keys, putty, sshcom
from dumpscan.artifacts.keys.windows import capi, cng
from dumpscan.artifacts.text import digit_openings, named_numbers, pem, putty_text
from dumpscan.artifacts.x509 import certificate
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, PublicKey, SymmetricKey, TlsSecret

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from dumpscan.artifacts.detector import Detector, GroupDetector
    from dumpscan.artifacts.tls.recorded.capture import Capture
    from dumpscan.findings import Finding, Location

X509_DETECTORS: tuple[Detector, ...] = (
    *certificate.DETECTORS,
    *private_key.DETECTORS,
    *public_keys.DETECTORS,
    *cng.DETECTORS,
    *capi.DETECTORS,
    *pem.DETECTORS,
    *digit_openings.DETECTORS,
    *named_numbers.DETECTORS,
    *openssh.DETECTORS,
    *private_keys.DETECTORS,
    *putty.DETECTORS,
    *putty_text.DETECTORS,
    *sshcom.DETECTORS,
    *openpgp.DETECTORS,
    *openpgp_armour.DETECTORS,
    *sexpressions.DETECTORS,
    *pkcs.DETECTORS,
    *java.DETECTORS,
    *bouncycastle.DETECTORS,
    *pvk.DETECTORS,
)
"""Certificates, keys and containers in the forms of files, which one pass of the engine finds."""


class AesKeys(Enum):
    """Where AES keys are looked for, by their schedules, in a pass of their own over memory."""

    NOWHERE = "nowhere"
    AT_WORDS = "at multiples of four"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class Search:
    """A search over a dump. All but that for TLS secrets see certificates, so that keys can be paired.

    Attributes:
        name: As the command is called.
        kinds: The findings that are shown.
        nothing: What to say when nothing was found.
        symcrypt: Whether keys are looked for as SymCrypt, Windows' own library, holds them.
        symcrypt_only: Whether only keys that lie in some place as an object of SymCrypt are shown.
        libraries: Whether keys are looked for as other libraries hold them.
        aes: Where AES keys are looked for.
        files: Whether certificates, keys and containers are looked for in the forms of files.
        tls: Whether secrets of TLS sessions are looked for.
        capture: What was recorded of the sessions whose secrets are wanted; None if all are.
    """

    name: str
    kinds: tuple[type[Finding], ...]
    nothing: str
    symcrypt: bool = False
    symcrypt_only: bool = False
    libraries: bool = False
    aes: AesKeys = AesKeys.NOWHERE
    files: bool = True
    tls: bool = False
    capture: Capture | None = None

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """What is looked for. What a search does not need is not imported: that would take longer than a small dump."""
        found = X509_DETECTORS if self.files else ()
        if self.symcrypt:
            from dumpscan.artifacts.symcrypt import detectors as symcrypt  # noqa: PLC0415 - see above

            found += symcrypt.DETECTORS
        if self.aes is not AesKeys.NOWHERE:
            from dumpscan.artifacts.aes import searcher  # noqa: PLC0415 - see above

            found += searcher.DETECTORS if self.aes is AesKeys.AT_WORDS else searcher.UNALIGNED_DETECTORS
        return found

    @property
    def groups(self) -> tuple[GroupDetector, ...]:
        """What is looked for that only several places tell together: a pass of its own over memory."""
        if not self.libraries:
            return ()
        from dumpscan.artifacts.openssl.detectors import GROUP_DETECTORS  # noqa: PLC0415 - see above

        return GROUP_DETECTORS

    def shown(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return those of a scan's findings that the command shows: of public keys, only those that a library holds."""
        return [
            finding
            for finding in findings
            if isinstance(finding, self.kinds)
            and (not isinstance(finding, PublicKey) or any(place.key_object for place in finding.locations))
            and (not self.symcrypt_only or any(_is_of_symcrypt(place) for place in finding.locations))
        ]

    def with_aes(self, *, unaligned: bool = False) -> Self:
        """Return the search that looks for AES keys too; `unaligned`: at all addresses, not just multiples of four."""
        return replace(self, aes=AesKeys.ANYWHERE if unaligned else AesKeys.AT_WORDS)

    def with_tls(self, capture: Capture | None = None) -> Self:
        """Return the search that looks for secrets of TLS sessions too, of those in a capture if one is given."""
        return replace(self, kinds=tuple(dict.fromkeys((*self.kinds, TlsSecret))), tls=True, capture=capture)

    def without_aes(self) -> Self:
        """Return the search that does not look for AES keys."""
        return replace(self, aes=AesKeys.NOWHERE)


def _is_of_symcrypt(place: Location) -> bool:
    """Say whether SymCrypt's own object lies at a place, or a schedule of which nobody knows whose it is."""
    return place.key_object is not None and place.key_object.library in (None, "symcrypt")


X509 = Search(
    "x509",
    (Certificate, PrivateKey, EncryptedContainer),
    "no certificate and no private key found; keys that SymCrypt holds were not searched for (`dumpscan symcrypt`, "
    "`dumpscan keys` and `dumpscan scan` do)",
    libraries=True,
)
SYMCRYPT = Search(
    "symcrypt",
    (PrivateKey, PublicKey, SymmetricKey),
    "no key of SymCrypt found",
    symcrypt=True,
    symcrypt_only=True,
)
KEYS = Search(
    "keys",
    (PrivateKey, SymmetricKey, EncryptedContainer),
    "no key found",
    symcrypt=True,
    libraries=True,
    aes=AesKeys.AT_WORDS,
)
EVERYTHING = Search(
    "scan",
    (Certificate, PrivateKey, PublicKey, SymmetricKey, EncryptedContainer),
    "no certificate and no key found; secrets of TLS sessions were not searched for (`dumpscan tls` does)",
    symcrypt=True,
    libraries=True,
    aes=AesKeys.AT_WORDS,
)

TLS = Search("tls", (TlsSecret,), "no secret of a TLS session found", files=False, tls=True)

SEARCHES = {search.name: search for search in (X509, SYMCRYPT, KEYS, EVERYTHING, TLS)}
"""All searches, by the names of their commands."""
