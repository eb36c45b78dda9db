"""Directories for a user's cache and data on this platform.

Sources: XDG Base Directory Specification 0.8, Apple's File System Programming Guide, Microsoft's Known Folders.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NAME = "dumpscan"


def cache_directory() -> Path:
    """Return the directory for files that can be made again at any time; it need not exist."""
    if sys.platform == "win32":
        return _environment("LOCALAPPDATA", "AppData/Local") / NAME / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / NAME
    return _environment("XDG_CACHE_HOME", ".cache") / NAME


def data_directory() -> Path:
    """Return the directory for files that the user gave us to keep; it need not exist."""
    if sys.platform == "win32":
        return _environment("LOCALAPPDATA", "AppData/Local") / NAME
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / NAME
    return _environment("XDG_DATA_HOME", ".local/share") / NAME


def _environment(variable: str, default: str) -> Path:
    """Return the directory that a variable names, if it is absolute, or else one in the home directory."""
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else Path.home() / default
