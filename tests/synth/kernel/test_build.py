"""Kernel images from scenarios: the truth about them holds, and the same scenario gives the same bytes."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.exceptions import ExportError, InputError, ScenarioError
from dumpscan.synth.kernel.build import KernelPaths, build_kernel
from support.kernel_scenarios import NAME, scenario_text, write_scenario

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
REACHABLE = ("valid", "transition")
PREFIX = f'format = 1\nname = "{NAME}"\n'
TINY = '[windows]\nsize = "64 MiB"\ndensity = 0\n'
PROCESS = '[[process]]\npid = 8\nname = "a.exe"\n'
REGION = 'regions = [{name = "r", size = "8 KiB"}]\n'
ONE_GIB = REGION.replace("8 KiB", "1 GiB")
SHARED = "[shared.s]\nsize = 4096\n"
OBJECTS = '[keys]\nk = "ec-p256"\n[objects.key]\nkind = "private_key"\nkey = "k"\n'
BAD_OBJECT = OBJECTS.replace("ec-p256", "ed25519") + 'encoding = "sec1"\n'


@dataclass
class Image:
    """A raw image, its truth, and a page walk that shares nothing with the builder's."""

    data: bytes
    truth: dict[str, Any]

    def process(self, pid: int) -> dict[str, Any]:
        return next(process for process in self.truth["processes"] if process["pid"] == pid)

    def walk(self, dtb: int, address: int) -> tuple[int | None, int]:
        """Return (physical address, bits of the last entry): None where the walk ends."""
        table = dtb & 0xFFFFFFFFFF000
        for shift in (39, 30, 21, 12):
            (entry,) = struct.unpack_from("<Q", self.data, table + (address >> shift & 511) * 8)
            if not entry & 1:
                in_transition = shift == 12 and entry & 0xC00 == 0x800
                return ((entry & 0xFFFFFFFFFF000) + address % 4096 if in_transition else None), entry
            if shift in (30, 21) and entry & 0x80:
                span = 1 << shift
                return (entry & 0xFFFFFFFFFF000) // span * span + address % span, entry
            table = entry & 0xFFFFFFFFFF000
        return table + address % 4096, entry

    def read(self, dtb: int, address: int, size: int) -> bytes:
        """Read through the page tables; what they do not lead to reads as zeros."""
        read = b""
        while len(read) < size:
            at = address + len(read)
            length = min(size - len(read), 4096 - at % 4096)
            physical, _ = self.walk(dtb, at)
            read += bytes(length) if physical is None else self.data[physical : physical + length]
        return read

    def dtb(self, pid: int | None) -> int:
        return int(self.truth["dtb"] if pid is None else self.process(pid)["dtb"])


def load(paths: KernelPaths) -> Image:
    return Image(paths.image.read_bytes(), json.loads(paths.truth.read_text()))


def build(directory: Path, text: str, **options: Any) -> Image:  # noqa: ANN401 -- the builder's own
    return load(build_kernel(write_scenario(directory, text), directory, **options))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(tmp_path_factory.mktemp("lab"), scenario_text())


def test_objects_lie_where_the_truth_says(image: Image) -> None:
    for item in image.truth["objects"]:
        data = bytearray(item["length"])
        held = 0
        for piece in item["physical_extents"]:
            if piece["physical_address"] is None:
                continue
            at, end = piece["physical_address"], piece["physical_address"] + piece["length"]
            data[piece["offset"] : piece["offset"] + piece["length"]] = image.data[at:end]
            held += piece["length"]
        assert held == item["length"] - item["missing"]
        assert sum(piece["length"] for piece in item["physical_extents"]) == item["length"]
        if not item["missing"]:
            assert sha256(data).hexdigest() == item["sha256"], item


