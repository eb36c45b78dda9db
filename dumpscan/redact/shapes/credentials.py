"""Credentials that are known by their shape, in ASCII and UTF-16: tokens of services, headers, passwords by name.

Each rule names where its shape is documented. A rule's opening is looked for by the engine; its expression then says
whether a credential follows, and which part of it is to go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.redact.copies.search import matches
from dumpscan.redact.filling import is_filling
from dumpscan.redact.secret import Place, Secret, Value, What
from dumpscan.scan.engine import Engine
from dumpscan.scan.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_CREDENTIAL = 4096
"""Characters that are looked at behind an opening."""
MIN_COPIED = 8
"""Characters of the shortest credential whose copies are looked for."""
MAX_FOUND = 200_000
"""Credentials taken from one file."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A shape of credentials.

    Attributes:
        name: What it is.
        openings: Characters of which one sequence is in every match, where the expression begins.
        expression: What follows, from the opening on; its group `value` is to go, or all of it.
        any_case: Whether openings match in either case.
        plausible: Whether the value must not be a plain word: source code is full of `password=value`.
        source: Where the shape is documented.
    """

    name: str
    openings: tuple[str, ...]
    expression: str
    source: str
    any_case: bool = False
    plausible: bool = False


_NAMES = "PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_PWD|_PASS|_AUTH"
_MEMBERS = "password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key"
_END = r"(?=[\s\x00;&\"'<>,)]|$)"

RULES = (
    Rule(
        "JSON web token",
        ("eyJ",),
        r"eyJ[\w-]{8,2000}\.eyJ[\w-]{8,4000}\.[\w-]{16,2000}",
        'RFC 7519, 3.1; `eyJ` is base64url of `{"`',
    ),
    Rule(
        "AWS access key",
        ("AKIA", "ASIA"),
        r"A[KS]IA[A-Z2-7]{16}(?![A-Z0-9])",
        "AWS IAM User Guide, IAM identifiers, Unique identifiers",
    ),
    Rule(
        "GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_\w{22,244})",
        "GitHub Docs, About authentication to GitHub, GitHub's token formats",
    ),
    Rule("GitLab token", ("glpat-",), r"glpat-[\w.-]{20,300}", "GitLab Docs, Token overview, Token prefixes"),
    Rule("Slack token", ("xox", "xapp-"), r"(?:xox[abceoprs]|xapp)-[\w-]{10,300}", "Slack API, Token types"),
    Rule("Stripe key", ("k_live_", "k_test_"), r"k_(?:live|test)_[A-Za-z0-9]{16,250}", "Stripe Docs, API keys"),
    Rule(
        "Google credential",
        ("AIza", "ya29.", "GOCSPX-"),
        r"(?:AIza[\w-]{35}|ya29\.[\w-]{20,2000}|GOCSPX-[\w-]{28})",
        "Google Cloud, Authenticate by using API keys; Google Identity, Using OAuth 2.0",
    ),
    Rule("npm token", ("npm_",), r"npm_[A-Za-z0-9]{36}", "npm Docs, About access tokens"),
    Rule("PyPI token", ("pypi-AgE",), r"pypi-AgE[\w-]{50,1000}", "PyPI Help, API tokens"),
    Rule("SendGrid key", ("SG.",), r"SG\.[\w-]{22}\.[\w-]{43}", "Twilio SendGrid Docs, API keys"),
    Rule("DigitalOcean token", ("dop_v1_",), r"dop_v1_[a-f0-9]{64}", "DigitalOcean API, Authentication"),
    Rule("Hugging Face token", ("hf_",), r"hf_[A-Za-z0-9]{30,60}(?![A-Za-z0-9_])", "Hugging Face Hub, Access tokens"),
    Rule("Vault token", ("hvs.", "hvb."), r"hv[sb]\.[\w-]{24,300}", "HashiCorp Vault, Tokens, Token prefixes"),
    Rule("secret key", ("sk-",), r"sk-(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{32,200}", "prefix of many services' keys"),
    Rule(
        "text of a private key",
        ("PRIVATE KEY-----",),
        r"PRIVATE KEY-----(?:\s|\\[rn]){0,8}(?P<value>[A-Za-z0-9+/]{16}(?:[A-Za-z0-9+/=\s]|\\[rn])*)",
        "RFC 7468, 2; a whole key is found by itself, this is one that is cut short",
    ),
    Rule(
        "authorization header",
        ("authorization:", "authorization\0"),
        r"authorization[:\x00]\s{0,4}(?:[\w-]{1,20}\s{1,4})?(?P<value>[^\s\x00\"']{6,4000})",
        "RFC 9110, 11.6.2; nginx writes a zero over the colon",
        any_case=True,
        plausible=True,
    ),
    Rule("bearer token", ("Bearer ",), r"Bearer\s{1,4}(?P<value>[\w.~+/=-]{16,4000})", "RFC 6750, 2.1", plausible=True),
    Rule(
        "cookie",
        ("cookie: ", "cookie\0 "),
        r"cookie[:\x00] (?P<value>[^\r\n\x00=]{1,200}=[^\r\n\x00]{6,3000})",
        "RFC 6265, 4.2",
        any_case=True,
        plausible=True,
    ),
    Rule(
        "password in a URL",
        ("://",),
        r"://[^\s/:@\x00\"'<>\\]{0,100}:(?P<value>[^\s/@\x00\"'<>\\]{3,200})@[\w.\[-]",
        "RFC 3986, 3.2.1",
    ),
    Rule(
        "variable with a secret name",
        (
            "PASSWORD",
            "PASSWD",
            "PASSPHRASE",
            "SECRET",
            "TOKEN",
            "CREDENTIAL",
            "API_KEY",
            "APIKEY",
            "ACCESS_KEY",
            "PRIVATE_KEY",
            "_PWD=",
            "_PASS=",
            "_AUTH=",
        ),
        rf"(?:{_NAMES})[A-Z0-9_]{{0,24}}=(?P<value>[^\s\x00\"'<>${{}}%]{{4,2000}}){_END}",
        "POSIX.1-2017, Base Definitions, 8.1: names of environment variables",
        plausible=True,
    ),
    Rule(
        "password in a connection string",
        ("password=", "pwd=", "accountkey=", "accesskey=", "client_secret=", "access_token=", "refresh_token=", "sig="),
        r"[a-z_]{3,16}=(?P<value>[^\s\x00;&\"'<>(){}$%|,]{4,2000})" + _END,
        "Microsoft, ADO.NET Connection string syntax; Azure Storage, Configure connection strings; RFC 6749, 4",
        any_case=True,
        plausible=True,
    ),
    Rule(
        "member of JSON with a secret name",
        ('password"', 'passwd"', 'passphrase"', 'secret"', 'token"', 'api_key"', 'apikey"', 'access_key"'),
        r"[a-z_]{5,12}\"\s{0,4}:\s{0,4}\"(?P<value>[^\"\\\x00]{6,4000})\"",
        "RFC 8259, 4",
        any_case=True,
        plausible=True,
    ),
)


class _Found(NamedTuple):
    """What an opening stands for."""

    rule: Rule
    wide: bool


@cache
def _engine() -> tuple[Engine, dict[str, _Found]]:
    signatures, meanings = [], {}
    for rule in RULES:
        for opening in rule.openings:
            for wide in (False, True):
                name = f"{rule.name}: {opening}{' (UTF-16)' if wide else ''}"
                signatures.append(text_signature(name, opening, any_case=rule.any_case, wide=wide))
                meanings[name] = _Found(rule, wide)
    return Engine(signatures), meanings


def text_signature(name: str, text: str, *, any_case: bool, wide: bool) -> Signature:
    """Return the signature of an ASCII text, in UTF-16 if it is wide."""
    expression = b"".join(_character(each, any_case=any_case, wide=wide) for each in text)
    return Signature(name, expression, len(text) * (2 if wide else 1))


def _character(character: str, *, any_case: bool, wide: bool) -> bytes:
    codes = {character, character.upper(), character.lower()} if any_case else {character}
    choice = b"".join(b"\\x%02x" % ord(each) for each in sorted(codes))
    return (b"[" + choice + b"]" if len(codes) > 1 else choice) + (b"\\x00" if wide else b"")


@cache
def _pattern(rule: Rule) -> re.Pattern[bytes]:
    return re.compile(rule.expression.encode(), re.IGNORECASE if rule.any_case else 0)


def find_credentials(
    data: memoryview, spans: Sequence[tuple[int, int]] | None = None
) -> Iterator[tuple[Secret, Place]]:
    """Yield the credentials in a file by ascending place, with their places; with `spans`, those that begin there."""
    engine, meanings = _engine()
    count = 0
    for number, start in matches(engine, data, spans):
        rule, wide = meanings[engine.signatures[number].name]
        matched = _match(data, start, rule, wide=wide)
        if matched is None:
            continue
        offset, text = matched
        if is_filling(text) or (rule.plausible and not is_plausible(text)):
            continue
        count += 1
        if count > MAX_FOUND:
            return
        place = Place(offset, len(text) * (2 if wide else 1), "utf-16" if wide else "raw", wide)
        yield secret_of(What.CREDENTIALS, rule.name, text), place


def secret_of(what: What | None, label: str, text: bytes) -> Secret:
    """Make a secret of a text; copies are looked for if it is long enough and no plain word."""
    copied = len(text) >= MIN_COPIED and is_plausible(text)
    return Secret(what, label, values=(Value(text, label, random=False, text=True),) if copied else ())


def _match(data: memoryview, start: int, rule: Rule, *, wide: bool) -> tuple[int, bytes] | None:
    """Return the place and characters of what is to go, if a credential follows an opening."""
    if not wide:
        found = _pattern(rule).match(data, start, min(start + MAX_CREDENTIAL, len(data)))
        return (found.start("value" if "value" in found.re.groupindex else 0), _value(found)) if found else None
    both = bytes(data[start : start + 2 * MAX_CREDENTIAL])
    end = re.match(rb"(?:[^\x00]\x00)*", both)
    found = _pattern(rule).match(both[: end.end() if end else 0 : 2])
    if not found:
        return None
    return start + 2 * found.start("value" if "value" in found.re.groupindex else 0), _value(found)


def _value(found: re.Match[bytes]) -> bytes:
    return found["value"] if "value" in found.re.groupindex else found[0]


def is_plausible(text: bytes) -> bool:
    """Return whether a text may be a credential: characters of more than one kind, as no plain word has."""
    has_digit = re.search(rb"\d", text) is not None
    has_letter = re.search(rb"[A-Za-z]", text) is not None
    mixed = re.search(rb"[a-z][A-Z0-9!#*+?@^~]|[A-Z]{2}[a-z]", text) is not None
    return (has_letter and has_digit) or (mixed and len(text) >= MIN_COPIED)
