"""Triage: reads files into a case. A file that is in the case and has not changed is not read again."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dumpscan.case.triage.again import Rereading
from dumpscan.case.triage.inputs import list_inputs
from dumpscan.case.triage.task import Task
from dumpscan.case.triage.workers import Pool
from dumpscan.findings import PrivateKey, Status
from dumpscan.memory.packed.scratch import remove_abandoned
from dumpscan.memory.packed.unpack import archives_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dumpscan.case.records import MissingSymbols
    from dumpscan.case.store.writer import CaseWriter, DumpResult, KnownDump
    from dumpscan.case.triage.inputs import Input
    from dumpscan.case.triage.task import ReadSettings
    from dumpscan.case.triage.workers import Workers


@dataclass(slots=True)
class TriageProgress:
    """How far a triage has got.

    Attributes:
        files: How many files are to be read.
        files_done: How many of them have been read.
        bytes: Length of the files to read, as far as it is known.
        bytes_done: How many of these bytes have been read.
        findings: How many findings there are so far; one that lies in two files counts twice.
        private_keys: How many of them are private keys.
    """

    files: int = 0
    files_done: int = 0
    bytes: int = 0
    bytes_done: int = 0
    findings: int = 0
    private_keys: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageOutcome:
    """What a triage did.

    Attributes:
        paths: All files that were listed, whether they were read now or before.
        read: How many of them were read now.
        statuses: How many of them have each status.
        named_others: Files that the user named and that are not dumps.
        problems: Path, status and problems of the files that were read now and are damaged or unreadable.
        missing_symbols: The symbol tables that the files lack which were read now, by path.
    """

    paths: tuple[str, ...]
    read: int
    statuses: Counter[Status]
    named_others: tuple[str, ...] = ()
    problems: tuple[tuple[str, Status, tuple[str, ...]], ...] = field(default=())
    missing_symbols: Mapping[str, tuple[MissingSymbols, ...]] = field(default_factory=dict)


def triage(
    writer: CaseWriter,
    names: Sequence[str],
    settings: ReadSettings,
    *,
    workers: Workers | None = None,
    jobs: int = 1,
    again: bool = False,
    progress: Callable[[TriageProgress], None] | None = None,
) -> TriageOutcome:
    """Read files into a case. Each is written to the case as soon as it has been read.

    Args:
        writer: The case.
        names: Paths and URLs of files and directories.
        settings: How to read them.
        workers: What reads them; by default, a pool of `jobs` processes.
        jobs: How many processor cores to use.
        again: Whether to read files again that are in the case and have not changed.
        progress: Called several times a second.

    Raises:
        CaseError: The case cannot be written, or the workers cannot be reached.
        DumpscanError: A library that a URL needs is not installed.
    """
    for directory in {settings.scratch, None}:
        remove_abandoned(directory)
    statuses, tasks, named = _planned(writer, names, settings, again=again)
    # The largest first, so that no process is left with a large file when all others are done.
    tasks.sort(key=lambda task: task.size or 0, reverse=True)
    if tasks:
        threads = max(jobs // len(tasks), 1)
        tasks = [replace(task, threads=threads) for task in tasks]
    state = TriageProgress(files=len(tasks), bytes=sum(task.size or 0 for task in tasks))
    problems: list[tuple[str, Status, tuple[str, ...]]] = []
    missing: dict[str, tuple[MissingSymbols, ...]] = {}
    for result in _results(workers or Pool(jobs), tasks, state, progress):
        writer.add(result)
        record = result.record
        statuses[record.path] = record.status
        if result.missing_symbols:
            missing[record.path] = result.missing_symbols
        if record.problems and record.status not in {Status.OTHER, Status.NO_SYMBOLS}:
            problems.append((record.path, record.status, record.problems))
    return TriageOutcome(
        paths=tuple(statuses),
        read=state.files_done,
        statuses=Counter(statuses.values()),
        named_others=tuple(path for path, status in statuses.items() if path in named and status is Status.OTHER),
        problems=tuple(sorted(problems)),
        missing_symbols=dict(sorted(missing.items())),
    )


def _planned(
    writer: CaseWriter, names: Sequence[str], settings: ReadSettings, *, again: bool
) -> tuple[dict[str, Status], list[Task], set[str]]:
    """List files; return the status of each, pending if it is to be read, how to read those, and which were named."""
    known = writer.known()
    members = _by_archive(known)
    rereading = Rereading(settings)
    statuses: dict[str, Status] = {}
    tasks: list[Task] = []
    named: set[str] = set()
    for each in list_inputs(names, without=writer.own_files, unpacking=settings.unpacking):
        before, inside = known.get(each.path), members.get(each.path, [])
        if each.named:
            named.add(each.path)
        if before is None and not again and inside and all(_same_state(each, known[path]) for path in inside):
            statuses |= {path: known[path].status for path in inside}  # read with a password that is not given now
        elif before is not None and not again and not rereading.needed(each, before):
            statuses[each.path] = before.status
        else:
            statuses[each.path] = Status.PENDING
            tasks.append(_task(each, settings))
    archives = {outer for path in statuses for outer in archives_of(path)}
    for path in archives & known.keys() - statuses.keys():
        writer.forget(path)  # it could not be looked into before; its files are listed now
    return statuses, tasks, named


def _by_archive(known: Iterable[str]) -> dict[str, list[str]]:
    """Return the files of a case that lie in archives, by the paths of those."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    for path in known:
        for outer in archives_of(path):
            members[outer].append(path)
    return members


def _same_state(each: Input, before: KnownDump) -> bool:
    return (each.size, each.modified_ns) == (before.size, before.modified_ns)


def _results(
    workers: Workers, tasks: list[Task], state: TriageProgress, progress: Callable[[TriageProgress], None] | None
) -> Iterator[DumpResult]:
    finished_bytes = within = 0

    def advance(size: int) -> None:
        nonlocal within
        within += size
        state.bytes_done = min(max(finished_bytes, within), state.bytes)

    def finished(result: DumpResult, size: int) -> DumpResult:
        nonlocal finished_bytes
        finished_bytes += size
        state.files_done += 1
        state.findings += len(result.findings)
        state.private_keys += sum(isinstance(finding, PrivateKey) for finding in result.findings)
        advance(0)
        return result

    readable = [task for task in tasks if task.unusable is None]
    for task in tasks:
        if task.unusable is not None:  # there is nothing to read
            yield finished(task.refused(), 0)
    sizes = {task.path: task.size or 0 for task in readable}
    with closing(workers.results(readable, advance)) as results:
        for result in results:
            if result is not None:
                yield finished(result, sizes[result.record.path])
            if progress is not None:
                progress(state)


def _task(each: Input, settings: ReadSettings) -> Task:
    return Task(
        path=each.path,
        size=each.size,
        modified_ns=each.modified_ns,
        tag=each.tag,
        settings=settings,
        unusable=each.unusable,
        other=each.other,
    )
