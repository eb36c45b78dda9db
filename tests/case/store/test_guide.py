"""What can be asked of a case is listed, and the questions that are shown can be asked as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from dumpscan.case.records import CaseError
from dumpscan.case.store.guide import MEANINGS, QUESTIONS, command, guide
from dumpscan.case.store.query import query
from dumpscan.case.store.reader import Case
from dumpscan.cli.app import app
from support import output_samples as samples
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "a.case", result("/a.dmp", *samples.findings()), result("/b.dmp", *samples.findings()))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.text)
def test_every_question_can_be_asked(question: object, case: Path) -> None:
    answer = query(case, question.sql)  # type: ignore[attr-defined]
    assert answer.columns
    assert answer.rows or "90 days" in question.text or "not read" in question.text  # type: ignore[attr-defined]


def test_the_overview_names_every_table_and_column(case: Path) -> None:
    lines = list(guide(case))
    with Case.open(case) as opened:
        for table, columns in opened.columns().items():
            (at,) = [number for number, line in enumerate(lines) if line.startswith(f"  {table}: {MEANINGS[table]}")]
            assert lines[at + 1].split(", ") == [f"      {columns[0][0]}", *(name for name, _ in columns[1:])]
    assert sum(line.strip() in {question.sql for question in QUESTIONS} for line in lines) == 5


def test_commands_with_a_dot(case: Path) -> None:
    tables = command(case, ".tables")
    assert {row[0] for row in tables.rows} == set(MEANINGS)
    assert "CREATE TABLE dumps" in str(command(case, ".schema dumps").rows)
    assert len(command(case, ".schema").rows) > len(tables.rows)
    assert command(case, ".schema x'y").rows == ()
    with pytest.raises(CaseError, match=r"\.drop: expected \.tables"):
        command(case, ".drop")


def test_the_schema_is_shown_as_it_was_written(case: Path) -> None:
    shown = CliRunner().invoke(app, ["case", "query", str(case), ".schema dumps"]).stdout

    assert shown.startswith("CREATE TABLE dumps (\n")
    assert "    path " in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nosuch FROM dumps", "no such column: nosuch; `dumpscan case query CASE` lists tables and columns"),
        ("DELETE FROM dumps", "a case is only read: expected one SELECT statement"),
        ("selct 1", "syntax error"),
    ],
)
def test_a_question_that_is_wrong_is_told_in_plain_words(sql: str, said: str, case: Path) -> None:
    done = CliRunner().invoke(app, ["case", "query", str(case), sql])

    assert isinstance(done.exception, CaseError)
    assert str(done.exception).endswith(said)


@pytest.mark.parametrize("given", [[], [".tables"], ["SELECT 1"], ["--format", "json"]])
def test_nothing_is_left_beside_the_case(given: list[str], case: Path) -> None:
    done = CliRunner().invoke(app, ["case", "query", str(case), *given])
    assert done.exit_code == 0
    assert done.stdout
    assert [path.name for path in case.parent.iterdir()] == [case.name]
