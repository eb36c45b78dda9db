"""What a redaction did, as a record, as rows of CSV, and as lines for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dumpscan.files import PRIVATE, whole_file
from dumpscan.findings import SCHEMA_VERSION
from dumpscan.output.records import document
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.output.records import Record
    from dumpscan.redact.report import Redaction

COLUMNS = ("file", "what", "label", "key_id", "file_offset", "length", "encoding")
"""Of CSV: a row for each place."""
MAX_LINES = 60
"""Secrets that are listed for people."""


def redaction_record(redaction: Redaction) -> Record:
    """Return a redaction as a document."""
    return {"schema": SCHEMA_VERSION, "kind": "redaction", "redaction": document(redaction)}


def write_report(path: Path, redaction: Redaction) -> None:
    """Write a redaction's record to a private file, over any earlier one.

    Raises:
        ExportError: It cannot be written.
    """
    with whole_file(path, mode=PRIVATE) as file:
        file.write(f"{json.dumps(redaction_record(redaction), indent=2)}\n".encode())


def redaction_rows(redaction: Redaction) -> Iterator[tuple[object, ...]]:
    """Yield the rows of CSV (see `COLUMNS`)."""
    for secret in redaction.removed:
        for place in secret.places:
            about = (redaction.source.file, secret.what, secret.label, secret.key_id)
            yield (*about, place.file_offset, place.length, place.encoding)


def redaction_lines(redaction: Redaction) -> Iterator[str]:
    """Yield a redaction as lines for people: what was removed, or would be, each secret on a line."""
    yield printable(f"{redaction.source.file}: {summary(redaction)}")
    width = max((len(secret.what) for secret in redaction.removed), default=0)
    for secret in redaction.removed[:MAX_LINES]:
        places = "1 place" if secret.place_count == 1 else f"{secret.place_count} places"
        key = f" {secret.key_id[:16]}…" if secret.key_id else ""
        yield f"  {secret.what:{width}}  {printable(secret.label)}{key}, {places}"
    if len(redaction.removed) > MAX_LINES:
        yield f"  … and {len(redaction.removed) - MAX_LINES} more: see --format json"


def summary(redaction: Redaction) -> str:
    """Return what a redaction comes to, in half a sentence."""
    count = len(redaction.removed)
    secrets = "no secrets" if not count else "1 secret" if count == 1 else f"{count} secrets"
    amount = f" in {redaction.size:,} bytes" if count else ""
    if redaction.output is None:
        return f"{secrets}{amount}"
    return f"{secrets}{amount} removed; the copy is {redaction.output.file}"
