"""What large cases take: findings written into a case, read back and summed up; CPU seconds and peak memory.

    python benchmarks/load.py [--findings N ...] [--dump-findings N]

Each number of findings has a case of its own, in a temporary directory. The findings are symmetric keys, each different
from all others; `--dump-findings` lie in each dump. Twice as many should take twice as long.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dumpscan.case.records import DumpRecord
from dumpscan.case.store.reader import Case
from dumpscan.case.store.writer import CaseWriter, DumpResult
from dumpscan.findings import Location, Process, Status, SymmetricKey

if TYPE_CHECKING:
    from collections.abc import Callable

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)
_PROCESS = Process(pid=1234, name="server.exe", command_line="server.exe --listen 443")


def dump(number: int, findings: int) -> DumpResult:
    """Return what a triage would have read of a dump."""
    path = f"/dumps/{number:06}.dmp"
    found = tuple(_key(path, number * findings + each) for each in range(findings))
    record = DumpRecord(
        path=path,
        size=1 << 20,
        modified=_WHEN,
        captured=_WHEN,
        sha256=hashlib.sha256(path.encode()).hexdigest(),
        format="minidump",
        status=Status.OK,
        problems=(),
        tool_version="0",
        settings={"aes": True},
        started=_WHEN,
        finished=_WHEN,
        processes=(_PROCESS,),
    )
    return DumpResult(record=record, findings=found, modified_ns=1, tag=None)


def _key(path: str, number: int) -> SymmetricKey:
    address = 0x1_0000_0000 + 512 * number
    digest = hashlib.sha256(number.to_bytes(8, "little")).digest()
    place = Location(
        file=path,
        virtual_address=address,
        length=240,
        extents=((address & 0xFFFFFF, 240),),
        sha256=digest.hex(),
        encoding="aes-schedule",
        region=(0x1_0000_0000, 1 << 32),
        process=_PROCESS,
    )
    return SymmetricKey(
        sha256=digest.hex(),
        size=32,
        key_id=digest.hex(),
        algorithm="AES",
        bits=256,
        key=digest,
        proof=("all relations hold",),
        locations=(place,),
    )


def measured(name: str, work: Callable[[], object]) -> None:
    """Do something in a process of its own, and print what it took."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{name}: failed")
    seconds = used.ru_utime + used.ru_stime
    print(f"{name:<32}{seconds:8.2f} s CPU {time.monotonic() - begun:8.1f} s  {used.ru_maxrss >> 10:6} MB", flush=True)


def write(path: Path, findings: int, in_each: int) -> None:
    """Write a case."""
    with CaseWriter.open(path) as writer:
        for number in range(findings // in_each):
            writer.add(dump(number, in_each))


def read(path: Path) -> int:
    """Read all findings of a case."""
    with Case.open(path) as reader:
        return sum(1 for _ in reader.findings())


def sum_up(path: Path) -> object:
    """Make the summary of a case."""
    with Case.open(path) as reader:
        return reader.summary()


def main() -> None:
    """Measure, and print a line for each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dump-findings", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for findings in chosen.findings:
            path = Path(directory) / f"{findings}.case"
            measured(f"write {findings} findings", partial(write, path, findings, chosen.dump_findings))
            measured("read them back", partial(read, path))
            measured("summary", partial(sum_up, path))
            print(f"{path.stat().st_size / findings:.0f} bytes for each finding")
            path.unlink()


if __name__ == "__main__":
    main()
