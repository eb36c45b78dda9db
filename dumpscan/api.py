"""The library: open a dump, list its processes, search it. `docs/api.md` shows how.

The package itself offers all of this: `from dumpscan import open_dump, search`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.exceptions import UsageError
from dumpscan.memory.formats import OpenOptions
from dumpscan.memory.open import open_dump as open_by_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dumpscan.findings import Finding
    from dumpscan.memory.dump import PhysicalDump, ProcessDump


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found: iterate over it, or take its length.

    Attributes:
        findings: Certificates, keys and containers, each once, with its locations; keys and certificates of one public
            key name each other. They stay valid after the dump is closed.
        problems: What could not be searched or was cut off, a sentence each; what is damaged in the dump itself is in
            the dump's `damage`.
    """

    findings: tuple[Finding, ...]
    problems: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Finding]:
        """Yield the findings in the order of their first locations."""
        return iter(self.findings)

    def __len__(self) -> int:
        """Return how many findings there are."""
        return len(self.findings)


def open_dump(
    path: str | Path, *, symbols: Iterable[str | Path] = (), offline: bool = True
) -> ProcessDump | PhysicalDump:
    """Open a file as the dump that it is: a minidump or an image of physical memory, recognised by its content.

    Args:
        path: The file.
        symbols: Directories or files of kernels' symbol tables, to be looked at before all others.
        offline: Whether to stay off the network. Otherwise a missing symbol table of a kernel is downloaded.

    Returns:
        The dump (see `dumpscan.memory.dump.Dump`), to be used as a context manager or closed. It offers `path`,
        `format`, `damage`, `warnings`, `describe()` and `processes()`.

    Raises:
        NoDumpError: The file is not a dump.
        InputError: It cannot be opened, or is a dump that cannot be read.
    """
    options = OpenOptions(symbols=tuple(Path(each) for each in symbols), offline=offline)
    return open_by_content(Path(path), options=options)


def search(
    dump: ProcessDump | PhysicalDump,
    what: str = "scan",
    *,
    pids: Iterable[int] = (),
    names: Iterable[str] = (),
    progress: Callable[[int], None] | None = None,
) -> SearchResult:
    """Search an open dump.

    Args:
        dump: What `open_dump` returned.
        what: As the commands are called: `x509`, `symcrypt`, `keys`, `tls`, or `scan` for everything but TLS
            secrets.
        pids: Only the memory of these processes.
        names: Only that of processes whose names match one of these patterns (`*`, `?`, `[...]`).
        progress: Called with a number of bytes when that many more have been searched.

    Raises:
        UsageError: There is no such search, or (`NoSuchProcessError`) no such process.
        InputError: Processes are asked for that the image cannot name, for want of its symbol table.
    """
    from dumpscan.artifacts.registry import SEARCHES  # noqa: PLC0415 - heavy; opening a dump does not need it
    from dumpscan.search.merge import Collector  # noqa: PLC0415 - as above
    from dumpscan.search.options import SearchOptions  # noqa: PLC0415 - as above
    from dumpscan.search.pairs import with_pairs, without_guesses  # noqa: PLC0415 - as above
    from dumpscan.search.run import search as search_dump  # noqa: PLC0415 - as above

    if what not in SEARCHES:
        raise UsageError(f"there is no search {what!r}; expected one of {', '.join(SEARCHES)}")
    wanted = SEARCHES[what]
    collector = Collector()
    options = SearchOptions(pids=tuple(pids), names=tuple(names))
    problems = search_dump(dump, wanted, collector, options=options, progress=progress)
    if collector.dropped:
        problems += (f"{collector.dropped} further findings were not kept: there are too many",)
    return SearchResult(tuple(wanted.shown(without_guesses(with_pairs(collector.findings())))), problems)
