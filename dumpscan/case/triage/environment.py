"""Masks or removes environment variables, in which people pass passwords to programs.

Masking goes by names and patterns. It hides too much rather than too little, and can still miss a credential; only
leaving environments out is certain.
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
    """What a case does with environment variables."""

    KEPT = "kept"
    MASKED = "masked"
    """Values that look like credentials are masked."""
    LEFT_OUT = "left out"

    @classmethod
    def chosen(cls, *, keep: bool, mask: bool) -> Environment:
        """Return the choice that two options express.

        Raises:
            UsageError: The options contradict each other.
        """
        if mask and not keep:
            raise UsageError("--mask-environment masks what --no-environment leaves out: give one of them")
        if mask:
            return cls.MASKED
        return cls.KEPT if keep else cls.LEFT_OUT


MASK = "[masked]"
_SECRET_NAME = re.compile(
    r"PASSWOR[DT]|PASSWD|PWORD|PASS[_-]?PHRASE|KENNWORT|MOT_DE_PASSE|CONTRASE|SECRET|TOKEN|CREDENTIAL|AUTHORIZATION|BEARER"
    r"|MNEMONIC|(?:(?<!ASK)PASS|PWD|PW|AUTH|AUTH2|CREDS?|KEYS?)(?![A-Z])"
    r"|(?<![A-Z])(?:PAT|PIN|PSK|JWT|SEED|SALT|COOKIE|PHRASE|NETRC|COMMUNITY)(?![A-Z])",
    re.IGNORECASE,
)
_DIRECTORIES = frozenset({"PWD", "OLDPWD"})
"""Variables of shells with the working directory, in spite of their names."""
_IN_URL = re.compile(r"(?:^|(?<=://))([^\s/:@]*):([^\s/]+)(?=@)")
"""`scheme://user:password@host` (RFC 3986, 3.2.1), with `@` in the password or without a scheme too."""
_NAMES = "(?:PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|PW|SECRET|TOKEN|CREDENTIALS?|KEY|AUTH|SIGNATURE|SIG)"
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|[^;,&\s]+)"
_IN_PAIRS = re.compile(rf"({_NAMES}[\"']?\s{{0,4}}[=:]\s{{0,4}}){_VALUE}", re.IGNORECASE)
"""`Server=db;Uid=sa;Pwd=...`, `AccountKey=...`, `?sig=...`, `{"password": "..."}`, `-DkeyStorePassword=...`,
`X-Api-Key: ...`."""
_IN_OPTIONS = re.compile(
    rf"((?:(?:^|\s)--?[\w.-]{{0,40}}?{_NAMES}|\bPASSWORD|\bPASSWD)\s{{1,4}}|(?:^|\s)-u\s{{0,4}}[^\s:]{{1,80}}:)(?![-=:[]){_VALUE}",
    re.IGNORECASE,
)
"""`--password ...`, `-u user:...`; `login ... password ...` of netrc."""
_IN_HEADERS = re.compile(r"\b((?:Basic|Bearer)\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?")
"""JSON Web Tokens (RFC 7519): base64 of `{"`."""
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9+_=-]{20,}")
MIN_CHANGES = 0.25
"""The share of neighbouring characters that are of different kinds (lower case, upper case, digit) in random text. On
average it is about half there, and much less in names."""


def limited(process: Process, environment: Environment) -> Process:
    """Return a process with its environment kept, masked or left out."""
    if environment is Environment.KEPT or not process.environment:
        return process
    entries = () if environment is Environment.LEFT_OUT else tuple(map(masked, process.environment))
    return replace(process, environment=entries)


def is_secret_name(name: str) -> bool:
    """Return whether the value of a variable of that name is likely to be a credential."""
    return name.upper() not in _DIRECTORIES and _SECRET_NAME.search(name) is not None


def masked(entry: str) -> str:
    """Return an environment entry, `NAME=value`, with everything masked that looks like a credential.

    These are the values of variables with names such as `DB_PASSWORD`, `API_KEY` or `TOKEN`; passwords in URLs, JSON,
    connection strings and options of programs; authorization headers, JSON Web Tokens, private keys in PEM; and random
    tokens of 20 characters or more.
    """
    at = entry.find("=", 1)  # the names of Windows' own variables begin with `=`
    name, value = entry[: at + 1], entry[at + 1 :]
    if value and is_secret_name(name[:-1]):
        return name + MASK
    value = _PEM.sub(MASK, value)
    value = _IN_URL.sub(rf"\1:{MASK}", value)
    value = _JWT.sub(MASK, value)
    for pattern in (_IN_HEADERS, _IN_PAIRS, _IN_OPTIONS):
        value = pattern.sub(rf"\1{MASK}", value)
    return name + _TOKEN.sub(lambda found: MASK if is_random(found[0]) else found[0], value)


def is_random(token: str) -> bool:
    """Return whether a token looks random: letters and digits alternate more often than in words."""
    kinds = ["d" if each.isdigit() else "u" if each.isupper() else "l" if each.islower() else "-" for each in token]
    changes = sum(one != other for one, other in pairwise(kinds))
    return "d" in kinds and ("u" in kinds or "l" in kinds) and changes >= MIN_CHANGES * len(token)
