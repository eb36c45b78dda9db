"""What the gate found, for programs that gather such results: SARIF 2.1.0, JUnit XML, and a list of what to allow.

Sources: SARIF 2.1.0 (OASIS standard of 27 March 2020); the JUnit XML that Jenkins, GitLab and GitHub actions read.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from dumpscan._version import __version__
from dumpscan.case.rules import GateRule
from dumpscan.findings import Certificate, EncryptedContainer
from dumpscan.output.exports.documents import clean
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

    from dumpscan.case.gate import Reason
    from dumpscan.output.records import Record

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_MEANINGS = {
    GateRule.PRIVATE_KEY: "A private key lies in the dump.",
    GateRule.UNPROVEN_KEY: "What looks like a private key lies in the dump; nothing proves or refutes it.",
    GateRule.KEY_WITH_CERTIFICATE: "A private key lies in the dump, and its certificate was found.",
    GateRule.LIVE_KEY: "A private key lies in the dump whose certificate is valid now, or was at capture.",
    GateRule.TEST_KEY: "A private key that programs carry to test themselves lies in the dump.",
    GateRule.TLS_SECRET: "A secret of a TLS session lies in the dump.",
    GateRule.SYMMETRIC_KEY: "A key of a symmetric cipher lies in the dump.",
    GateRule.TLS_SECRET: "A secret of a TLS session lies in the dump.",
    GateRule.ENCRYPTED_CONTAINER: "Key material protected by a password lies in the dump.",
    GateRule.EXPIRED: "A certificate that has expired lies in the dump.",
    GateRule.CERTIFICATE: "A certificate lies in the dump.",
    GateRule.UNREAD: "The input could not be read.",
}


# --- SARIF -----------------------------------------------------------------------------------------------------------


def write_sarif(reasons: Sequence[Reason], rules: Sequence[GateRule], dumps: Sequence[str], stream: TextIO) -> None:
    """Write what breaks the rules as a SARIF log with one run.

    Args:
        reasons: What breaks them.
        rules: The rules that were asked for.
        dumps: Paths of the inputs that were judged.
        stream: Where to write.

    Raises:
        OSError: The stream cannot take it.
    """
    order = list(dict.fromkeys(rules))
    described = [
        {
            "id": rule.value,
            "shortDescription": {"text": _MEANINGS[rule]},
            "defaultConfiguration": {"level": "error"},
        }
        for rule in order
    ]
    run = {
        "tool": {"driver": {"name": "dumpscan", "version": __version__, "rules": described}},
        "artifacts": [{"location": {"uri": _uri(path)}} for path in _with_files(dumps, reasons)],
        "results": [_result(each, order.index(each.rule)) for each in reasons],
        "columnKind": "unicodeCodePoints",
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    stream.write(json.dumps(clean(log), indent=2, allow_nan=False) + "\n")


def _with_files(dumps: Sequence[str], reasons: Iterable[Reason]) -> list[str]:
    """Add to the inputs the dumps of the case that something lies in first, which may not have been judged now."""
    return list(dict.fromkeys([*dumps, *(reason.file for reason in reasons)]))


def _result(reason: Reason, index: int) -> Record:
    place: Record = {"artifactLocation": {"uri": _uri(reason.file)}}
    identity = [reason.rule.value, reason.file]
    if reason.finding is not None:
        identity += reason.finding.identity
        first = reason.finding.locations[0]
        if first.file_offset is not None:
            place["region"] = {"byteOffset": first.file_offset, "byteLength": first.extents[0][1]}
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return {
        "ruleId": reason.rule.value,
        "ruleIndex": index,
        "level": "error",
        "message": {"text": printable(reason.text)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"dumpscanFinding/v1": digest},
    }


def _uri(path: str) -> str:
    """Return a path as a URI; what is one already is returned as it is."""
    if "://" in path:
        return path
    text = path.encode("utf-8", "surrogatepass")
    return f"file://{quote(text)}" if path.startswith("/") else quote(Path(path).as_posix())


# --- JUnit -----------------------------------------------------------------------------------------------------------


def write_junit(
    reasons: Sequence[Reason],
    rules: Sequence[GateRule],
    dumps: Sequence[str],
    stream: TextIO,
    *,
    skipped: Mapping[str, str] | None = None,
) -> None:
    """Write a test case for each input and rule, which fails if the rule is broken there.

    Args:
        reasons: What breaks the rules, with all dumps in which it lies.
        rules: The rules that were asked for.
        dumps: Paths of the inputs that were judged.
        stream: Where to write.
        skipped: Inputs that hold no memory that was read, and why: that they break no rule says nothing.

    Raises:
        OSError: The stream cannot take it.
    """
    skipped = skipped or {}
    broken: dict[tuple[str, GateRule], list[Reason]] = {}
    for reason in reasons:
        for path in (reason.file, *reason.other_files):
            broken.setdefault((path, reason.rule), []).append(reason)
    order = list(dict.fromkeys(rules))
    cases = [(path, rule) for path in _with_files(dumps, reasons) for rule in order]
    not_run = sum(each not in broken and each[0] in skipped for each in cases)
    counts = f'tests="{len(cases)}" failures="{len(broken)}" errors="0" skipped="{not_run}"'
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    stream.write(f'<testsuites name="dumpscan" {counts}>\n<testsuite name="gate" {counts}>\n')
    for path, rule in cases:
        stream.write(f"<testcase classname={_quoted(rule.value)} name={_quoted(path)}")
        if found := broken.get((path, rule)):
            text = "\n".join(printable(each.text) for each in found)
            message = f"{_MEANINGS[rule]} ({len(found)})"
            stream.write(f"><failure message={_quoted(message)} type={_quoted(rule.value)}>")
            stream.write(f"{escape(text)}</failure></testcase>\n")
        elif path in skipped:
            stream.write(f"><skipped message={_quoted(skipped[path])}/></testcase>\n")
        else:
            stream.write("/>\n")
    stream.write("</testsuite>\n</testsuites>\n")


def _quoted(text: str) -> str:
    return quoteattr(printable(text))


# --- What to allow ---------------------------------------------------------------------------------------------------


def write_allow(reasons: Iterable[Reason], stream: TextIO) -> int:
    """Write a list for `--allow` with everything that breaks the rules; return how many entries it has.

    Raises:
        OSError: The stream cannot take it.
    """
    entries: dict[str, str] = {}
    for reason in reasons:
        match reason.finding:
            case None:
                continue
            case Certificate() as certificate:
                name = certificate.thumbprint
            case EncryptedContainer() as container:
                name = container.sha256
            case finding:
                name = finding.identity[1]
        entries.setdefault(name, printable(reason.text))
    stream.write(f"# What the gate found, and is to ignore from now on; made by dumpscan {__version__}.\n")
    for name, about in entries.items():
        stream.write(f"{name}  # {about}\n")
    return len(entries)
