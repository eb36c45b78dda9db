"""What a certificate's key may be used for, in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dumpscan.findings import Certificate

_PURPOSES = {
    "anyExtendedKeyUsage": "any purpose",
    "serverAuth": "server authentication",
    "clientAuth": "client authentication",
    "codeSigning": "code signing",
    "emailProtection": "e-mail protection",
    "timeStamping": "time stamping",
    "OCSPSigning": "OCSP signing",
    "ipsecIKE": "IPsec IKE",
    "pkinitClientAuth": "Kerberos client authentication",
    "pkinitKDC": "Kerberos KDC",
    "msEncryptedFileSystem": "encrypting file system",
    "msEFSRecovery": "EFS recovery",
    "msDocumentSigning": "document signing",
    "msEnrolmentAgent": "certificate enrolment agent",
    "msSmartcardLogon": "smart card logon",
    "msRemoteDesktopAuthentication": "remote desktop authentication",
    "msBitLockerDriveEncryption": "BitLocker drive encryption",
    "msBitLockerDataRecoveryAgent": "BitLocker data recovery agent",
}
_USAGES = {
    "nonRepudiation": "non-repudiation",
    "keyCertSign": "signing certificates",
    "cRLSign": "signing revocation lists",
}
_FILTERS = {
    "server": ("serverAuth", "anyExtendedKeyUsage"),
    "client": ("clientAuth", "anyExtendedKeyUsage", "pkinitClientAuth", "msSmartcardLogon"),
    "code": ("codeSigning", "anyExtendedKeyUsage"),
}
"""Classes of the style sheet by which rows are filtered, and the purposes that belong to each."""


def purposes(certificate: Certificate) -> tuple[str, ...]:
    """Return the purposes of its extended key usage: `server authentication`."""
    return tuple(_PURPOSES.get(name, name) for name in certificate.extended_key_usage)


def usages(certificate: Certificate) -> tuple[str, ...]:
    """Return what its key usage allows: `digital signature`."""
    return tuple(_USAGES.get(name) or _words(name) for name in certificate.key_usage)


def filter_classes(certificate: Certificate) -> tuple[str, ...]:
    """Return the classes by which its row is filtered."""
    own = set(certificate.extended_key_usage)
    return tuple(name for name, wanted in _FILTERS.items() if not own.isdisjoint(wanted))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
