from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.reader import Case
from dumpscan.case.store.schema import MIGRATIONS, check_version, migrate
from dumpscan.case.store.writer import CaseWriter
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from pathlib import Path

NEXT = (*MIGRATIONS, "CREATE TABLE remarks (text TEXT NOT NULL);\nINSERT INTO remarks VALUES ('new');\n")


def test_a_case_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.db", result("/a.dmp"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, NEXT)
        assert check_version(connection, path, NEXT) == len(NEXT)
        assert connection.execute("SELECT text FROM remarks").fetchone() == ("new",)
        assert connection.execute("SELECT path FROM dumps").fetchone() == ("/a.dmp",)
        migrate(connection, path, NEXT)  # nothing more to do


def test_a_migration_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.db")
    broken = (*MIGRATIONS, "CREATE TABLE remarks (text TEXT);\nINSERT INTO nowhere VALUES (1);\n")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, broken)
        assert check_version(connection, path) == len(MIGRATIONS)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'remarks'").fetchall()


def test_a_semicolon_within_a_statement_does_not_end_it(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.db")
    script = """
        CREATE TABLE remarks (text TEXT NOT NULL DEFAULT 'one;
two'); -- a remark; it ends here
        CREATE TRIGGER doubled AFTER INSERT ON remarks WHEN new.text = 'x' BEGIN
            DELETE FROM remarks;
            INSERT INTO remarks VALUES ('y');
        END;
        INSERT INTO remarks DEFAULT VALUES;
        INSERT INTO remarks VALUES ('x');
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, (*MIGRATIONS, script))
        assert connection.execute("SELECT text FROM remarks").fetchall() == [("y",)]
        connection.execute("INSERT INTO remarks DEFAULT VALUES")
        assert connection.execute("SELECT text FROM remarks WHERE text <> 'y'").fetchall() == [("one;\ntwo",)]


def test_a_newer_case_is_refused_and_untouched(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, NEXT)
    for open_it in (Case.open, CaseWriter.open):
        with pytest.raises(CaseError, match="newer"):
            open_it(path)


def test_a_database_of_another_program_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    before = path.read_bytes()
    for open_it in (CaseWriter.open, Case.open):
        with pytest.raises(CaseError, match="another program"):
            open_it(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("do not lose me")
    with pytest.raises(CaseError, match="left as it is"):
        CaseWriter.open(path)
    assert path.read_text() == "do not lose me"


def test_every_question_has_its_index(tmp_path: Path) -> None:
    questions = (
        "SELECT * FROM keys WHERE key_id = 'x'",
        "SELECT * FROM certificates WHERE thumbprint = 'x'",
        "SELECT * FROM certificates WHERE key_id = 'x'",
        "SELECT * FROM certificates WHERE not_after < 'x'",
        "SELECT * FROM dumps WHERE path = 'x'",
        "SELECT * FROM dumps WHERE sha256 = 'x'",
        "SELECT * FROM sightings WHERE dump_id = 1",
        "SELECT * FROM locations WHERE finding_id = 1 AND dump_id = 1 ORDER BY position",
        "SELECT * FROM processes WHERE name = 'x'",
        "SELECT * FROM environment WHERE name = 'x'",
        "SELECT * FROM findings WHERE kind = 'x' AND identity = 'y'",
    )
    path = write_case(tmp_path / "case.db")
    with closing(sqlite3.connect(path)) as connection:
        for question in questions:
            plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}"))
            assert "SCAN" not in plan, (question, plan)


def test_variables_have_names_and_values(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.db", result("/a.dmp"))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, value FROM environment ORDER BY position").fetchall()
    assert rows == [
        ("=C:", "C:\\Windows"),
        ("Path", "C:\\Windows\\system32;C:\\Windows"),
        ("EMPTY", ""),
        ("lonely", None),
    ]
