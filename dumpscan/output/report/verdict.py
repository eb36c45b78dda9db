"""What the report leads with: how bad it is, and how much of the question remains open."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.findings import Status
from dumpscan.output.report.severity import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.case.records import DumpRecord
    from dumpscan.output.report.rows import KeyRow, ObjectRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first words of the report.

    Attributes:
        tone: Class of the style sheet: that of a severity, or `good`. Where nothing was found and not all was read, it
            is that of a warning: nobody must take that for good news.
        badge: A word or two.
        headline: The answer in one sentence.
        scope: How much of it there is.
        action: What to do.
        gaps: What could not be read.
    """

    tone: str
    badge: str
    headline: str
    scope: str = ""
    action: str = ""
    gaps: str = ""


def verdict(
    keys: Sequence[KeyRow],
    containers: Sequence[ObjectRow],
    records: Sequence[DumpRecord],
    holders: set[tuple[str, int | None]],
) -> Verdict:
    """Judge a case.

    Args:
        keys: Its proven private keys, the worst first.
        containers: Its encrypted containers.
        records: Its inputs.
        holders: The processes that hold private keys, by dump and process id.
    """
    inputs = Counter(record.status for record in records if record.status is not Status.OTHER)
    lost = inputs[Status.UNREADABLE] + inputs[Status.PENDING]
    gaps = _gaps(lost, inputs[Status.DAMAGED])
    if keys:
        worst = keys[0].severity
        return Verdict(
            tone=worst.label.lower(),
            badge=worst.label,
            headline=_headline(keys),
            scope=_scope(keys, holders),
            action=worst.action,
            gaps=gaps,
        )
    locked = f"{number(len(containers), 'password-protected container')}" if containers else ""
    if gaps:
        found = f"No readable private key was found, but {locked}" if locked else "No private key was found"
        part = f"{lost or inputs[Status.DAMAGED]:,} of {number(inputs.total(), 'input')} "
        part += "were " if (lost or inputs[Status.DAMAGED]) > 1 else "was "
        return Verdict(
            tone=Severity.MEDIUM.label.lower(),
            badge="Not complete",
            headline=part + ("not read" if lost else "read only in part"),
            scope=f"{found} in {'the others' if lost < inputs.total() else 'any of them'}." if lost else f"{found}.",
            action="Mend or unpack what could not be read, and run triage again.",
            gaps=gaps,
        )
    if containers:
        return Verdict(
            tone=Severity.LOW.label.lower(),
            badge=Severity.LOW.label,
            headline=f"No readable private key was found, but {locked}",
            action=Severity.LOW.action,
        )
    return Verdict(tone="good", badge="Nothing exposed", headline="No private key was found")


def _headline(keys: Sequence[KeyRow]) -> str:
    live = sum(key.severity is Severity.CRITICAL for key in keys)
    if live:
        return f"{number(live, 'private key')} with a valid certificate lay readable in memory"
    return f"{number(len(keys), 'private key')} lay readable in memory, none with a valid certificate"


def _scope(keys: Sequence[KeyRow], holders: set[tuple[str, int | None]]) -> str:
    dumps = {dump for dump, _ in holders}
    where = f" in {number(len(holders), 'process', 'processes')} of {number(len(dumps), 'dump')}" if holders else ""
    return f"{number(len(keys), 'private key')} in all{where}. Each was proven by arithmetic on its own numbers."


def _gaps(lost: int, damaged: int) -> str:
    """Say what remains unknown because inputs could not be read."""
    parts = []
    if lost:
        parts.append(f"{number(lost, 'input')} could not be read")
    if damaged:
        parts.append(f"{number(damaged, 'input')} could be read only in part")
    holds = "it holds" if lost + damaged == 1 else "they hold"
    return f"{' and '.join(parts)}: what else {holds} is not known." if parts else ""


def number(count: int, thing: str, things: str | None = None) -> str:
    """Return `1 key`, `2 keys`."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"
