"""Structures written and read by a symbol table. Tables with impossible values are refused."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import DumpscanError
from dumpscan.synth.windows.isf import build_isf
from dumpscan.synth.windows.profiles import PROFILES
from dumpscan.synth.windows.symbols import KernelSymbols, MissingSymbolError

if TYPE_CHECKING:
    from collections.abc import Callable

ISF = build_isf(PROFILES["21h2"])
TABLE = KernelSymbols(ISF)


def scalar_fields(structure: str) -> list[str]:
    """Fields that integers go into, bit fields among them, of which no two share a bit."""
    taken: set[int] = set()
    names = []
    for name in ISF["user_types"][structure]["fields"]:
        place = TABLE.field(structure, name)
        first = place.offset * 8 + place.bit
        bits = set(range(first, first + (place.bits or 8 * place.size)))
        if place.size <= 8 and not bits & taken:
            taken |= bits
            names.append(name)
    return names


@given(st.data(), st.sampled_from(sorted(ISF["user_types"])))
def test_written_fields_are_read(data: st.DataObject, structure: str) -> None:
    names = scalar_fields(structure)
    values = {}
    for name in names:
        place = TABLE.field(structure, name)
        values[name] = data.draw(st.integers(0, (1 << (place.bits or 8 * place.size)) - 1), label=name)
    buffer = TABLE.build(structure, values)
    assert len(buffer) == TABLE.size(structure)
    assert {name: TABLE.read(buffer, structure, name) for name in names} == values


def test_bit_fields_leave_their_neighbours_alone() -> None:
    buffer = TABLE.build("_MMVAD_FLAGS", {"Protection": 0x1F})
    TABLE.write(buffer, "_MMVAD_FLAGS", {"PrivateMemory": 1})
    TABLE.write(buffer, "_MMVAD_FLAGS", {"Protection": 4})
    assert TABLE.read(buffer, "_MMVAD_FLAGS", "Protection") == 4
    assert TABLE.read(buffer, "_MMVAD_FLAGS", "PrivateMemory") == 1


def test_paths_go_through_structures() -> None:
    outer = TABLE.offset("_EPROCESS", "Pcb") + TABLE.offset("_KPROCESS", "DirectoryTableBase")
    assert TABLE.offset("_EPROCESS", "Pcb.DirectoryTableBase") == outer
    assert TABLE.has("_EPROCESS", "Pcb.DirectoryTableBase")
    assert not TABLE.has("_EPROCESS", "Pcb.Nothing")
    assert not TABLE.has("_EPROCESS", "UniqueProcessId.Nothing")
    assert not TABLE.has("_NOTHING")


def test_bytes_are_cut_to_the_field() -> None:
    buffer = TABLE.build("_EPROCESS", {"ImageFileName": b"x" * 100})
    assert bytes(buffer).count(b"x") == TABLE.field("_EPROCESS", "ImageFileName").size


def test_at_an_offset() -> None:
    buffer = bytearray(100)
    TABLE.write(buffer, "_LIST_ENTRY", {"Flink": 0x1122334455667788}, at=40)
    assert buffer.hex() == "00" * 40 + "8877665544332211" + "00" * 52
    assert TABLE.read(buffer, "_LIST_ENTRY", "Flink", at=40) == 0x1122334455667788


def broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    isf = copy.deepcopy(ISF)
    change(isf)
    return isf


@pytest.mark.parametrize(
    "change",
    [
        lambda isf: isf.pop("symbols"),
        lambda isf: isf.update(metadata={"linux": {}}),
        lambda isf: isf["metadata"]["windows"]["pdb"].update(GUID="../../x"),
        lambda isf: isf["metadata"]["windows"]["pdb"].update(age=-1),
        lambda isf: isf["metadata"]["windows"]["pdb"].update(age="one"),
    ],
)
def test_no_kernel_table(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(MissingSymbolError):
        KernelSymbols(broken(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda isf: isf["user_types"]["_LIST_ENTRY"].update(size=1 << 40),
        lambda isf: isf["user_types"]["_LIST_ENTRY"].update(size="x"),
        lambda isf: isf["user_types"]["_LIST_ENTRY"]["fields"]["Flink"].update(offset=1 << 40),
        lambda isf: isf["user_types"]["_LIST_ENTRY"]["fields"]["Flink"].update(offset=-8),
        lambda isf: isf["user_types"]["_LIST_ENTRY"]["fields"]["Flink"].update(offset=10),
        lambda isf: isf["user_types"]["_LIST_ENTRY"]["fields"]["Flink"].update(type={"kind": "struct", "name": "_X"}),
        lambda isf: isf["user_types"]["_LIST_ENTRY"]["fields"]["Flink"].update(type={"kind": "array"}),
        lambda isf: isf["user_types"]["_LIST_ENTRY"]["fields"]["Flink"].update(
            type={"kind": "bitfield", "bit_position": 60, "bit_length": 9, "type": {"kind": "pointer"}}
        ),
        lambda isf: isf["user_types"]["_LIST_ENTRY"].update(fields=[]),
    ],
)
def test_a_table_that_lies(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(MissingSymbolError):
        KernelSymbols(broken(change)).build("_LIST_ENTRY", {"Flink": 1})


@pytest.mark.parametrize("address", [0, -1, 1 << 40, "x", None])
def test_symbols_outside_any_kernel(address: object) -> None:
    table = KernelSymbols(broken(lambda isf: isf["symbols"].update(NtBuildLab={"address": address})))
    with pytest.raises(MissingSymbolError):
        table.rva("NtBuildLab")


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda x: st.dictionaries(st.text(max_size=3), x)))
def test_anything_else_is_refused(value: Any) -> None:  # noqa: ANN401 -- whatever JSON holds
    with pytest.raises(DumpscanError):
        KernelSymbols({**ISF, "metadata": value})
    table = KernelSymbols({**ISF, "user_types": {"_S": value}, "symbols": {"S": value}})
    for use in (lambda: table.size("_S"), lambda: table.field("_S", "f"), lambda: table.rva("S")):
        with pytest.raises(DumpscanError):
            use()


def test_table_is_plain_json() -> None:
    assert json.loads(json.dumps(ISF)) == ISF
