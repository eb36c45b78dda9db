"""What a case keeps of processes' environment variables: people pass passwords in them.

Masking is a matter of names and looks, so it hides too much rather than too little, and still proves nothing: only
leaving environments out does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from dumpscan.exceptions import UsageError

if TYPE_CHECKING:
    from dumpscan.findings import Process


class Environment(StrEnum):
    """What becomes of environment variables."""

    KEPT = "kept"
    MASKED = "masked"
    """Values that look like credentials are masked."""
    LEFT_OUT = "left out"

    @classmethod
    def chosen(cls, *, keep: bool, mask: bool) -> Environment:
        """Return what is meant by two options that may contradict each other.

        Raises:
            UsageError: There is something to mask, and nothing to keep.
        """
        if mask and not keep:
            raise UsageError("--mask-environment masks what --no-environment leaves out: give one of them")
        if mask:
            return cls.MASKED
        return cls.KEPT if keep else cls.LEFT_OUT


MASK = "[masked]"
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|KEYS?(?![A-Z])|(?<![A-Z])(?:PASS|PWD|PAT|AUTH|COOKIE)(?![A-Z])",
    re.IGNORECASE,
)
_DIRECTORIES = frozenset({"PWD", "OLDPWD"})
"""Shells keep the working directory under a name that would be a password's elsewhere."""
_IN_URL = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)(?=@)")
"""`scheme://user:password@host` (RFC 3986, 3.2.1)."""
_IN_PAIRS = re.compile(
    r"((?:^|[;,?&\s\"'])[\w .-]{0,40}?(?:PASSWORD|PASSWD|PWD|SECRET|TOKEN|KEY|SIGNATURE|SIG)\s{0,4}=\s{0,4})"
    r"(\"[^\"]*\"|'[^']*'|[^;,&\s]+)",
    re.IGNORECASE,
)
"""`Server=db;Uid=sa;Pwd=...`, `AccountKey=...`, `?sig=...`."""
_IN_HEADERS = re.compile(r"\b((?:Basic|Bearer)\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9+_=-]{20,}")
MIN_CHANGES = 0.25
"""How often letters, capitals and digits alternate in text that is random: in half of all places; in names, seldom."""


def limited(process: Process, environment: Environment) -> Process:
    """Return a process with as much of its environment as is wanted."""
    if environment is Environment.KEPT or not process.environment:
        return process
    entries = () if environment is Environment.LEFT_OUT else tuple(map(masked, process.environment))
    return replace(process, environment=entries)


def masked(entry: str) -> str:
    """Return an environment entry, `NAME=value`, with what looks like a credential masked.

    Masked are values of variables with names such as `DB_PASSWORD`, `API_KEY` or `TOKEN`; passwords in URLs and
    connection strings; authorization headers; private keys in PEM; and whatever else looks random.
    """
    at = entry.find("=", 1)  # the names of Windows' own variables begin with `=`
    name, value = entry[: at + 1], entry[at + 1 :]
    if value and name[:-1].upper() not in _DIRECTORIES and _SECRET_NAME.search(name):
        return name + MASK
    value = _PEM.sub(MASK, value)
    value = _IN_URL.sub(rf"\1:{MASK}", value)
    value = _IN_PAIRS.sub(rf"\1{MASK}", value)
    value = _IN_HEADERS.sub(rf"\1{MASK}", value)
    return name + _TOKEN.sub(lambda found: MASK if _is_random(found[0]) else found[0], value)


def _is_random(token: str) -> bool:
    """Whether text looks as if a machine had drawn it: letters and digits alternate too often for words."""
    kinds = ["d" if each.isdigit() else "u" if each.isupper() else "l" if each.islower() else "-" for each in token]
    changes = sum(one != other for one, other in pairwise(kinds))
    return "d" in kinds and ("u" in kinds or "l" in kinds) and changes >= MIN_CHANGES * len(token)
