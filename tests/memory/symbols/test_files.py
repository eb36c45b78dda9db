from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dumpscan.exceptions import DumpscanError, ExportError, InputError
from dumpscan.files import write_whole
from dumpscan.memory.symbols import json_limits
from dumpscan.memory.symbols.files import add_tables, identify, read_table
from dumpscan.memory.symbols.pdb import PdbRecord
from dumpscan.memory.symbols.store import SymbolStore
from support.corpus import SYMBOLS
from support.pdb_bytes import GUID as PDB_GUID
from support.pdb_bytes import build_pdb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GUID = "0123456789ABCDEF0123456789ABCDEF"
PLACE = f"windows/ntkrnlmp.pdb/{GUID}-1.json"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".xz": lzma.compress,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
}


def table(guid: str = GUID, **pdb: object) -> bytes:
    return json.dumps(
        {
            "metadata": {"windows": {"pdb": {"GUID": guid, "age": 1, "database": "ntkrnlmp.pdb", **pdb}}},
            "user_types": {"_EPROCESS": {}, "_KPROCESS": {}, "_PEB": {}},
        }
    ).encode()


def stored(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def write(directory: Path, name: str, data: bytes) -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("packed", PACKERS)
def test_a_table_is_put_where_it_is_found(tmp_path: Path, packed: str) -> None:
    source = write(tmp_path, "any name", PACKERS[packed](table()))
    store = tmp_path / "store"
    (added,), problems = add_tables(source, store)
    assert problems == []
    assert added.new
    assert added.source == str(source)
    assert stored(store) == {PLACE + packed}
    assert added.path.read_bytes() == source.read_bytes()
    assert SymbolStore([store]).find(PdbRecord("ntkrnlmp.pdb", GUID, 1)) == added.path
    (again,), _ = add_tables(source, store)
    assert not again.new


def make_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in members.items():
            pack.writestr(name, data)


def make_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as pack:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            pack.addfile(entry, io.BytesIO(data))


def make_directory(path: Path, members: dict[str, bytes]) -> None:
    for name, data in members.items():
        if ".." not in name and not name.startswith("/"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)


@pytest.mark.parametrize("make", [make_zip, make_tar, make_directory])
def test_a_pack_is_taken_apart_and_nothing_escapes(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], None]
) -> None:
    members = {
        "windows/ntkrnlmp.pdb/a.json": table(),
        "deep/er/b.json.xz": lzma.compress(table("A" * 32)),
        "../../../escape.json": table("B" * 32),
        "/absolute.json": table("C" * 32),
        "readme.txt": b"not a table",
        "broken.json": b"{}",
        "kernel.pdb": build_pdb(),
    }
    source, store = tmp_path / "in" / "pack", tmp_path / "in" / "a" / "b" / "store"
    source.parent.mkdir()
    make(source, members)
    added, problems = add_tables(source, store)
    guids = {GUID, "A" * 32, PDB_GUID} | ({"B" * 32, "C" * 32} if make is not make_directory else set())
    assert {item.identity.guid for item in added} == guids
    assert {path.rpartition("/")[0] for path in stored(store)} == {"windows/ntkrnlmp.pdb"}
    assert len(stored(store)) == len(guids)
    assert [problem.rpartition(": ")[2] for problem in problems] == [
        "is no symbol table of a Windows program (ISF) and no PDB"
    ]
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"pack", "a"}


def test_links_in_packs_are_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path, "secret.json", table())
    with tarfile.open(tmp_path / "pack.tar", "w") as pack:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            entry = tarfile.TarInfo("link.json")
            entry.type, entry.linkname = kind, str(secret)
            pack.addfile(entry)
    with pytest.raises(InputError, match="holds no symbol table"):
        add_tables(tmp_path / "pack.tar", tmp_path / "store")
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "link.json").symlink_to(secret)
    with pytest.raises(InputError, match="holds no symbol table"):
        add_tables(directory, tmp_path / "store")


