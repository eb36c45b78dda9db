"""Redaction of many dumps, each in a process of its own: one that fails, or that the system kills, stops no other."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.case.store.database import is_case_file
from dumpscan.case.store.reader import Case
from dumpscan.case.triage.inputs import list_inputs
from dumpscan.exceptions import DumpscanError
from dumpscan.findings import Status
from dumpscan.memory.formats import NoDumpError
from dumpscan.redact.run import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from dumpscan.redact.report import Redaction
    from dumpscan.redact.run import RedactOptions

    WriteReport = Callable[[Path, Redaction], None]

REPORT_SUFFIX = ".redaction.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One dump to redact.

    Attributes:
        source: The dump.
        target: Its copy.
        report: The report beside it.
        named: Whether the user named it, rather than a directory or case that it is in.
    """

    source: Path
    target: Path
    report: Path
    named: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one dump.

    Attributes:
        job: The dump.
        redaction: What was done; None if nothing was.
        problem: Why not, a sentence; None also for a copy that was there already.
        other: Whether the file is no dump.
    """

    job: Job
    redaction: Redaction | None = None
    problem: str | None = None
    other: bool = False

    @property
    def there(self) -> bool:
        """Whether the copy was there already."""
        return self.redaction is None and self.problem is None


def jobs_for(places: Sequence[Path], output: Path | None) -> Iterator[Job]:
    """List the dumps in files, directories and cases, with the copies to make of them below a directory.

    What lies below that directory already is no dump to copy.

    Raises:
        DumpscanError: A case cannot be read.
    """
    taken: set[Path] = set()
    made = None if output is None else output.resolve()
    for place in places:
        for source, relative in _dumps(place):
            if made is not None and source != place and source.resolve().is_relative_to(made):
                continue  # a copy of an earlier run
            target = (output or Path()) / relative
            number = 1
            while target in taken:
                number += 1
                target = (output or Path()) / relative.with_name(f"{relative.stem}-{number}{relative.suffix}")
            taken.add(target)
            report = target.with_name(target.name + REPORT_SUFFIX)
            yield Job(source, target, report, named=source == place)


def _dumps(place: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the files of a place, and where each copy belongs."""
    if place.is_dir():
        root = os.path.abspath(place)  # noqa: PTH100 - as `list_inputs` makes it
        for each in list_inputs([str(place)]):
            if not each.other and not each.path.endswith(REPORT_SUFFIX):
                relative = Path(os.path.relpath(each.path, root))
                yield place / relative, relative
    elif place.is_file() and is_case_file(place):
        with Case.open(place) as case:
            dumps = [dump for dump in case.dumps(processes=False) if dump.status is not Status.OTHER]
        # A case names dumps by absolute paths; in a damaged one, a path may be anything.
        paths = [Path(os.path.abspath(dump.path)) for dump in dumps]  # noqa: PTH100 - `..` goes, links stay
        root = os.path.commonpath([path.parent for path in paths]) if paths else ""
        for path in paths:
            yield path, path.relative_to(root)
    else:
        yield place, Path(place.name)


def redact_all(
    jobs: Iterable[Job], options: RedactOptions, *, workers: int, write_report: WriteReport
) -> Iterator[Outcome]:
    """Redact dumps, each in a new process; yield what became of each as soon as it is known.

    Args:
        jobs: The dumps. Copies that are there already, from an earlier run, are left as they are.
        options: How.
        workers: How many are redacted at a time.
        write_report: Writes a report; a function of a module, so that another process can call it.
    """
    context = multiprocessing.get_context("spawn")

    def work(job: Job) -> Outcome:
        if job.target.exists() and not options.force:
            return Outcome(job)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(sender, job, options, write_report), daemon=True)
        process.start()
        sender.close()
        try:
            outcome: Outcome = receiver.recv()
        except EOFError:
            process.join()
            return Outcome(job, problem=f"{job.source}: its process ended with {process.exitcode}")
        finally:
            receiver.close()
        process.join()
        return outcome

    with ThreadPoolExecutor(workers, thread_name_prefix="dumpscan-redact") as pool:
        for future in as_completed([pool.submit(work, job) for job in jobs]):
            yield future.result()


def _child(sender: Connection, job: Job, options: RedactOptions, write_report: WriteReport) -> None:
    """Redact one dump, and tell the parent process."""
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        redaction = redact(job.source, job.target, options, before_naming=lambda each: write_report(job.report, each))
        outcome = Outcome(job, redaction)
    except NoDumpError as error:
        outcome = Outcome(job, problem=f"{job.source}: {error}", other=True)
    except DumpscanError as error:
        outcome = Outcome(job, problem=str(error))
    except OSError as error:
        outcome = Outcome(job, problem=f"{job.target}: {error.strerror}")
    except MemoryError:
        outcome = Outcome(job, problem=f"{job.source}: reading it takes more memory than there is")
    sender.send(outcome)
