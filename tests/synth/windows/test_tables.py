"""Symbol tables from files: the version of Windows to which one belongs, and files that are no symbol table."""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.exceptions import InputError
from dumpscan.synth.windows import tables as kernel_symbols
from dumpscan.synth.windows.isf import build_isf
from dumpscan.synth.windows.profiles import PROFILES, REAL_KERNELS
from dumpscan.synth.windows.tables import load_table, own_table, save_table
from support.corpus import SYMBOLS

if TYPE_CHECKING:
    from pathlib import Path

SEVEN, ELEVEN = PROFILES["7sp1"], PROFILES["21h2"]
FOREIGN = "00112233445566778899AABBCCDDEEFF"


def written(path: Path, isf: dict[str, Any]) -> Path:
    path.write_text(json.dumps(isf))
    return path


@pytest.mark.parametrize("name", PROFILES)
def test_own_table_round_trip(tmp_path: Path, name: str) -> None:
    table = own_table(PROFILES[name])
    path = save_table(table, tmp_path)
    assert path.relative_to(tmp_path).as_posix() == f"windows/ntkrnlmp.pdb/{table.symbols.pdb_guid}-1.json.xz"
    assert json.loads(lzma.decompress(path.read_bytes())) == build_isf(PROFILES[name])
    loaded = load_table(path, SEVEN)
    assert loaded.profile.name == name
    assert (loaded.packed, loaded.path) == (table.packed, table.path)


def test_plain_json_is_packed(tmp_path: Path) -> None:
    loaded = load_table(written(tmp_path / "x.json", build_isf(ELEVEN)), SEVEN)
    assert json.loads(lzma.decompress(loaded.packed)) == build_isf(ELEVEN)


@pytest.mark.parametrize(("guid", "version"), REAL_KERNELS.items(), ids=REAL_KERNELS.values())
def test_real_tables(guid: str, version: str) -> None:
    path = SYMBOLS / "windows" / "ntkrnlmp.pdb" / f"{guid}-1.json.xz"
    if not path.exists():
        pytest.skip(f"no symbol table of a real kernel at {path}")
    table = load_table(path, PROFILES["8.1"])
    assert (table.symbols.pdb_guid, table.profile.name) == (guid, version)


def test_another_build_is_taken_for_the_nearest_version(tmp_path: Path) -> None:
    """A table whose GUID nobody knows: what its structures look like decides, or else the scenario."""
    isf = build_isf(PROFILES["1809"])
    isf["metadata"]["windows"]["pdb"]["GUID"] = FOREIGN
    isf["user_types"]["_PEB"]["size"] += 8
    assert load_table(written(tmp_path / "x.json", isf), SEVEN).profile.name == "1809"
    isf["user_types"]["_EPROCESS"]["size"] += 0x1000
    assert load_table(written(tmp_path / "y.json", isf), SEVEN).profile.name == "7sp1"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        b"[]",
        b"null",
        b'"\xff"',
        b"[" * 100_000,
        b"\xfd7zXZ\x00" + bytes(40),
        lzma.compress(b"{}")[:-9],
        lzma.compress(b"{}"),
        json.dumps(build_isf(ELEVEN) | {"symbols": {}}).encode(),
    ],
)
def test_tables_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(InputError, match="table") as raised:
        load_table(path, ELEVEN)
    assert len(str(raised.value)) < 400


def test_a_table_that_unpacks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_symbols, "_MAX_TABLE", 1 << 20)
    path = tmp_path / "bomb.json.xz"
    path.write_bytes(lzma.compress(b" " * (1 << 24)))
    with pytest.raises(InputError, match="cut short, or larger than 1 MiB"):
        load_table(path, ELEVEN)
    path.write_bytes(b" " * (1 << 21))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        load_table(path, ELEVEN)


def test_a_directory_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_table(tmp_path, ELEVEN)
