from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.query import query
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