@pytest.mark.parametrize(
    "pdb",
    [
        {"database": "../../escape.pdb"},
        {"database": ".."},
        {"database": "a/b.pdb"},
        {"database": "a\\b.pdb"},
        {"database": ""},
        {"database": "x" * 100},
        {"guid": "../" + "0" * 29},
        {"guid": "0" * 31},
        {"age": -1},
        {"age": "one"},
        {"age": 1 << 40},
    ],
)
def test_names_that_a_table_gives_itself_are_checked(tmp_path: Path, pdb: dict[str, Any]) -> None:
    source = write(tmp_path, "table.json", table(**pdb))
    with pytest.raises(InputError):
        add_tables(source, tmp_path / "store")
    assert {path.name for path in tmp_path.iterdir()} == {"table.json"}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no symbol table of a Windows program"),
        (b"garbage", "is no symbol table of a Windows program"),
        (b"[" * 100_000, "is no symbol table of a Windows program"),
        (b"\xfd7zXZ\0garbage", "cannot be unpacked"),
        (gzip.compress(table())[:-9], "cannot be unpacked"),
        (table().replace(b"_KPROCESS", b"_OTHER"), "is not a kernel's symbol table: _KPROCESS are not in it"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        add_tables(write(tmp_path, "table.json", data), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        add_tables(tmp_path / "absent", tmp_path / "store")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no symbol table"):
        add_tables(tmp_path / "empty", tmp_path / "store")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "absent")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bombs_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, dict[str, bytes]], None]
) -> None:
    monkeypatch.setattr("dumpscan.memory.symbols.files.MAX_FILE_BYTES", 1000)
    monkeypatch.setattr("dumpscan.memory.symbols.files._MAX_PACK_BYTES", 4000)
    large = tmp_path / "large.pack"
    make(large, {"a.json": table(), "b.json": b"x" * 1001})
    added, problems = add_tables(large, tmp_path / "store")
    assert len(added) == 1
    assert [problem.rpartition(": ")[2] for problem in problems] == ["is larger than 0 MiB"]
    many = tmp_path / "many.pack"
    make(many, {f"{number}.json": table(f"{number:032X}") for number in range(40)})
    added, problems = add_tables(many, tmp_path / "store2")
    assert 0 < len(added) < 40
    assert "unpacks to more than" in problems[-1]


@pytest.mark.parametrize("packed", [".xz", ".gz", ".bz2"])
def test_a_table_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: str
) -> None:
    monkeypatch.setattr("dumpscan.memory.symbols.files.MAX_FILE_BYTES", 10_000)
    path = write(tmp_path, "bomb", PACKERS[packed](b"x" * 1_000_000))
    with pytest.raises(InputError, match="is larger than"):
        read_table(path)
    with pytest.raises(InputError, match="is larger than"):
        add_tables(path, tmp_path / "store")


def test_an_infinite_age_is_no_age(tmp_path: Path) -> None:
    endless = table().replace(b'"age": 1', b'"age": 1e999')
    with pytest.raises(InputError, match="no symbol table"):
        add_tables(write(tmp_path, "table.json", endless), tmp_path / "store")


def test_a_store_that_cannot_be_written_to(tmp_path: Path) -> None:
    in_the_way = write(tmp_path, "store", b"a file")
    with pytest.raises(DumpscanError, match="cannot be written to"):
        add_tables(write(tmp_path, "table.json", table()), in_the_way)


def test_files_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a" / "b"
    write_whole(target, b"one")
    assert target.read_bytes() == b"one"

    def fail(*_: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ExportError, match="No space left"):
        write_whole(target, b"two")
    assert target.read_bytes() == b"one"
    assert list(target.parent.iterdir()) == [target]


# --- PDB --------------------------------------------------------------------------------------------------------------


