"""dumpscan finds X.509 certificates and private keys in memory dumps, proves each key, and says where it lay.

The names below are the library; `docs/api.md` shows how to use it. What is not cheap to import is imported when it is
first used.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what is behind `signal`: to load that takes milliseconds, in which interrupts may come
import sys

_IS_PROGRAM = sys.argv[0].endswith("/dumpscan") or sys.orig_argv[1:3] == ["-m", "dumpscan"]
if _IS_PROGRAM and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Loading takes a fifth of a second. Until `dumpscan.cli.main` catches interrupts, they end the program.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

# ruff: noqa: E402
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
        TlsSecret,
    )
    from dumpscan.memory.formats import NoDumpError

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
    "TlsSecret",
    "UsageError",
    "__version__",
    "open_dump",
    "search",
]

_HOMES = {
    "dumpscan.exceptions": {"DumpscanError", "InputError", "NoSuchProcessError", "UsageError"},
    "dumpscan.memory.formats": {"NoDumpError"},
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((home for home, names in _HOMES.items() if name in names), "dumpscan.findings")
    return getattr(import_module(home), name)
