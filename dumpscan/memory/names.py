"""How names of processes are matched against patterns, the same for every kind of dump."""

from __future__ import annotations

from fnmatch import fnmatchcase


def name_matches(name: str, pattern: str) -> bool:
    """Say whether a process's name matches a pattern of shell style (`*`, `?`, `[...]`); case does not count."""
    return fnmatchcase(name.lower(), pattern.lower())