def test_a_pdb_is_converted(tmp_path: Path) -> None:
    source = write(tmp_path, "download.pdb", build_pdb(age=2))
    (added,), problems = add_tables(source, tmp_path / "store")
    assert problems == []
    assert stored(tmp_path / "store") == {f"windows/ntkrnlmp.pdb/{PDB_GUID}-2.json.xz"}
    converted = json.loads(read_table(added.path))
    assert converted["user_types"]["_KPROCESS"]["fields"]["DirectoryTableBase"]["offset"] == 0x28
    assert converted["symbols"]["PsActiveProcessHead"]["address"] == 0x5000 + 0x1234
    assert SymbolStore([tmp_path / "store"]).find(PdbRecord("ntkrnlmp.pdb", PDB_GUID, 2)) == added.path


def test_a_pdb_without_a_name_has_its_files(tmp_path: Path) -> None:
    source = write(tmp_path, "ntoskrnl.pdb", build_pdb(name=None))
    add_tables(source, tmp_path / "store")
    assert stored(tmp_path / "store") == {f"windows/ntoskrnl.pdb/{PDB_GUID}-1.json.xz"}
    # It is found by what it is all the same.
    assert SymbolStore([tmp_path / "store"]).find(PdbRecord("ntkrnlmp.pdb", PDB_GUID, 1)) is not None


