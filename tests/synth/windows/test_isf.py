"""Symbol tables made from the layouts: their form, their GUID, and errors in the notation."""

from __future__ import annotations

import importlib.util
import json
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest

from dumpscan.model.c_process import c_process
from dumpscan.synth.windows import isf as isf_module
from dumpscan.synth.windows.isf import SYMBOLS, build_isf, isf_path
from dumpscan.synth.windows.profiles import PROFILES, Profile

BY_PROFILE = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())


@BY_PROFILE
def test_volatility_schema_accepts_it(profile: Profile) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    isf = build_isf(profile)
    found = importlib.util.find_spec("volatility3")
    if found is None or found.origin is None:
        pytest.skip("volatility3 is not installed")
    schema = json.loads(
        (Path(found.origin).parent / "schemas" / f"schema-{isf['metadata']['format']}.json").read_text()
    )
    validator = jsonschema.Draft202012Validator(
        schema
    )  # what the schema names itself, "http://json-schema.org/schema#"
    assert [error.message for error in validator.iter_errors(isf)] == []
    isf["symbols"]["NtBuildLab"] = {"address": "not a number"}
    assert list(validator.iter_errors(isf)), "the validator accepts anything"


@BY_PROFILE
def test_every_type_that_a_field_names_is_there(profile: Profile) -> None:
    isf = build_isf(profile)
    known = {
        "struct": isf["user_types"],
        "enum": isf["enums"],
        "base": isf["base_types"],
    }
    checked = 0
    for structure in isf["user_types"].values():
        for field in structure["fields"].values():
            kind = field["type"]
            through_pointer = False
            while kind["kind"] not in known:
                through_pointer |= kind["kind"] == "pointer"
                kind = kind["subtype"] if "subtype" in kind else kind["type"]
            checked += 1
            # volatility3 resolves what a pointer leads to when somebody follows it; all else must be there at once.
            assert kind["name"] in known[kind["kind"]] or (through_pointer and kind["kind"] == "struct")
    assert checked > 150


@BY_PROFILE
def test_symbols_do_not_overlap(profile: Profile) -> None:
    places = sorted((entry["address"], SYMBOLS[name]) for name, entry in build_isf(profile)["symbols"].items())
    for (address, size), (following, _) in pairwise(places):
        assert address + size <= following


@BY_PROFILE
def test_object_cookie_only_where_there_is_one(profile: Profile) -> None:
    assert ("ObHeaderCookie" in build_isf(profile)["symbols"]) == (profile.major == 10)


def test_content_determines_the_guid() -> None:
    guids = [build_isf(profile)["metadata"]["windows"]["pdb"]["GUID"] for profile in PROFILES.values()]
    assert guids == [build_isf(profile)["metadata"]["windows"]["pdb"]["GUID"] for profile in PROFILES.values()]
    assert len(set(guids)) == len(PROFILES)
    assert all(len(guid) == 32 and guid == guid.upper() and int(guid, 16) for guid in guids)


def test_guid_follows_the_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = PROFILES["21h2"]
    before = build_isf(profile)["metadata"]["windows"]["pdb"]["GUID"]
    monkeypatch.setitem(isf_module.SYMBOLS, "NtBuildLab", 0x80)
    assert build_isf(profile)["metadata"]["windows"]["pdb"]["GUID"] != before


@BY_PROFILE
def test_structures_of_minidumps_have_the_offsets_of_their_layouts(profile: Profile) -> None:
    types = build_isf(profile)["user_types"]
    for name, shared in (
        ("_UNICODE_STRING", "UNICODE_STRING64"),
        ("_PEB", "PEB64"),
        ("_RTL_USER_PROCESS_PARAMETERS", "RTL_USER_PROCESS_PARAMETERS64"),
    ):
        ours = c_process.resolve(shared).fields
        common = types[name]["fields"].keys() & ours.keys()
        assert common
        assert all(types[name]["fields"][field]["offset"] == ours[field].offset for field in common)


def test_path_is_where_volatility_looks() -> None:
    isf = build_isf(PROFILES["1809"])
    isf["metadata"]["windows"]["pdb"]["GUID"] = "ab" * 16
    assert PurePosixPath(isf_path(isf)) == PurePosixPath("windows/ntkrnlmp.pdb", "AB" * 16 + "-1.json.xz")


@pytest.mark.parametrize(
    "layouts",
    [
        "_S 0x10\n  Field u32 0x0 0x4",  # neither one cell nor one per version
        "_S 0x10 0x20 0x30",
        "_S 0x10\n  Field u32? 0x0",  # no type
        "_S 0x10\n  Field u32:4 0x0",  # a bit field without its position
        "_S 0x10\n  Field u32 zero",
        "_S 0x10\n  Field @ @",
    ],
)
def test_mistakes_in_the_notation(monkeypatch: pytest.MonkeyPatch, layouts: str) -> None:
    monkeypatch.setattr(isf_module, "LAYOUTS", layouts)
    with pytest.raises((ValueError, KeyError)):
        build_isf(PROFILES["7sp1"])


def test_notation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        isf_module,
        "LAYOUTS",
        "# comment\n\n_S 0x10 0x20 0x30 0x40 0x50 0x60 -\n"
        "  Plain  u32        0x0\n"
        "  Moving i64        0x8 0x10 0x18 0x20 0x28 - -\n"
        "  Many   _T[3]      0x4\n"
        "  Far    _T**       0x8\n"
        "  Bits   u64:5      0x8.3\n"
        "_NT    0x4\n",
    )
    first, last = (build_isf(PROFILES[name])["user_types"] for name in ("7sp1", "22h2"))
    unsigned = {"kind": "base", "name": "unsigned long"}
    structure = {"kind": "struct", "name": "_T"}
    assert first["_S"] == {
        "kind": "struct",
        "size": 0x10,
        "fields": {
            "Plain": {"offset": 0, "type": unsigned},
            "Moving": {"offset": 8, "type": {"kind": "base", "name": "long long"}},
            "Many": {"offset": 4, "type": {"kind": "array", "count": 3, "subtype": structure}},
            "Far": {"offset": 8, "type": {"kind": "pointer", "subtype": {"kind": "pointer", "subtype": structure}}},
            "Bits": {
                "offset": 8,
                "type": {
                    "kind": "bitfield",
                    "bit_position": 3,
                    "bit_length": 5,
                    "type": {"kind": "base", "name": "unsigned long long"},
                },
            },
        },
    }
    assert "Moving" not in build_isf(PROFILES["21h2"])["user_types"]["_S"]["fields"]
    assert last.keys() == {"_NT"}
