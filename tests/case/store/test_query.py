from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.query import _answer, query
from support import output_samples as samples
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "case.db", result("/a.dmp", *samples.findings()))


def test_an_answer(case: Path) -> None:
    answer = query(case, "SELECT path, status, 1 AS status FROM dumps")
    assert answer.columns == ("path", "status", "status_2")
    assert answer.rows == (("/a.dmp", "ok", 1),)
    assert not answer.cut


def test_bytes_that_are_called_text(case: Path) -> None:
    assert query(case, "SELECT CAST(x'61ff' AS TEXT)").rows == (("a\\xff",),)


def test_views_answer(case: Path) -> None:
    assert len(query(case, "SELECT * FROM pairs").rows) == 2
    assert query(case, "SELECT DISTINCT path FROM evidence").rows == (("/a.dmp",),)


def test_key_material_cannot_be_read_in_any_way(case: Path) -> None:
    key = next(finding for finding in samples.findings() if finding.kind == "private_key")
    needle = key.pkcs8[40:60]  # type: ignore[attr-defined]
    assert needle in case.read_bytes()
    for sql in (
        "SELECT material FROM secrets",
        "SELECT * FROM secrets",
        "SELECT hex(material) FROM secrets",
        "WITH x AS (SELECT material AS m FROM secrets) SELECT m FROM x",
        "SELECT (SELECT group_concat(hex(s.material)) FROM secrets AS s)",
    ):
        assert needle.hex() not in repr(query(case, sql)).lower().replace("\\x", "")
    assert query(case, "SELECT count(material) FROM secrets").rows == ((0,),)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM dumps",
        "UPDATE dumps SET path = 'x'",
        "INSERT INTO case_info VALUES ('a', 'b')",
        "DROP TABLE dumps",
        "CREATE TEMP TABLE t (x)",
        "ATTACH '/tmp/other.db' AS other",
        "VACUUM INTO '/tmp/copy.db'",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA database_list",
        "BEGIN",
        "SELECT load_extension('x')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM nowhere",
        "",
        "SELECT '\ud800'",
        "SELECT 1 \x00",
        "SELECT randomblob(100000000)",
        "SELECT replace(printf('%.*c', 5000000, 'x'), 'x', 'xxxx')",
    ],
)
def test_what_does_not_read_is_refused(case: Path, sql: str) -> None:
    before = case.read_bytes()
    with pytest.raises(CaseError):
        query(case, sql)
    assert case.read_bytes() == before


def test_a_function_that_may_not_be_called_is_named(case: Path) -> None:
    with pytest.raises(CaseError, match=r"not allowed: a question may not call zeroblob$"):
        query(case, "SELECT hex(zeroblob(100))")


def test_the_schema_may_be_looked_at(case: Path) -> None:
    names = {row[0] for row in query(case, "SELECT name FROM sqlite_master").rows}
    assert {"dumps", "locations", "pairs"} <= names
    assert query(case, "PRAGMA table_info(dumps)").rows


def test_answers_are_bounded(case: Path) -> None:
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    answer = query(case, counting, most_rows=10)
    assert [row[0] for row in answer.rows] == list(range(1, 11))
    assert answer.cut
    assert not query(case, f"{counting} LIMIT 10", most_rows=10).cut
    with pytest.raises(CaseError, match="takes more than"):
        query(case, counting.replace("SELECT i FROM", "SELECT sum(i) FROM"), seconds=0.2)


def test_one_function_that_takes_hours_is_ended(case: Path) -> None:
    # SQLite's own way to interrupt a question is not tried within a function: 4 MB are looked for in 8 MB.
    hours = "SELECT instr(hex(printf('%.*c', 4000000, 'x')), hex(printf('%.*c', 2000000, 'x')) || '1')"
    with pytest.raises(CaseError, match="takes more than"):
        query(case, hours, seconds=0.5)


def test_a_view_without_an_end_is_ended(case: Path) -> None:
    with closing(sqlite3.connect(case)) as connection:
        connection.execute("ALTER TABLE dumps RENAME TO kept")
        connection.execute(
            "CREATE VIEW dumps AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        )
    with pytest.raises(CaseError, match="takes more than"):
        query(case, "SELECT count(*) FROM dumps", seconds=0.5)


def test_memory_is_bounded(case: Path) -> None:
    sql = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) "
        "SELECT printf('%.*c', 1000000, 'x') || i AS x FROM n ORDER BY x DESC"
    )
    request = {"path": str(case), "sql": sql, "most_rows": 1, "seconds": 250}
    program = "from dumpscan.case.store import query; query._MAX_HEAP_BYTES = 32 << 20; query.main()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, check=True)
    assert b"too much memory" in done.stdout


def test_an_answer_that_is_too_large_is_cut(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.case.store.query.MAX_ANSWER_BYTES", 1000)
    columns, rows, cut = _answer(case, "SELECT printf('%.*c', 300, 'x') FROM locations", 100)
    assert (columns, len(rows), cut) == (("printf('%.*c', 300, 'x')",), 2, True)  # type: ignore[arg-type]


def test_nothing_of_the_current_directory_is_run(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sqlite3", "json", "dumpscan", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert query(case, "SELECT 1").rows == ((1,),)


def test_a_process_that_answers_ends_when_nobody_waits_for_it(case: Path) -> None:
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    request = {"path": str(case), "sql": sql, "most_rows": 1, "seconds": -1.5}
    command = [sys.executable, "-c", "from dumpscan.case.store.query import main; main()"]
    done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout == b"\n"


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e300])
def test_any_time_limit(case: Path, seconds: float) -> None:
    assert query(case, "SELECT 1", seconds=seconds).rows == ((1,),)