def test_page_tables_lead_to_every_place(image: Image) -> None:
    for item in image.truth["objects"]:
        for place in item["places"]:
            dtb = image.dtb(place["pid"])
            unreachable = 0
            for piece in item["physical_extents"]:
                physical, entry = image.walk(dtb, place["virtual_address"] + piece["offset"])
                if piece["state"] in REACHABLE:
                    assert physical == piece["physical_address"]
                    assert (piece["state"] == "valid") == bool(entry & 1)
                else:
                    assert physical is None
                    unreachable += piece["length"]
            assert place["unreachable"] == unreachable
        assert item["unreachable"] == min((p["unreachable"] for p in item["places"]), default=item["length"])


def test_no_page_table_leads_to_unmapped_objects(image: Image) -> None:
    frames = {
        piece["physical_address"] >> 12
        for item in image.truth["objects"]
        if item["placement"] == "unmapped"
        for piece in item["physical_extents"]
    }
    assert frames
    mapped: set[int] = set()
    tables = [(process["dtb"], 39) for process in image.truth["processes"] if process["dtb"]]
    seen: set[tuple[int, int]] = set()
    while tables:
        table, shift = tables.pop()
        if (table, shift) in seen:
            continue
        seen.add((table, shift))
        for entry in struct.unpack_from("<512Q", image.data, table):
            frame = entry & 0xFFFFFFFFFF000
            if shift == 12 or (entry & 0x80 and shift < 39):
                mapped.update(range(frame >> 12, (frame >> 12) + (1 << shift - 12)) if entry & 0x801 else ())
            elif entry & 1 and shift > 12:
                tables.append((frame, shift - 9))
    assert len(mapped) > 1000
    assert not frames & mapped


def test_a_signature_straddles_every_seam(image: Image) -> None:
    """1 to 13 bytes before the border, then the rest, on frames that are not neighbours."""
    found: dict[str, set[int]] = {}
    for item in image.truth["objects"]:
        if item["placement"] == "crossing":
            first, second = item["physical_extents"][:2]
            assert (first["physical_address"] + first["length"]) % 4096 == 0
            assert first["physical_address"] + first["length"] != second["physical_address"]
            found.setdefault(item["object"], set()).add(first["length"])
    assert set(range(1, 14)) <= found["certificate"] & found["key"]


def test_every_placement_is_there(image: Image) -> None:
    assert {item["placement"] for item in image.truth["objects"]} == {
        "ordinary",
        "crossing",
        "shared",
        "large",
        "transition",
        "paged-out",
        "prototype",
        "unmapped",
        "kernel",
    }


def test_shared_objects_are_in_both_processes(image: Image) -> None:
    (shared,) = (item for item in image.truth["objects"] if item["placement"] == "shared")
    assert {place["pid"] for place in shared["places"]} == {5120, 5200}
    assert len({place["virtual_address"] for place in shared["places"]}) == 2
    for place in shared["places"]:
        read = image.read(image.dtb(place["pid"]), place["virtual_address"], shared["length"])
        assert sha256(read).hexdigest() == shared["sha256"]


def test_frames_are_given_out_in_random_order(image: Image) -> None:
    heap = next(region for region in image.process(5120)["regions"] if region["name"] == "heap")
    pages = range(heap["start"], heap["start"] + heap["size"], 4096)
    frames = [physical >> 12 for page in pages if (physical := image.walk(image.dtb(5120), page)[0]) is not None]
    assert len(set(frames)) == len(pages)
    neighbours = sum(abs(one - other) == 1 for one, other in pairwise(frames))
    assert neighbours < len(frames) // 20


def test_processes_have_frames_of_their_own(image: Image) -> None:
    users: dict[int, set[int]] = {}
    for process in image.truth["processes"]:
        for region in process["regions"]:
            if region["shared"] is None:
                for page in range(region["start"], region["start"] + region["size"], 4096):
                    physical, _ = image.walk(process["dtb"], page)
                    if physical is not None:
                        users.setdefault(physical >> 12, set()).add(process["pid"])
    assert users
    assert all(len(pids) == 1 for pids in users.values())


