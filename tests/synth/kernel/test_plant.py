"""Objects planted in kernel images: their addresses, the space between them, and their truth."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.kernel.build import build_kernel
from support.kernel_scenarios import write_scenario

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
format = 1
name = "plants"
[windows]
size = "64 MiB"
density = 0
[keys]
k = "ec-p256"
[objects.key]
kind = "private_key"
key = "k"
[objects.certificate]
kind = "certificate"
key = "k"
subject = "CN=plant"
[shared.s]
size = "64 KiB"
[[process]]
pid = 8
name = "one.exe"
"""


def built(directory: Path, text: str) -> dict[str, Any]:
    paths = build_kernel(write_scenario(directory, HEAD + text), directory)
    truth: dict[str, Any] = json.loads(paths.truth.read_text())
    return truth


def region_of(truth: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (region for region in truth["processes"][1]["regions"] if region["name"] == name)
    return dict(found)


def test_objects_are_apart(tmp_path: Path) -> None:
    truth = built(
        tmp_path,
        'regions = [{name = "r", size = "64 KiB"}]\n'
        'plants = [{object = "certificate", copies = 40}, {object = "key", copies = 40, alignment = 1}]\n',
    )
    region = region_of(truth, "r")
    spans = sorted((item["places"][0]["virtual_address"], item["length"]) for item in truth["objects"])
    assert len(spans) == 80
    for (address, length), (following, _) in pairwise(spans):
        assert address + length <= following
    assert region["start"] <= spans[0][0]
    assert sum(spans[-1]) <= region["start"] + region["size"]
    assert {item["placement"] for item in truth["objects"]} == {"ordinary"}, "an object that fits a page lies on one"


@pytest.mark.parametrize("before", [1, 7, 100])
def test_across_a_seam(tmp_path: Path, before: int) -> None:
    truth = built(
        tmp_path,
        'regions = [{name = "r", size = "64 KiB"}]\n'
        f'plants = [{{object = "certificate", across_seam = true, seam_at = {before}, copies = 5}}]\n',
    )
    for item in truth["objects"]:
        assert item["placement"] == "crossing"
        assert item["physical_extents"][0]["length"] == before
        assert (item["places"][0]["virtual_address"] + before) % PAGE_SIZE == 0


def test_addresses_are_kept(tmp_path: Path) -> None:
    truth = built(
        tmp_path,
        'regions = [{name = "r", size = "8 KiB", address = 0x30_0000}]\n'
        'plants = [{object = "key", address = 0x30_0ff1}]\n',
    )
    (item,) = truth["objects"]
    assert item["places"] == [{"pid": 8, "virtual_address": 0x300FF1, "unreachable": 0}]
    assert [piece["length"] for piece in item["physical_extents"]] == [15, item["length"] - 15]


def test_chosen_places_are_on_pages_that_are_there(tmp_path: Path) -> None:
    truth = built(
        tmp_path,
        'regions = [{name = "r", size = "256 KiB"}]\npaging = {r = {resident = 30, transition = "0-9"}}\n'
        'plants = [{object = "key", copies = 12}]\n',
    )
    assert {piece["state"] for item in truth["objects"] for piece in item["physical_extents"]} == {"valid"}


def test_seams_of_every_kind(tmp_path: Path) -> None:
    tails = ("ordinary", "transition", "paged-out", "prototype")
    truth = built(
        tmp_path,
        "".join(f'[[process.seams]]\nobject = "key"\nbefore = "1-13, 137"\ntail = "{tail}"\n' for tail in tails),
    )
    for index, (tail, state) in enumerate(zip(tails, ("valid", *tails[1:]), strict=True)):
        items = truth["objects"][14 * index : 14 * (index + 1)]
        assert [item["physical_extents"][0]["length"] for item in items] == [*range(1, 14), 137]
        for item in items:
            assert [piece["state"] for piece in item["physical_extents"]] == ["valid", state]
            assert item["placement"] == ("crossing" if tail == "ordinary" else tail)
            rest = item["length"] - item["physical_extents"][0]["length"]
            assert item["missing"] == (rest if tail == "paged-out" else 0)
            assert item["unreachable"] == (rest if tail in ("paged-out", "prototype") else 0)


def test_shared_memory_that_one_process_reaches_less_of(tmp_path: Path) -> None:
    """The truth tells each mapping's own reach, and the best of them for the object."""
    truth = built(
        tmp_path,
        'regions = [{name = "r", size = "64 KiB", address = 0x30_0000}]\n'
        'paging = {r = {shared = "s", prototype = "1"}}\n'
        'plants = [{object = "key", address = 0x30_0ffa}]\n'
        '[[process]]\npid = 12\nname = "two.exe"\nregions = [{name = "r", size = "64 KiB"}]\npaging.r.shared = "s"\n'
        '[[process]]\npid = 16\nname = "three.exe"\nregions = [{name = "r", size = "4 KiB"}]\npaging.r.shared = "s"\n',
    )
    (item,) = truth["objects"]
    assert item["placement"] == "shared"
    assert [(place["pid"], place["unreachable"]) for place in item["places"]] == [(8, item["length"] - 6), (12, 0)]
    assert (item["missing"], item["unreachable"]) == (0, 0)


def test_outside_processes(tmp_path: Path) -> None:
    truth = built(
        tmp_path,
        '[[kernel]]\nobject = "certificate"\noffset = 4090\ncopies = 2\n'
        '[[unmapped]]\nobject = "key"\noffset = 7\ncopies = 3\n',
    )
    inside, outside = truth["objects"][:2], truth["objects"][2:]
    assert {item["placement"] for item in inside} == {"kernel"}
    assert all(item["places"][0]["pid"] is None and item["crosses_pages"] for item in inside)
    assert all(item["places"][0]["virtual_address"] >> 47 == 0x1FFFF for item in inside)
    assert [item["placement"] for item in outside] == ["unmapped"] * 3
    assert all(not item["places"] and item["physical_extents"][0]["physical_address"] % 4096 == 7 for item in outside)


def test_no_key_material_in_the_truth(tmp_path: Path) -> None:
    truth = built(tmp_path, 'regions = [{name = "r", size = "8 KiB"}]\nplants = [{object = "key"}]\n')
    (item,) = truth["objects"]
    piece = item["physical_extents"][0]
    with (tmp_path / "plants.raw").open("rb") as file:
        file.seek(piece["physical_address"])
        data = file.read(piece["length"])
    assert len(data) == item["length"]
    text = (tmp_path / "plants.truth.json").read_text()
    assert data.hex() not in text
    assert data[36:68].hex() not in text, "the private number"
