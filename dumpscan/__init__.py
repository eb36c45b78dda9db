"""dumpscan finds X.509 certificates and private keys in memory dumps, proves each key, and says where it lay.

The names below are the library; `docs/api.md` shows how to use it. What is not cheap to import is imported when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import dumpscan.search  # noqa: F401 - loaded first: from then on `dumpscan.search` is the function below
from dumpscan._version import __version__
from dumpscan.api import SearchResult, open_dump, search

if TYPE_CHECKING:
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
    "dumpscan.exceptions": {"DumpscanError", "InputError", "NoSuchProcessError", "UsageError"},
    "dumpscan.memory.open": {"NoDumpError"},
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((home for home, names in _HOMES.items() if name in names), "dumpscan.findings")
    return getattr(import_module(home), name)
