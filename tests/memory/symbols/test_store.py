from __future__ import annotations

import json
import lzma
import os
import zipfile
from pathlib import Path

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.symbols.pdb import PdbRecord
from dumpscan.memory.symbols.store import SymbolsMissingError, SymbolsState, SymbolStore, user_store

GUID = "0123456789ABCDEF0123456789ABCDEF"
PDB = PdbRecord("ntkrnlmp.pdb", GUID, 1)
NAME = f"{GUID}-1.json"


def table(guid: str = GUID, age: int = 1) -> bytes:
    pdb = {"GUID": guid, "age": age, "database": "ntkrnlmp.pdb"}
    return json.dumps({"metadata": {"windows": {"pdb": pdb}}}).encode()


@pytest.fixture(autouse=True)
def nobodys_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home-data"))
    monkeypatch.delenv("DUMPSCAN_SYMBOLS", raising=False)


def put(path: Path, data: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(table() if data is None else data)
    return path


@pytest.mark.parametrize("layout", ["windows/ntkrnlmp.pdb", "ntkrnlmp.pdb", ".", "windows/renamed.pdb"])
@pytest.mark.parametrize("packed", ["", ".xz"])
def test_a_table_is_found_in_every_layout(tmp_path: Path, layout: str, packed: str) -> None:
    directory = tmp_path / "symbols"
    path = put(directory / layout / (NAME + packed), lzma.compress(table()) if packed else None)
    store = SymbolStore([directory])
    found = store.find(PDB)
    assert found is not None
    assert found.samefile(path)
    assert store.problems == []
    assert store.find(PdbRecord("ntkrnlmp.pdb", GUID, 2)) is None


def test_names_may_be_in_lower_case(tmp_path: Path) -> None:
    path = put(tmp_path / "s" / NAME.lower(), table(GUID.lower()))
    assert SymbolStore([tmp_path / "s"]).find(PDB) == path


def test_a_table_may_be_named_itself(tmp_path: Path) -> None:
    path = put(tmp_path / "any name.json")
    assert SymbolStore([path]).find(PDB) == path
    assert SymbolStore([path]).find(PdbRecord("ntkrnlmp.pdb", "F" * 32, 1)) is None


def test_a_pack_is_looked_into(tmp_path: Path) -> None:
    directory = tmp_path / "symbols"
    directory.mkdir()
    with zipfile.ZipFile(directory / "windows.zip", "w") as pack:
        pack.writestr("../../escape.json", b"{}")
        pack.writestr(f"../windows/ntkrnlmp.pdb/{NAME}", table())
    for named in (directory, directory / "windows.zip"):
        found = SymbolStore([named], tmp_path / "cache").find(PDB)
        assert found == tmp_path / "cache" / "symbols" / "ntkrnlmp.pdb" / NAME
        assert found.read_bytes() == table()
    assert {path.name for path in tmp_path.iterdir()} == {"symbols", "cache"}


def test_damaged_packs_are_said_and_passed_over(tmp_path: Path) -> None:
    directory = tmp_path / "symbols"
    put(directory / "broken.zip", b"PK\x03\x04 and nothing more")
    path = put(directory / "ntkrnlmp.pdb" / NAME)
    store = SymbolStore([directory], tmp_path / "cache")
    assert store.find(PDB) == path
    store = SymbolStore([directory], tmp_path / "cache")
    assert store.find(PdbRecord("ntkrnlmp.pdb", "F" * 32, 1)) is None
    assert "broken.zip: cannot be read" in store.problems[0]


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {name: put(tmp_path / name / NAME) for name in ("named", "variable", "second")}
    stored = put(tmp_path / "home-data" / "dumpscan" / "symbols" / "windows" / "ntkrnlmp.pdb" / NAME)
    theirs = put(tmp_path / "home-cache" / "volatility3" / "symbols" / "windows" / "ntkrnlmp.pdb" / NAME)
    monkeypatch.setenv("DUMPSCAN_SYMBOLS", os.pathsep.join([str(tmp_path / "variable"), str(tmp_path / "second")]))
    for path, named in (
        (places["named"], [tmp_path / "named"]),
        (places["variable"], []),
        (places["second"], []),
    ):
        assert SymbolStore(named).find(PDB) == path
        path.unlink()
    monkeypatch.delenv("DUMPSCAN_SYMBOLS")
    assert SymbolStore().find(PDB) == stored
    stored.unlink()
    assert SymbolStore().find(PDB) == theirs


def test_where_tables_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_store() == tmp_path / "home-data" / "dumpscan" / "symbols"
    monkeypatch.setenv("DUMPSCAN_SYMBOLS", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert user_store() == tmp_path / "a"


def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    store = SymbolStore([tmp_path / "absent"])
    assert store.problems == [f"{tmp_path / 'absent'}: is not there"]
    assert store.find(PDB) is None


def test_a_place_without_rights_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "locked"
    directory.mkdir()

    def refuse(path: Path) -> bool:
        if str(path).startswith(str(directory / "windows")):
            raise PermissionError(13, "Permission denied")
        return os.path.isfile(path)  # noqa: PTH113 - Path.is_file is this function

    monkeypatch.setattr(Path, "is_file", refuse)
    store = SymbolStore([directory])
    assert store.find(PDB) is None
    assert store.problems == [f"{directory}: cannot be read: Permission denied"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"garbage", "is no symbol table: it names no PDB"),
        (table("F" * 32), f"is the table of another kernel, GUID {'F' * 32}, age 1"),
        (table(age=2), f"is the table of another kernel, GUID {GUID}, age 2"),
        (b"\xfd7zXZ\0garbage", "cannot be unpacked"),
    ],
)
def test_what_does_not_fit_is_passed_over_with_a_complaint(tmp_path: Path, content: bytes, problem: str) -> None:
    path = put(tmp_path / "s" / "windows" / "ntkrnlmp.pdb" / NAME, content)
    other = put(tmp_path / "t" / NAME)
    store = SymbolStore([tmp_path / "s", tmp_path / "t"])
    assert store.find(PDB) == other
    assert len(store.problems) == 1
    assert store.problems[0].startswith(f"{path}: {problem}")


def test_what_is_missing_is_named_with_three_ways() -> None:
    error = SymbolsMissingError("image.raw", PDB, ["x.json: is odd"])
    assert isinstance(error, InputError)
    assert str(error) == (
        "image.raw: the symbol table of its kernel is not here: ntkrnlmp.pdb, GUID 0123456789ABCDEF0123456789ABCDEF, "
        "age 1. Three ways to get it: (1) online: run again with --online, or fetch "
        "https://msdl.microsoft.com/download/symbols/ntkrnlmp.pdb/0123456789ABCDEF0123456789ABCDEF1/ntkrnlmp.pdb and "
        "give the file to `dumpscan symbols add`; (2) a symbols directory with "
        "windows/ntkrnlmp.pdb/0123456789ABCDEF0123456789ABCDEF-1.json.xz: name it with --symbols DIR or "
        "DUMPSCAN_SYMBOLS; (3) a symbol pack (zip or tar): `dumpscan symbols add PACK`. x.json: is odd"
    )


def test_states() -> None:
    image = Path("image.raw")
    assert SymbolsState(image, PDB, Path("t")).state == "present"
    assert SymbolsState(image, PDB).state == "missing"
    assert SymbolsState(image, PDB).server_path == f"ntkrnlmp.pdb/{GUID}1/ntkrnlmp.pdb"
    assert (SymbolsState(image, None).state, SymbolsState(image, None).server_path) == ("unknown", None)
