"""A case file whose tables are not what dumpscan makes is refused, before anything is read from them."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.query import query
from dumpscan.case.store.reader import Case
from dumpscan.case.store.schema import APPLICATION_ID, MIGRATIONS, _run
from dumpscan.case.store.writer import CaseWriter
from dumpscan.findings import PrivateKey, Process
from support.case_damage import read_everything, whole_case
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"


def changed(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE dumps", f"CREATE VIEW dumps AS {ENDLESS}"),
        ("ALTER TABLE findings RENAME TO kept", f"CREATE VIEW findings AS {ENDLESS}"),
        ("DROP VIEW pairs", f"CREATE VIEW pairs AS {ENDLESS}"),
        ("DROP TABLE containers",),
        ("DROP INDEX locations_by_sighting",),
        ("ALTER TABLE dumps DROP COLUMN tag",),
        ("ALTER TABLE dumps ADD COLUMN more AS (printf('%.*c', 1000000000, 'x'))",),
        ("DROP TABLE case_info", "CREATE VIRTUAL TABLE case_info USING fts5(name, value)"),
        ("CREATE TRIGGER mine AFTER INSERT ON dumps BEGIN DELETE FROM dumps; END",),
    ],
)
def test_a_changed_table_is_named(tmp_path: Path, statements: tuple[str, ...]) -> None:
    path = changed(whole_case(tmp_path / "case.db"), *statements)
    before = path.read_bytes()
    for open_case in (Case.open, CaseWriter.open):
        with pytest.raises(CaseError, match=r"not the (table|view|index) that dumpscan makes|it has a trigger"):
            open_case(path)
    assert path.read_bytes() == before


def test_what_a_user_has_added_is_left_alone(tmp_path: Path) -> None:
    path = whole_case(tmp_path / "case.db")
    changed(
        path,
        "CREATE VIEW mine AS SELECT path FROM dumps",
        "CREATE TABLE remarks (text TEXT)",
        "CREATE INDEX by_size ON dumps (size)",
        "ANALYZE",
    )
    read_everything(path)
    write_case(path, result("/c.dmp"))
    assert len(query(path, "SELECT * FROM mine").rows) == 3


def test_pages_that_are_linked_in_a_circle(tmp_path: Path) -> None:
    path = whole_case(tmp_path / "case.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'locations'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    data = bytearray(path.read_bytes())
    page = (root - 1) * size
    # An interior page of a table (file format, section 1.6) whose children are all the page itself.
    cells = 300
    content = size - 5 * cells
    header = bytes([5]) + (0).to_bytes(2, "big") + cells.to_bytes(2, "big") + content.to_bytes(2, "big") + bytes(1)
    header += root.to_bytes(4, "big") + b"".join((content + 5 * at).to_bytes(2, "big") for at in range(cells))
    data[page : page + len(header)] = header
    data[page + content : page + size] = (root.to_bytes(4, "big") + b"\x01") * cells
    path.write_bytes(data)
    with pytest.raises(CaseError, match="the case file is damaged"):
        Case.open(path)


def test_a_finding_of_an_unknown_kind(tmp_path: Path) -> None:
    path = changed(whole_case(tmp_path / "case.db"), "UPDATE findings SET kind = 'new' WHERE id = 1")
    with pytest.raises(CaseError, match=r"findings\.kind is damaged: expected one of certificate"):
        Case.open(path)


_OTHERS_PROCESS = """
UPDATE locations SET process_id = (SELECT id FROM processes WHERE dump_id = 2)
WHERE dump_id = 1 AND process_id IS NOT NULL
"""


@pytest.mark.parametrize("table", ["environment", "processes", "sightings", "locations", "certificates", "keys"])
def test_a_row_that_belongs_to_nothing(tmp_path: Path, table: str) -> None:
    path = whole_case(tmp_path / "case.db")
    column = {"environment": "process_id", "processes": "dump_id"}.get(table, "finding_id")
    changed(path, f"UPDATE {table} SET {column} = 999 WHERE {column} = (SELECT max({column}) FROM {table})")  # noqa: S608
    with pytest.raises(CaseError, match=r"a row of \w+ belongs to no row of "):
        Case.open(path)


def test_a_finding_without_places_and_one_without_itself(tmp_path: Path) -> None:
    whole = whole_case(tmp_path / "case.db")
    for statement, problem in (
        ("DELETE FROM locations WHERE finding_id = 1", "a finding with places"),
        ("DELETE FROM certificates WHERE finding_id = 1", "is not in certificates"),
        ("UPDATE findings SET identity = 'x' WHERE id = 1", "what names the finding"),
        (_OTHERS_PROCESS, "a process of the same dump"),
    ):
        path = tmp_path / "damaged.db"
        shutil.copyfile(whole, path)
        changed(path, "PRAGMA foreign_keys = OFF", statement)
        with Case.open(path) as case, pytest.raises(CaseError, match=problem):
            list(case.findings())


def first_version(path: Path) -> Path:
    """Write a case as the first version of the schema had it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _run(connection, MIGRATIONS[:1])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO case_info VALUES ('created', '2025-06-01T08:00:00Z')")
        columns = "(path, size, status, problems, tool_version, settings, started, finished, format)"
        for name, status, problem, form in (
            ("/closed", "unreadable", "cannot be opened: Permission denied", None),
            ("/image", "damaged", "its processes cannot be listed: the symbol table of its kernel is not", "kernel"),
            ("/good", "ok", "", "minidump"),
        ):
            problems = f'["{problem}"]' if problem else "[]"
            moment = "2025-06-01T08:00:00Z"
            row = (name, 1, status, problems, "1", "{}", moment, moment, form)
            connection.execute(f"INSERT INTO dumps {columns} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
        digest = "ab" * 32
        connection.executescript(
            f"""
            INSERT INTO processes (id, dump_id, position, pid, name, notes) VALUES (1, 3, 0, 7, 'a.exe', '[]');
            INSERT INTO findings VALUES (1, 'private_key', '{digest}');
            INSERT INTO keys VALUES (1, 'private_key', '{digest}', 'RSA', 2048, NULL, NULL);
            INSERT INTO sightings VALUES (1, 3, 0, 1, '{digest}', 100, '["n = p*q"]');
            INSERT INTO locations
            (finding_id, dump_id, position, length, missing, encoding, sha256, extents, process_id)
            VALUES (1, 3, 0, 100, 0, 'pkcs1', '{digest}', '[[0, 100]]', 1);
            """  # noqa: S608
        )
    return path


def test_a_case_of_the_first_version_is_read_as_it_is(tmp_path: Path) -> None:
    path = first_version(tmp_path / "case.db")
    before = path.read_bytes()
    with Case.open(path) as case:
        assert [dump.path for dump in case.dumps()] == ["/closed", "/good", "/image"]
        (key,) = case.findings()
    assert isinstance(key, PrivateKey)
    assert (key.bits, key.proof, key.wrong_parts) == (2048, ("n = p*q",), ())
    assert key.locations[0].process == Process(pid=7, name="a.exe")
    assert path.read_bytes() == before


def test_a_case_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = first_version(tmp_path / "case.db")
    with CaseWriter.open(path) as writer:
        known = writer.known()
        assert [known[name].opened for name in ("/closed", "/good", "/image")] == [False, True, True]
        assert known["/image"].status.value == "pending"  # which table was missing is learnt when it is read again
        writer.add(result("/new"))
    with Case.open(path) as case:
        assert case.schema_version == len(MIGRATIONS)
        assert len(case.dumps()) == 4
        assert len(list(case.findings())) == 1


@pytest.mark.parametrize("wal", [False, True])
def test_a_database_of_another_program_keeps_its_mode_and_content(tmp_path: Path, *, wal: bool) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    path.chmod(0o644)
    before = path.read_bytes()
    for open_case in (CaseWriter.open, Case.open):
        with pytest.raises(CaseError, match="another program"):
            open_case(path)
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_the_log_of_another_program_is_not_touched(tmp_path: Path) -> None:
    """The pages that were not written back yet are in the log: to open the database is enough to lose it."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
        for ending in ("", "-wal"):
            shutil.copyfile(f"{path}{ending}", tmp_path / f"copy.db{ending}")
    before = {each.name: each.read_bytes() for each in tmp_path.glob("copy*")}
    assert len(before) == 2
    for open_case in (CaseWriter.open, Case.open):
        with pytest.raises(CaseError, match="another program"):
            open_case(tmp_path / "copy.db")
    assert {each.name: each.read_bytes() for each in tmp_path.glob("copy*")} == before


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_files_beside_a_case_that_are_not_its_own(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "case.db"
    theirs = tmp_path / f"case.db{ending}"
    theirs.write_text("do not lose me")
    with pytest.raises(CaseError, match=f"case.db{ending}: is not this case's"):
        CaseWriter.open(path)
    assert [each.name for each in tmp_path.iterdir()] == [theirs.name]
    theirs.unlink()
    write_case(path, result("/a.dmp"))
    important = tmp_path / "important"
    important.write_bytes(b"")
    theirs.symlink_to(important)
    with pytest.raises(CaseError, match="is not this case's"):
        CaseWriter.open(path)
    assert important.read_bytes() == b""


def test_a_case_with_two_names_is_not_written(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.db", result("/a.dmp"))
    (tmp_path / "other.db").hardlink_to(path)
    with pytest.raises(CaseError, match="2 names"):
        CaseWriter.open(path)
    with Case.open(tmp_path / "other.db") as case:
        assert len(case.dumps()) == 1


@pytest.mark.parametrize("name", ["", "/", ".", ".."])
def test_a_directory_is_no_case(name: str) -> None:
    for open_case in (Case.open, CaseWriter.open):
        with pytest.raises(CaseError, match="is a directory; expected the name of a case file"):
            open_case(name)