@pytest.mark.parametrize("streams", [8, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_pdb_whose_directory_claims_more_streams_than_it_lists_is_refused_at_once(
    tmp_path: Path, streams: int
) -> None:
    data = bytearray(build_pdb())
    (block_map,) = struct.unpack_from("<I", data, 52)
    (directory,) = struct.unpack_from("<I", data, block_map * 0x400)
    struct.pack_into("<I", data, directory * 0x400, streams)
    path = tmp_path / "many.pdb"
    path.write_bytes(data)
    with pytest.raises(InputError, match="its sizes do not fit the file"):
        add_tables(path, tmp_path / "store")


def test_a_damaged_file_in_a_pack_leaves_the_others(tmp_path: Path) -> None:
    pack = tmp_path / "pack.zip"
    with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first.pdb", build_pdb())
        archive.writestr("second.pdb", build_pdb(name="second.pdb"))
    data = bytearray(pack.read_bytes())
    data[60:100] = bytes(each ^ 0xFF for each in data[60:100])
    pack.write_bytes(data)
    added, (problem,) = add_tables(pack, tmp_path / "store")
    assert [each.source for each in added] == [f"{pack}!second.pdb"]
    assert problem.startswith(f"{pack}!first.pdb: cannot be read: ")


def test_a_pdb_that_claims_huge_sizes_is_refused_at_once(tmp_path: Path) -> None:
    whole = build_pdb()
    for at, value in ((32, 1), (32, 0), (32, 1 << 31), (40, 0xFFFFFFFF), (44, 0xFFFFFFFF)):
        data = whole[:at] + struct.pack("<I", value) + whole[at + 4 :]
        with pytest.raises(InputError, match="its sizes do not fit the file"):
            add_tables(write(tmp_path, "x.pdb", data), tmp_path / "store")


@given(at=st.integers(48, len(build_pdb()) - 1), value=st.binary(min_size=1, max_size=4))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_pdb_ends_in_words(tmp_path: Path, at: int, value: bytes) -> None:
    whole = build_pdb()
    source = write(tmp_path, "x.pdb", whole[:at] + value + whole[at + len(value) :])
    with suppress(InputError):
        add_tables(source, tmp_path / "store")


# --- Identity ---------------------------------------------------------------------------------------------------------


@given(guid=st.text("0123456789abcdefABCDEF", min_size=32, max_size=32), age=st.integers(0, (1 << 32) - 1))
def test_a_tables_identity_is_read_from_its_text(guid: str, age: int) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        found = identify(json.dumps(json.loads(table(guid, age=age)), separators=separators).encode())
        assert found is not None
        assert (found.guid, found.age, found.database) == (guid.upper(), age, "ntkrnlmp.pdb")


@given(data=st.binary())
def test_anything_else_has_none(data: bytes) -> None:
    assert identify(data) is None


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_a_table_that_would_become_gigabytes_of_objects_is_not_parsed(tmp_path: Path) -> None:
    packed = lzma.compress(b"[" + b"[[]]," * (3 << 20) + b"0]")
    assert len(packed) < 10_000
    path = write(tmp_path, "bomb.json.xz", packed)
    for attempt in (read_table, lambda path: add_tables(path, tmp_path / "store")):
        with pytest.raises(InputError, match=f"it has more than {json_limits.MAX_VALUES} values$"):
            attempt(path)


def test_a_table_that_is_nested_too_deep_is_not_parsed(tmp_path: Path) -> None:
    path = write(tmp_path, "deep.json", b'{"a":' * 100 + b"1" + b"}" * 100)
    with pytest.raises(InputError, match="it has more than 64 levels of brackets"):
        read_table(path)


@pytest.mark.parametrize("age", ["1e999", "-1e999", "NaN", "1" * 5000, "[1]", "{}", "null"])
def test_an_age_that_is_no_number(tmp_path: Path, age: str) -> None:
    data = table().replace(b'"age": 1', b'"age": ' + age.encode())
    with pytest.raises(InputError, match=r"is no symbol table|make no sense"):
        add_tables(write(tmp_path, "age.json", data), tmp_path / "store")


JSON = st.recursive(
    st.none() | st.integers() | st.text('ab"\\[]{},:\u00e4', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\[]{},:', max_size=4), inner, max_size=4),
    max_leaves=30,
)


def measured(value: object) -> tuple[int, int]:
    """Depth of a value, and its brackets, commas and colons."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return 0, 0
    parts = [measured(each) for each in inner]
    colons = len(inner) if isinstance(value, dict) else 0
    return (
        1 + max((depth for depth, _ in parts), default=0),
        1 + max(len(inner) - 1, 0) + colons + sum(count for _, count in parts),
    )


@given(value=JSON, size=st.integers(1, 20), ascii_only=st.booleans())
def test_limits_count_what_is_outside_of_strings(value: object, size: int, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    depth, count = measured(value)
    for limit, most, exceeded in (("MAX_DEPTH", depth, "levels"), ("MAX_VALUES", count, "values")):
        for allowed in {most, max(most - 1, 0)}:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(json_limits, limit, allowed)
                limits = json_limits.JsonLimits()
                chunks = (text[at : at + size] for at in range(0, len(text), size))
                found = next((problem for problem in map(limits.exceeded_by, chunks) if problem), None)
            assert (found is not None and exceeded in found) == (allowed < most)


@pytest.mark.skipif(not SYMBOLS.is_dir(), reason=f"no real symbol tables at {SYMBOLS}")
def test_real_tables_pass_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_limits, "MAX_VALUES", json_limits.MAX_VALUES // 10)
    monkeypatch.setattr(json_limits, "MAX_DEPTH", json_limits.MAX_DEPTH // 4)
    monkeypatch.setattr("dumpscan.memory.symbols.files._MAX_TABLE_BYTES", (96 << 20) // 10)
    tables = list(SYMBOLS.rglob("*.json.xz"))
    assert len(tables) == 5
    for path in tables:
        assert identify(read_table(path)) is not None


def test_an_entry_without_a_name_is_passed_over(tmp_path: Path) -> None:
    pack = tmp_path / "pack.zip"
    make_zip(pack, {"nameless": b"", "a.json": table()})
    pack.write_bytes(pack.read_bytes().replace(b"nameless", b"\0ameless"))  # zipfile ends a name there
    with zipfile.ZipFile(pack) as archive:
        assert archive.namelist() == ["", "a.json"]

    added, _ = add_tables(pack, tmp_path / "store")

    assert [each.source for each in added] == [f"{pack}!a.json"]
