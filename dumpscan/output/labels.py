"""Short names for people: of keys, containers, sizes and files, the same in tables, summaries and reports."""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNIT = 1024
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")

CONTAINERS = {
    "pkcs8": ("PKCS#8", "p8"),
    "pkcs12": ("PKCS#12", "p12"),
    "pem": ("PEM", "pem"),
    "openssh": ("OpenSSH", "pem"),
    "jks": ("JKS", "jks"),
    "jceks": ("JCEKS", "jceks"),
    "bks": ("BKS", "bks"),
    "uber": ("UBER", "ubr"),
    "pvk": ("PVK", "pvk"),
    "putty": ("PuTTY", "ppk"),
    "ssh.com": ("ssh.com", "ssh2"),
    "openpgp": ("OpenPGP", "pgp"),
    "s-expression": ("S-expression", "key"),
}
"""Encrypted containers: their names, and how the names of their files end."""


def container_label(container: str) -> str:
    """Return the name of an encrypted container's format: `PKCS#12`."""
    return CONTAINERS[container][0] if container in CONTAINERS else container


NOT_LISTED = "not in the process list"
"""Said of a process that the kernel's list does not have: hidden, or ended."""


def folded_label(count: int) -> str:
    """Return how many certificates are not shown because everybody has them."""
    return f"{count} certificate{'' if count == 1 else 's'} of well-known CAs"


def size_label(size: float) -> str:
    """Return a number of bytes as people read it: `54.1 MiB`."""
    power = _power(size)
    return f"{size:.0f} bytes" if not power else f"{size / _UNIT**power:.1f} {_UNITS[power]}"


def amount_label(done: float, total: float) -> str:
    """Return a part of a number of bytes, both in the unit of the whole: `0.3 of 2.0 GiB`."""
    power = _power(total)
    places = 1 if power else 0
    return f"{done / _UNIT**power:.{places}f} of {total / _UNIT**power:.{places}f} {_UNITS[power]}"


def _power(size: float) -> int:
    power = 0
    while size >= _UNIT and power < len(_UNITS) - 1:
        size /= _UNIT
        power += 1
    return power


def file_names(paths: Iterable[str]) -> dict[str, str]:
    """Return the shortest name of each path that tells it from the others: its last part, or all of it."""
    names = {path: PureWindowsPath(path).name for path in paths}  # which knows both separators
    return names if len(set(names.values())) == len(names) else {path: path for path in names}


def base_name(path: str) -> str:
    """Return the last part of a path of any system, or of a URL."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def page_label(
    owner: str | None, path: str | None = None, inode: int | None = None, filesystem: str | None = None
) -> str:
    """Return whose a page is that no process maps: `page cache: /etc/ssl/key.pem`; empty if that is not known."""
    if owner is None:
        return ""
    if path is not None:
        return f"{owner}: {path}"
    if inode is not None:
        return f"{owner}: inode {inode}" + (f" of {filesystem}" if filesystem else "")
    return "free memory" if owner == "free" else owner
