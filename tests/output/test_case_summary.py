from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dumpscan.case.store.reader import Case
from dumpscan.findings import Status
from dumpscan.output.case_summary import case_summary
from support import output_samples as samples
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.case.store.writer import DumpResult

SCREEN = 40


def summary(path: Path, *results: DumpResult) -> list[str]:
    with Case.open(write_case(path / "case.db", *results)) as case:
        bad = [dump for dump in case.dumps() if dump.status is Status.UNREADABLE]
        return case_summary(case.summary(samples.NOW), case.exposed_keys(samples.NOW), bad)


def test_the_worst_comes_first(tmp_path: Path) -> None:
    lines = summary(tmp_path, result("/a.dmp", *samples.findings()), result("/b.dmp", samples.findings()[1]))
    headings = [line for line in lines if line.startswith("Private keys")]
    assert headings[0] == "Private keys with a certificate that is valid now: 1"
    assert lines[0] == headings[0]
    assert "www.contoso.example" in lines[1]
    assert "w3wp.exe 5120" in lines[1]
    assert "/a.dmp and 1 more" in lines[1]
    assert len(headings) == 3


def test_it_stays_on_a_screen(tmp_path: Path) -> None:
    web, key = samples.findings()[:2]
    many = []
    for number in range(60):
        name = f"{number:064x}"
        many.append(replace(key, key_id=name))  # type: ignore[call-arg]
        if number % 2:
            many.append(replace(web, key_id=name, sha256=name, thumbprint=name[:40]))  # type: ignore[call-arg]
    unreadable = [
        result(f"/bad{number}", status=Status.UNREADABLE, problems=("cut",), processes=()) for number in range(50)
    ]
    lines = summary(tmp_path, result("/a.dmp", *many), *unreadable)
    assert len(lines) < SCREEN
    assert "22 more" in " ".join(lines)
    assert "46 more that could not be read" in lines[-1]


def test_text_of_a_dump_steers_no_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\u202e\n"
    web, key = samples.findings()[:2]
    found = (replace(web, subject=evil), key)  # type: ignore[call-arg]
    lines = summary(tmp_path, result(f"/{evil}", *found), result("/b", status=Status.UNREADABLE, problems=(evil,)))
    assert all(line.isprintable() for line in lines)


def test_nothing_found(tmp_path: Path) -> None:
    lines = summary(tmp_path, result("/a.dmp"))
    assert lines == ["No private keys.", "Files: 1: 1 whole. 1 process, 1000 bytes of dumps."]
