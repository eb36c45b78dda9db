"""The layouts, compared with the symbol tables of real kernels field by field."""

from __future__ import annotations

import json
import lzma
from functools import cache
from typing import Any

import pytest

from dumpscan.synth.windows.isf import build_isf
from dumpscan.synth.windows.layouts import LAYOUTS, VERSIONS
from dumpscan.synth.windows.profiles import PROFILES, REAL_KERNELS
from support.corpus import SYMBOLS

TABLES = SYMBOLS / "windows" / "ntkrnlmp.pdb"
OURS_ALONE = ("_u", "_u1")
"""Endings of names that the model gives to structures which Microsoft leaves unnamed."""


@cache
def real_table(guid: str) -> dict[str, Any]:
    path = TABLES / f"{guid}-1.json.xz"
    if not path.exists():
        pytest.skip(f"no symbol table of a real kernel at {path}")
    table: dict[str, Any] = json.loads(lzma.decompress(path.read_bytes()))
    return table


def size_of(kind: dict[str, Any], table: dict[str, Any]) -> int:
    match kind["kind"]:
        case "pointer":
            return 8
        case "array":
            return int(kind["count"]) * size_of(kind["subtype"], table)
        case "bitfield":
            return size_of(kind["type"], table)
        case "base":
            return int(table["base_types"][kind["name"]]["size"])
        case "enum":
            return int(table["enums"][kind["name"]]["size"])
        case _:
            return int(table["user_types"][kind["name"]]["size"])


def shape(kind: dict[str, Any], table: dict[str, Any]) -> tuple[Any, ...]:
    """What must agree of a field's type: pointer or not, its size, and where a bit field's bits are."""
    bits = (kind["bit_position"], kind["bit_length"]) if kind["kind"] == "bitfield" else None
    return (kind["kind"] == "pointer", kind["kind"] == "array", size_of(kind, table), bits)


def differences(name: str, ours: dict[str, Any], theirs: dict[str, Any], real_name: str) -> list[str]:
    """Compare a structure with the one that a real table calls `real_name`, unnamed ones inside it too."""
    mine, real = ours["user_types"][name], theirs["user_types"].get(real_name)
    if real is None:
        return [f"{real_name} is not there"]
    found = [] if mine["size"] == real["size"] else [f"{name}: size {mine['size']:#x}, really {real['size']:#x}"]
    for field, here in mine["fields"].items():
        there = real["fields"].get(field)
        if there is None:
            found.append(f"{name}.{field} is not there")
        elif here["offset"] != there["offset"]:
            found.append(f"{name}.{field}: at {here['offset']:#x}, really {there['offset']:#x}")
        elif shape(here["type"], ours) != shape(there["type"], theirs):
            found.append(f"{name}.{field}: {here['type']}, really {there['type']}")
        elif here["type"].get("name", "").endswith(OURS_ALONE):
            found += differences(here["type"]["name"], ours, theirs, there["type"]["name"])
    return found


@pytest.mark.parametrize(("guid", "version"), REAL_KERNELS.items(), ids=REAL_KERNELS.values())
def test_no_offset_differs_from_the_real_table(guid: str, version: str) -> None:
    ours, theirs = build_isf(PROFILES[version]), real_table(guid)
    found: list[str] = []
    for name in ours["user_types"]:
        if not name.endswith(OURS_ALONE):
            found += differences(name, ours, theirs, name)
    assert not found


@pytest.mark.parametrize(("guid", "version"), REAL_KERNELS.items(), ids=REAL_KERNELS.values())
def test_every_symbol_exists_in_the_real_table(guid: str, version: str) -> None:
    assert build_isf(PROFILES[version])["symbols"].keys() <= real_table(guid)["symbols"].keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_fields_lie_inside_their_structures(version: str) -> None:
    isf = build_isf(PROFILES[version])
    for name, structure in isf["user_types"].items():
        for field, place in structure["fields"].items():
            assert 0 <= place["offset"] <= structure["size"] - size_of(place["type"], isf), f"{name}.{field}"
            if place["type"]["kind"] == "bitfield":
                width = 8 * size_of(place["type"], isf)
                assert place["type"]["bit_position"] + place["type"]["bit_length"] <= width, f"{name}.{field}"


def test_every_version_has_a_profile_and_every_row_a_cell_for_it() -> None:
    assert tuple(PROFILES) == VERSIONS
    rows = [line.split() for line in LAYOUTS.splitlines() if line.strip() and not line.startswith("#")]
    for row in rows:
        cells = row[1:] if row[0].startswith("_") else row[2:]
        assert len(cells) in (1, len(VERSIONS)), row


def test_versions_differ() -> None:
    """A column that repeats its neighbour would be a slip: 22H2 alone may agree with 21H2 nearly everywhere."""
    tables = [json.dumps(build_isf(profile)["user_types"], sort_keys=True) for profile in PROFILES.values()]
    assert len(set(tables)) == len(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_build_lab_names_the_build(version: str) -> None:
    profile = PROFILES[version]
    assert profile.build_lab.startswith(f"{profile.build}.{profile.revision}.")