def test_paging_states_are_those_of_the_scenario(image: Image) -> None:
    regions = {region["name"]: region for region in image.process(5120)["regions"]}
    sparse = [image.walk(image.dtb(5120), regions["sparse"]["start"] + (page << 12)) for page in range(64)]
    there = [physical is not None for physical, _ in sparse]
    assert sum(there) == pytest.approx(0.4 * 64, abs=3)
    assert all(there[page] and not sparse[page][1] & 1 for page in (3, 4, 5))
    assert not there[9]
    assert sparse[9][1] >> 32
    for page in (0, 1023):
        large = image.walk(image.dtb(5120), regions["large"]["start"] + (page << 12))
        assert large[1] & 0x80
    referring = image.walk(image.dtb(5120), regions["fixed"]["start"] + (5 << 12))[1]
    prototype = referring >> 16 | 0xFFFF << 48
    (behind,) = struct.unpack("<Q", image.read(image.dtb(None), prototype, 8))
    assert behind & 1
    assert behind & 0xFFFFFFFFFF000 < image.truth["physical_size"]


def test_context_identifiers_are_in_the_low_bits(image: Image) -> None:
    bases = [process["directory_table_base"] for process in image.truth["processes"]]
    assert any(base & 0xFFF for base in bases)
    assert all(process["dtb"] == process["directory_table_base"] & ~0xFFF for process in image.truth["processes"])


def test_all_processes_see_the_kernel(image: Image) -> None:
    base = image.truth["kernel_base"]
    alive = [process for process in image.truth["processes"] if not process["exited"]]
    assert len({process["dtb"] for process in alive}) == len(alive)
    for process in alive:
        assert image.read(process["dtb"], base, 2) == b"MZ"


def test_the_page_tables_of_processes_that_ended_are_gone(image: Image) -> None:
    ended = [process for process in image.truth["processes"] if process["exited"]]
    assert {bool(process["dtb"]) for process in ended} == {True, False}
    for process in ended:
        if process["dtb"]:
            assert not any(image.data[process["dtb"] : process["dtb"] + 4096])


def test_density(tmp_path: Path) -> None:
    """Filler fills that share of the frames; the file has holes for the others."""
    image = build(tmp_path, PREFIX + '[windows]\nsize = "64 MiB"\ndensity = 50\nfiller = "noise"\n')
    frames = [image.data[at : at + 4096] for at in range(MIB, 64 * MIB, 4096)]
    filled = sum(any(frame) for frame in frames) / len(frames)
    assert filled == pytest.approx(0.5, abs=0.15)
    assert (tmp_path / f"{NAME}.raw").stat().st_blocks * 512 < 55 * MIB


def test_same_scenario_same_bytes(tmp_path: Path) -> None:
    one, other = (build(tmp_path / name, scenario_text()) for name in ("one", "other"))
    assert one.data == other.data
    assert one.truth == other.truth
    moved = build(tmp_path / "moved", scenario_text().replace(f'name = "{NAME}"', f'name = "{NAME}"\nseed = "x"', 1))
    assert moved.truth["kernel_base"] != one.truth["kernel_base"]
    assert moved.data != one.data


def test_size_can_be_overridden(tmp_path: Path) -> None:
    image = build(tmp_path, scenario_text(density="0"), size=68 * MIB)
    assert len(image.data) == image.truth["physical_size"] == 68 * MIB
    for size in (MIB, 64 * MIB + 1, 1 << 40):
        with pytest.raises(ScenarioError, match="expected whole pages"):
            build(tmp_path, scenario_text(), size=size)


