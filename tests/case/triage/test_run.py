"""Triage as a user meets it: a pile of everything, killed, resumed, gated."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.case.store.reader import Case
from dumpscan.case.store.writer import CaseWriter
from dumpscan.case.triage.run import TriageOutcome, TriageProgress, triage
from dumpscan.case.triage.task import ReadSettings
from dumpscan.case.triage.workers import Here
from dumpscan.findings import Status
from dumpscan.synth.minidump.builder import MinidumpBuilder
from support.corpus import ROOT, corpus_dumps
from support.kernel_images import build_lab

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding

SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def dumpscan(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dumpscan", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def run(case: Path, *names: object, again: bool = False, **settings: Any) -> TriageOutcome:  # noqa: ANN401 - settings
    with CaseWriter.open(case) as writer:
        return triage(writer, list(map(str, names)), ReadSettings(**settings), workers=Here(), again=again)


def content(case: Path) -> tuple[list[DumpRecord], list[Finding]]:
    """All that a case says but for when it was learnt."""
    with Case.open(case, secrets=True) as opened:
        epoch = datetime(2025, 1, 1, tzinfo=UTC)
        return (
            [replace(dump, started=epoch, finished=epoch) for dump in opened.dumps()],
            list(opened.findings()),
        )


@pytest.fixture(scope="module")
def pile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str], Path]:
    """A directory of everything; what each file must be called; a directory of symbol tables."""
    root = tmp_path_factory.mktemp("pile")
    lab = build_lab(tmp_path_factory.mktemp("lab"))
    expected = {}

    def put(name: str, data: bytes, status: str) -> None:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
        expected[name] = status

    for path in corpus_dumps():
        put(f"corpus/{path.name}", path.read_bytes(), "damaged" if "invalid-range" in path.name else "ok")
    put("built/webserver.dmp", SAMPLE.read_bytes(), "ok")
    put("built/cut.dmp", SAMPLE.read_bytes()[:60_000], "damaged")
    put("built/header.dmp", SAMPLE.read_bytes()[:40], "unreadable")
    whole = lab.image.read_bytes()
    put("built/image.png", whole, "ok")
    put("built/cut.raw", whole[: len(whole) * 3 // 4 - 5], "damaged")
    put("junk/notes.txt", b"nothing to see here", "other")
    put("junk/empty.dmp", b"", "other")
    put("junk/picture.dmp", PNG, "other")
    put("junk/noise", random.Random(1).randbytes(1 << 20), "other")  # noqa: S311 - noise
    (root / "junk" / "round").symlink_to("..")
    expected["junk/round"] = "other"
    (root / "junk" / "self").symlink_to("self")
    expected["junk/self"] = "unreadable"
    put("junk/locked.dmp", SAMPLE.read_bytes(), "ok" if os.geteuid() == 0 else "unreadable")
    (root / "junk" / "locked.dmp").chmod(0)
    return root, expected, lab.symbols


def test_every_file_is_accounted_for_and_none_is_read_twice(
    pile: tuple[Path, Mapping[str, str], Path], tmp_path: Path
) -> None:
    root, expected, symbols = pile
    case = tmp_path / "case.db"
    arguments = ("triage", root, "-c", case, "--jobs", 2, "--symbols", symbols)
    done = dumpscan(*arguments)
    assert done.returncode == 1, done.stderr
    with Case.open(case) as opened:
        dumps = {os.path.relpath(dump.path, root): dump for dump in opened.dumps()}
        assert {name: dump.status.value for name, dump in dumps.items()} == expected
        assert all(dump.problems for dump in dumps.values() if dump.status is not Status.OK)
        truth = json.loads(SAMPLE.with_name("webserver.truth.json").read_text())
        planted = {item["sha256"] for item in truth["objects"]}
        name = str(root / "built" / "webserver.dmp")
        found = [place.sha256 for finding in opened.findings() for place in finding.locations if place.file == name]
        assert found
        assert set(found) <= planted
    before = content(case)
    again = dumpscan(*arguments)
    assert again.returncode == 1
    assert f"0 files read, {len(expected)} known and unchanged" in again.stderr
    assert again.stdout == done.stdout
    assert content(case) == before


def test_the_case_inside_the_directory_is_not_its_own_input(tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / "a.dmp")
    assert run(tmp_path / "case.db", tmp_path).paths == (str(tmp_path / "a.dmp"),)


def test_only_what_is_new_or_changed_is_read(tmp_path: Path) -> None:
    dumps, case = tmp_path / "dumps", tmp_path / "case.db"
    dumps.mkdir()
    for name in ("a", "b"):
        shutil.copy(SAMPLE, dumps / name)
    first = run(case, dumps)
    assert first.read == 2
    assert run(case, dumps) == replace(first, read=0)
    shutil.copy(SAMPLE, dumps / "c")
    assert run(case, dumps).read == 1
    status = (dumps / "a").stat()
    os.utime(dumps / "a", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert run(case, dumps).read == 1
    assert run(case, dumps, again=True).read == 3


def test_more_care_than_before_means_reading_again(tmp_path: Path) -> None:
    case = tmp_path / "case.db"
    assert run(case, SAMPLE, hashes=False).read == 1
    assert run(case, SAMPLE, hashes=False).read == 0
    assert run(case, SAMPLE).read == 1
    assert run(case, SAMPLE, hashes=False).read == 0
    assert run(case, SAMPLE, store_keys=True).read == 1
    assert run(case, SAMPLE).read == 0


def test_a_missing_symbol_table_that_is_there_now(tmp_path: Path) -> None:
    lab, case = build_lab(tmp_path), tmp_path / "case.db"
    assert run(case, lab.image).statuses == {Status.NO_SYMBOLS: 1}
    assert run(case, lab.image).read == 0
    assert run(case, lab.image, symbols=(str(lab.symbols),)).statuses == {Status.OK: 1}
    assert run(case, lab.image, symbols=(str(lab.symbols),)).read == 0


def test_progress_ends_where_it_should(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []

    def note(state: TriageProgress) -> None:
        seen.append((state.files_done, state.bytes_done, state.findings))

    with CaseWriter.open(tmp_path / "case.db") as writer:
        triage(writer, [str(SAMPLE), str(tmp_path / "absent")], ReadSettings(), workers=Here(), progress=note)
    assert seen == sorted(seen)
    assert seen[-1][:2] == (2, SAMPLE.stat().st_size)
    assert seen[-1][2] == 9


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_at_any_moment_and_run_again_it_is_as_if_nothing_had_been(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    data = SAMPLE.read_bytes()
    for number in range(40):
        (dumps / f"{number:02}.dmp").write_bytes(data[: len(data) - number * 3000])
    (dumps / "notes").write_text("nothing")
    undisturbed, disturbed = tmp_path / "undisturbed.db", tmp_path / "disturbed.db"
    run(undisturbed, dumps, store_keys=True)
    command = [sys.executable, "-m", "dumpscan", "triage", str(dumps), "-c", str(disturbed), "-q", "--store-keys"]
    moments, finished = random.Random(5), []  # noqa: S311 - moments
    for _ in range(10):
        with subprocess.Popen(
            [*command, "--jobs", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as killed:
            # At once, or after some more files, however long they take on this machine.
            wanted = (finished[-1] if finished else 0) + moments.randrange(-1, 4)
            while _rows(disturbed) <= wanted and killed.poll() is None:
                time.sleep(0.005)
            killed.kill()
        now = _rows(disturbed)
        assert now >= (finished[-1] if finished else 0)  # what was finished once stays
        finished.append(now)
    assert finished[-1] < 41 or len(set(finished)) > 2, "killed too late to prove anything"
    assert dumpscan(*command[3:]).returncode == 3
    assert content(disturbed) == content(undisturbed)


def _rows(case: Path) -> int:
    try:
        with Case.open(case) as opened:
            return len(opened.dumps(processes=False))
    except Exception:  # noqa: BLE001 - not begun yet
        return 0


def test_the_second_run_on_a_case_is_told_who_holds_it(tmp_path: Path) -> None:
    with CaseWriter.open(tmp_path / "case.db"):
        done = dumpscan("triage", SAMPLE, "-c", tmp_path / "case.db")
    assert done.returncode == 1
    assert f"process {os.getpid()} on " in done.stderr


def gate(*exposures: str) -> tuple[str, ...]:
    return tuple(word for exposure in exposures for word in ("--fail-on", exposure))


def test_the_gate(tmp_path: Path) -> None:
    arguments = ("triage", SAMPLE, "-c", tmp_path / "case.db", "-q")
    assert dumpscan(*arguments).returncode == 0
    done = dumpscan(*arguments, *gate("private-key", "unproven-key", "encrypted-container"), "--format", "jsonl")
    assert done.returncode == 4
    lines = done.stderr.splitlines()
    exposures = Counter(line.split(": ")[2] for line in lines)
    assert exposures == {"private-key": 2, "unproven-key": 1, "encrypted-container": 1}  # Ed25519 without a public half
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert Counter(record["kind"] for record in records)["private_key"] == 3
    allow = tmp_path / "allow.txt"
    ids = [record["key"]["id"] for record in records if record["kind"] == "private_key"]
    allow.write_text("# known\n" + "\n".join(ids))
    assert dumpscan(*arguments, *gate("private-key", "unproven-key"), "--allow", allow).returncode == 0
    assert dumpscan(*arguments, "--fail-on", "nonsense").returncode == 2
    allow.write_text("what")
    assert dumpscan(*arguments, "--fail-on", "private-key", "--allow", allow).returncode == 2


def test_exit_codes(tmp_path: Path) -> None:
    text, cut = tmp_path / "notes.txt", tmp_path / "cut.dmp"
    text.write_text("nothing")
    cut.write_bytes(SAMPLE.read_bytes()[:60_000])
    named = dumpscan("triage", text, "-c", tmp_path / "1.db")
    assert named.returncode == 1
    assert "no dump" in named.stderr
    directory = tmp_path / "directory"
    directory.mkdir()
    shutil.copy(text, directory)
    assert dumpscan("triage", directory, "-c", tmp_path / "2.db").returncode == 0
    assert dumpscan("triage", cut, "-c", tmp_path / "3.db").returncode == 3
    assert dumpscan("triage", tmp_path / "absent", "-c", tmp_path / "4.db").returncode == 1
    assert dumpscan("triage", cut).returncode == 2
    assert dumpscan("triage", cut, "-c", text).returncode == 1
    assert text.read_text() == "nothing"


def test_show_and_query(tmp_path: Path) -> None:
    case = tmp_path / "case.db"
    summary = dumpscan("triage", SAMPLE, "-c", case).stdout
    assert dumpscan("case", "show", case).stdout == summary
    assert "Private keys" in summary.splitlines()[0]
    done = dumpscan("case", "query", case, "SELECT key_id, thumbprint FROM pairs ORDER BY 1", "--format", "jsonl")
    pairs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(pairs) == 2
    for options in (("--key", pairs[0]["key_id"][:12]), ("--certificate", pairs[0]["thumbprint"])):
        shown = dumpscan("case", "show", case, *options, "--format", "jsonl")
        assert {json.loads(line)["kind"] for line in shown.stdout.splitlines()} == {"certificate", "private_key"}
    whole = dumpscan("case", "show", case, "--dump", SAMPLE, "--format", "json")
    assert len(json.loads(whole.stdout)["findings"]) == 9
    assert "w3wp.exe" in dumpscan("case", "show", case, "--dump", SAMPLE).stdout
    assert dumpscan("case", "show", case, "--key", "00").returncode == 1
    assert dumpscan("case", "show", case, "--key", "00", "--dump", "x").returncode == 2
    assert dumpscan("case", "query", case, "DELETE FROM dumps").returncode == 1
    table = dumpscan("case", "query", case, "SELECT path, size FROM dumps").stdout.splitlines()
    assert table[0].split() == ["path", "size"]
    assert table[1].split() == [str(SAMPLE), str(SAMPLE.stat().st_size)]
    assert dumpscan("case", "query", case, "SELECT '=1+1' AS x", "--format", "csv").stdout == "x\n'=1+1\n"


def test_environments_are_announced_masked_or_left_out(tmp_path: Path) -> None:
    dump, case = tmp_path / "a.dmp", tmp_path / "case.db"
    builder = MinidumpBuilder("x64", pid=1)
    builder.add_thread(1)
    builder.add_process(
        command_line="a.exe", environment=["NAME=value", "DB_PASSWORD=hunter2hunter2"], image_path="C:\\a.exe"
    )
    builder.write(dump)
    said = "--no-environment leaves them out"
    first = dumpscan("triage", dump, "-c", case)
    assert first.stderr.count(said) == 1
    assert first.stderr.startswith("dumpscan: note: environment variables")
    assert said not in dumpscan("triage", dump, "-c", case).stderr  # nothing was read
    assert said not in dumpscan("triage", dump, "-c", case, "--again", "-q").stderr
    assert b"hunter2hunter2" in case.read_bytes()

    masked = dumpscan("triage", dump, "-c", case, "--mask-environment")
    assert "1 file read" in masked.stderr
    assert said not in masked.stderr
    with Case.open(case) as opened:
        (record,) = opened.dumps()
    assert record.settings["environment"] == "masked"
    assert record.processes[0].environment == ("NAME=value", "DB_PASSWORD=[masked]")
    assert b"hunter2hunter2" not in case.read_bytes()

    left_out = dumpscan("triage", dump, "-c", case, "--no-environment")
    assert said not in left_out.stderr
    assert b"NAME=value" not in case.read_bytes()
    with Case.open(case) as opened:
        assert opened.dumps()[0].settings["environment"] == "left out"
    assert dumpscan("triage", dump, "-c", case, "--no-environment", "--mask-environment").returncode == 2


def test_an_unreadable_file_counts_more_than_a_damaged_one(tmp_path: Path) -> None:
    cut = tmp_path / "cut.dmp"
    cut.write_bytes(SAMPLE.read_bytes()[:60_000])
    for names in ((cut, tmp_path / "absent"), (tmp_path / "absent", cut), (tmp_path / "absent", cut, SAMPLE)):
        assert dumpscan("triage", *names, "-c", tmp_path / "case.db").returncode == 1
    assert dumpscan("triage", cut, SAMPLE, "-c", tmp_path / "case.db").returncode == 3


def test_a_pipe_among_the_dumps_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    os.mkfifo(dumps / "pipe.dmp")
    shutil.copy(SAMPLE, dumps / "a.dmp")
    done = dumpscan("triage", dumps, "-c", tmp_path / "case.db")
    assert done.returncode == 0
    with Case.open(tmp_path / "case.db") as case:
        statuses = {dump.path.rpartition(os.sep)[2]: (dump.status, dump.problems) for dump in case.dumps()}
    assert statuses == {"a.dmp": (Status.OK, ()), "pipe.dmp": (Status.OTHER, ("no regular file",))}
    named = dumpscan("triage", dumps / "pipe.dmp", "-c", tmp_path / "case.db")
    assert named.returncode == 1
    assert "no dump" in named.stderr


@pytest.mark.parametrize("name", ["", "/", "a" * 300, "a" * 250])
def test_a_case_that_cannot_have_this_name(tmp_path: Path, name: str) -> None:
    case = name if name in {"", "/"} else tmp_path / name
    for arguments in (("triage", SAMPLE, "-c", case), ("case", "show", case), ("report", case, "-o", tmp_path / "r")):
        done = dumpscan(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("dumpscan: error: ")
        assert "directory" in done.stderr or "too long" in done.stderr or "no such case" in done.stderr
    assert list(tmp_path.iterdir()) == []
