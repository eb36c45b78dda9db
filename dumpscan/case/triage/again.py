"""Decides whether a file in the case is read again: because it has changed, or because more can be learnt of it now."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.case.triage.environment import Environment
from dumpscan.case.triage.staging import is_url
from dumpscan.findings import Status

if TYPE_CHECKING:
    from dumpscan.case.records import MissingSymbols
    from dumpscan.case.store.writer import KnownDump
    from dumpscan.case.triage.inputs import Input
    from dumpscan.case.triage.task import ReadSettings

_MORE = ("aes", "aes_unaligned", "hash", "store_keys", "tls")
"""Settings that only ever add to what is learnt of a dump."""


class Rereading:
    """Decides which files one run reads again.

    Args:
        settings: How files are read in this run.
    """

    def __init__(self, settings: ReadSettings) -> None:
        self._settings = settings
        self._table = cache(self._find_table)

    def needed(self, each: Input, before: KnownDump) -> bool:
        """Return whether a file must be read again.

        Args:
            each: The file as it is now.
            before: What the case has of it.
        """
        if before.status is Status.PENDING:
            return True
        if (each.size, each.modified_ns, each.tag) != (before.size, before.modified_ns, before.tag):
            return True
        if each.unusable is not None or before.status is Status.OTHER:
            return False
        if not before.opened:  # a new permission changes neither size nor time
            return is_url(each.path) or os.access(each.path, os.R_OK)
        if before.status is Status.UNREADABLE:
            return self._unpacks_more(before)
        then, now = before.settings, self._settings.recorded()
        if any(now[name] and not then.get(name) for name in _MORE):
            return True
        if now["environment"] != then.get("environment", Environment.KEPT.value):
            return True
        return any(map(self._may_be_there, before.missing_symbols))

    def _unpacks_more(self, before: KnownDump) -> bool:
        """Return whether a file that was refused may be unpacked now: with a password, or within wider bounds."""
        limit = before.settings.get("scratch_limit")
        wider = isinstance(limit, int) and limit < self._settings.scratch_limit
        return wider or self._settings.archive_password is not None

    def _may_be_there(self, missing: MissingSymbols) -> bool:
        """Return whether a symbol table is on this machine now, or may be downloaded."""
        table = self._table(missing.pdb, missing.guid, missing.age)
        if table is None:
            return not self._settings.offline
        return str(table) != missing.refused

    def _find_table(self, pdb: str, guid: str, age: int) -> Path | None:
        from dumpscan.memory.symbols.pdb import PdbRecord  # noqa: PLC0415 - needed where a table was missing
        from dumpscan.memory.symbols.store import SymbolStore  # noqa: PLC0415 - see above

        return SymbolStore([Path(each) for each in self._settings.symbols]).find(PdbRecord(pdb, guid, age))
