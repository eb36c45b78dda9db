"""Test keys: private keys that libraries, programs and kernels carry to test themselves, and that everybody knows.

Whoever finds one has found a program. `self_test_keys.txt` holds their key ids (SHA-256 of the SubjectPublicKeyInfo),
each with the name of what carries it; `.ci/self_test_keys.py` makes it anew from installed packages.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE = "self_test_keys.txt"
_DIGITS = 64


def carrier_of(key_id: str | None) -> str | None:
    """Return the name of what carries a key as a test key, e.g. `openssl speed`; None for all other keys."""
    return _names().get(key_id or "")


@cache
def _names() -> dict[str, str]:
    return {line[:_DIGITS]: line[_DIGITS + 1 :] for line in lines() if not line.startswith("#")}


def lines() -> list[str]:
    """Return the lines of the list."""
    return resources.files("dumpscan.artifacts.keys").joinpath(FILE).read_text(encoding="ascii").splitlines()


def merged(known: Iterable[str], found: Mapping[str, str]) -> str:
    """Return the text of the list with more keys in it: comments, then keys by name. A known key keeps its name."""
    kept = list(known)
    names = dict(found) | {line[:_DIGITS]: line[_DIGITS + 1 :] for line in kept if not line.startswith("#")}
    keys = sorted(names, key=lambda each: (names[each], each))
    comments = [line for line in kept if line.startswith("#")]
    return "".join(f"{line}\n" for line in (*comments, *(f"{each} {names[each]}" for each in keys)))
