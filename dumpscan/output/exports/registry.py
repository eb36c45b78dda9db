"""The tools that a case can be written for, `case export --to`.

To add one, write a module in this folder with a function as `export_case` calls it, and add its line to `Target`. Key
material is in no export, nor are environments, which hold passwords more often than not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.exceptions import UsageError
from dumpscan.output.registry import Registered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding


class Target(Registered):
    """Tools, and the functions that write a case for them."""

    TIMESKETCH = "timesketch", "dumpscan.output.exports.timesketch:write_events"
    ECS = "ecs", "dumpscan.output.exports.ecs:write_documents"
    STIX = "stix", "dumpscan.output.exports.stix:write_bundle"
    MISP = "misp", "dumpscan.output.exports.misp:write_event"


def export_case(dumps: Iterable[DumpRecord], findings: Iterable[Finding], to: str, stream: TextIO) -> int:
    """Write a case for another tool; the same case gives the same text, in ASCII.

    Args:
        dumps: The inputs of the case.
        findings: Every finding once, pairs made.
        to: Name of the tool, e.g. `ecs`.
        stream: Where to write.

    Returns:
        How many records (STIX: objects) were written.

    Raises:
        UsageError: There is no such target, or the library for it is not installed. Nothing was written.
        OSError: The stream cannot take it.
    """
    try:
        write = Target(to).load()
    except ValueError as error:
        raise UsageError(f"no export to {to!r}: expected one of {', '.join(Target)}") from error
    count: int = write(sorted(dumps, key=lambda dump: dump.path), findings, stream)
    return count
