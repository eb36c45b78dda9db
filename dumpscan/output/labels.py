"""Short names for people: of keys, containers, processes and files, the same in tables, summaries and reports."""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTAINER_NAMES = {
    "pkcs8": "PKCS#8",
    "pkcs12": "PKCS#12",
    "pem": "PEM",
    "openssh": "OpenSSH",
    "jks": "JKS",
    "jceks": "JCEKS",
    "bks": "BKS",
    "uber": "UBER",
    "pvk": "PVK",
    "putty": "PuTTY",
    "openpgp": "OpenPGP",
}
"""Names of the encrypted containers."""


def algorithm_label(name: str | None, size: object) -> str:
    """Return `RSA 2048`, `EC secp256r1`; a name that says it all (`Ed25519`) stands alone."""
    if name is None:
        return ""
    return name if size is None or any(character.isdigit() for character in name) else f"{name} {size}"


def file_names(paths: Iterable[str]) -> dict[str, str]:
    """Return the shortest name of each path that tells it from the others: its last part, or all of it."""
    names = {path: PureWindowsPath(path).name for path in paths}  # which knows both separators
    return names if len(set(names.values())) == len(names) else {path: path for path in names}


def base_name(path: str) -> str:
    """Return the last part of a path of any system, or of a URL."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path
