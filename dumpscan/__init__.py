"""dumpscan finds X.509 certificates and private keys in memory dumps, proves each key, and says where it lay.

The names below are the library; `docs/api.md` shows how to use it. They are imported when they are first used, so that
`import dumpscan` costs a command line nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dumpscan._version import __version__

if TYPE_CHECKING:
    from dumpscan.api import SearchResult, open_dump, search
    from dumpscan.exceptions import DumpscanError, InputError, NoSuchProcessError, UsageError
    from dumpscan.findings import (
        Certificate,
        EncryptedContainer,
        Finding,
        Location,
        PrivateKey,
        Process,
        PublicKey,
        SymmetricKey,
    )
    from dumpscan.memory.open import NoDumpError

__all__ = [
    "Certificate",
    "DumpscanError",
    "EncryptedContainer",
    "Finding",
    "InputError",
    "Location",
    "NoDumpError",
    "NoSuchProcessError",
    "PrivateKey",
    "Process",
    "PublicKey",
    "SearchResult",
    "SymmetricKey",
    "UsageError",
    "__version__",
    "open_dump",
    "search",
]

_HOMES = {
    "dumpscan.api": {"SearchResult", "open_dump", "search"},
    "dumpscan.exceptions": {"DumpscanError", "InputError", "NoSuchProcessError", "UsageError"},
    "dumpscan.memory.open": {"NoDumpError"},
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((home for home, names in _HOMES.items() if name in names), "dumpscan.findings")
    return getattr(import_module(home), name)