def test_one_gibibyte_pages(tmp_path: Path) -> None:
    """Sparse: three GiB of physical memory that take no room."""
    text = (
        f"{PREFIX}[windows]\ndensity = 0\nsize = '3 GiB'\n{OBJECTS}"
        "[[process]]\npid = 8\nname = 'a.exe'\nregions = [{name = 'huge', size = '1 GiB', filler = 'zeros'}]\n"
        "paging = {huge = {pages = '1 GiB'}}\n"
        "plants = [{object = 'key', region = 'huge', across_seam = true}]\n"
    )
    paths = build_kernel(write_scenario(tmp_path, text), tmp_path)
    assert paths.image.stat().st_blocks * 512 < 64 * MIB
    truth = json.loads(paths.truth.read_text())
    (item,) = truth["objects"]
    assert item["placement"] == "large"
    with paths.image.open("rb") as file:
        data = b""
        for piece in item["physical_extents"]:
            file.seek(piece["physical_address"])
            data += file.read(piece["length"])
    assert sha256(data).hexdigest() == item["sha256"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROCESS + 'absent = ["peb:99999"]\n', "[process #1]: pid 8: its peb has 1 page"),
        (PROCESS + ONE_GIB + 'paging = {r = {pages = "1 GiB"}}\n', "[windows]: the image has room for 0 pages of 1024"),
        (SHARED + PROCESS + REGION + 'paging = {r = {shared = "s"}}\n', "maps shared memory 's' of 1"),
        (PROCESS + ONE_GIB, "[process #1]: the image's 64 MiB are too small"),
        ('[shared.s]\nsize = "8 GiB"\n', "[windows]: the image's 64 MiB are too small"),
        (PROCESS + REGION.replace("}", ", address = 0x1001}"), "expected a page-aligned address"),
        (PROCESS + REGION.replace("}", ", address = 0xffff800000000000}"), "expected a page-aligned address"),
        (PROCESS + REGION.replace("}", ", address = 0x7ffe0000}"), "overlaps"),
        (OBJECTS + PROCESS + 'plants = [{object = "key"}]\n', "[process #1.plants #1]: the process has no region"),
        (OBJECTS + PROCESS + 'plants = [{object = "key", address = 0x5000}]\n', "do not lie in a region"),
        (OBJECTS + PROCESS + REGION + 'plants = [{object = "key", copies = 99}]\n', "found no room"),
        (OBJECTS + '[[unmapped]]\nobject = "key"\noffset = 4090\n', "do not fit a frame from offset 4090"),
        (BAD_OBJECT + '[[unmapped]]\nobject = "key"\n', "[unmapped #1] object: encoding 'sec1' cannot hold"),
        (BAD_OBJECT + '[[kernel]]\nobject = "key"\n', "[kernel #1] object: encoding 'sec1' cannot hold"),
        (BAD_OBJECT + PROCESS + 'seams = [{object = "key", before = "1"}]\n', "[process #1.seams #1]: encoding 'sec1'"),
    ],
)
def test_images_that_cannot_be_built(tmp_path: Path, text: str, message: str) -> None:
    scenario = write_scenario(tmp_path, PREFIX + TINY + text)
    with pytest.raises(ScenarioError) as raised:
        build_kernel(scenario, tmp_path / "out")
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{scenario}: ")
    assert not list((tmp_path / "out").rglob("*.*")), "something half-written was left"


def test_unknown_container(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="unknown container 'zip'; expected one of raw"):
        build_kernel(write_scenario(tmp_path), tmp_path, container="zip")


def test_files_that_are_no_symbol_table(tmp_path: Path) -> None:
    for content in (b"", b"{}", b"\xfd7zXZ\x00cut", b"[" * 100_000):
        table = tmp_path / "table.json"
        table.write_bytes(content)
        with pytest.raises(InputError):
            build_kernel(write_scenario(tmp_path), tmp_path / "out", symbols=table)
    with pytest.raises(InputError, match="cannot be read"):
        build_kernel(write_scenario(tmp_path), tmp_path / "out", symbols=tmp_path / "absent.json")


def test_a_full_disk_is_an_error_before_the_memory_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ExportError, match="MiB are wanted, 1 MiB are free"):
        build_kernel(write_scenario(tmp_path), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_output_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError):
        build_kernel(write_scenario(tmp_path), tmp_path / "out")
