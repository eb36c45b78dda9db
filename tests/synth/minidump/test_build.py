"""Minidumps from scenarios: the truth holds, every run gives the same bytes, and every error names its place."""

from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from minidump.minidumpfile import MinidumpFile  # type: ignore[import-untyped]

from dumpscan.exceptions import DumpscanError, ExportError, ScenarioError
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.synth.minidump.build import build_minidump
from support.corpus import ROOT

SAMPLES = ROOT / "sample_dumps"
SCENARIOS = sorted(path.stem for path in SAMPLES.glob("*.toml") if "[dump]" in path.read_text())
SMALL = """
format = 1
name = "small"
[keys]
a = "ed25519"
[objects.a]
kind = "certificate"
key = "a"
subject = "CN=a"
[objects.key]
kind = "private_key"
key = "a"
[process]
pid = 8
name = "a.exe"
[[process.threads]]
id = 12
[[process.regions]]
name = "heap"
size = "16 KiB"
splits = ["4 KiB"]
[[process.plants]]
object = "a"
across_seam = true
seam_at = 1
[[process.plants]]
object = "a"
copies = 2
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Every sample scenario's dump and truth."""
    directory = tmp_path_factory.mktemp("built")
    result = {}
    for name in SCENARIOS:
        dump, truth = build_minidump(SAMPLES / f"{name}.toml", directory)
        assert (dump.name, truth.name) == (f"{name}.dmp", f"{name}.truth.json")
        result[name] = (dump, json.loads(truth.read_text()))
    return result


Built = dict[str, tuple[Path, dict[str, Any]]]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SCENARIOS)
def test_objects_lie_where_the_truth_says(built: Built, name: str) -> None:
    """Through the file offsets, and through the addresses as the PyPI library `minidump` maps them."""
    path, truth = built[name]
    content = path.read_bytes()
    dump = MinidumpFile.parse_buff(io.BytesIO(content))
    listed = (dump.memory_segments_64 or dump.memory_segments).memory_segments
    ranges = [[entry.start_virtual_address, entry.size, entry.start_file_address] for entry in listed]
    assert sorted(ranges) == truth["memory"]["ranges"]
    assert truth["objects"]
    for planted in truth["objects"] + truth["decoys"]:
        for location in planted["locations"]:
            start, length = location["virtual_address"], location["length"]
            by_offset = b"".join(content[at : at + size] for at, size in location["extents"])
            assert sha256(by_offset).hexdigest() == location.get("sha256", planted.get("sha256"))
            parts = [
                (at, size, offset) for at, size, offset in sorted(ranges) if at < start + length and start < at + size
            ]
            by_address = b"".join(
                content[offset + max(start - at, 0) : offset + min(start + length - at, size)]
                for at, size, offset in parts
            )
            assert by_address == by_offset
            assert (len(parts) > 1) == location["across_seam"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_process_is_what_the_truth_says(built: Built, name: str) -> None:
    path, truth = built[name]
    with Minidump(path) as dump:
        assert not dump.damage
        process = dump.process
        for field in ("pid", "name", "executable", "command_line", "architecture", "session", "wow64"):
            assert getattr(process, field) == truth["process"][field], field
        assert list(process.environment) == truth["process"]["environment"]
        assert [{"id": thread.id, "name": thread.name} for thread in dump.threads] == truth["threads"]
        assert [module.name for module in dump.modules] == truth["modules"]
        for planted in truth["objects"]:
            for location in planted["locations"]:
                data = dump.read(location["virtual_address"], location["length"])
                assert sha256(data).hexdigest() == location.get("sha256", planted.get("sha256"))
                extents = dump.extents(location["virtual_address"], location["length"])
                assert [list(extent) for extent in extents] == location["extents"]


def test_scattered_seams_are_gaps_in_the_file(built: Built) -> None:
    """In a MemoryList, adjacent ranges need not be adjacent in the file: a reader must not assume it."""
    _, truth = built["workstation-x86"]
    across = [place for planted in truth["objects"] for place in planted["locations"] if place["across_seam"]]
    assert across
    assert all(len(place["extents"]) == 2 for place in across)


@pytest.mark.parametrize("name", SCENARIOS)
def test_pairs_name_keys_and_certificates_that_are_there(built: Built, name: str) -> None:
    _, truth = built[name]
    keys = {planted["key_id"] for planted in truth["objects"] if planted["kind"] == "private_key"}
    certificates = {
        planted["thumbprint"]: planted["key_id"] for planted in truth["objects"] if planted["kind"] == "certificate"
    }
    assert truth["pairs"]
    for pair in truth["pairs"]:
        assert pair["key_id"] in keys
        assert sorted(pair["certificates"]) == sorted(t for t, key in certificates.items() if key == pair["key_id"])
    assert {pair["key_id"] for pair in truth["pairs"]} == keys & set(certificates.values())


@pytest.mark.parametrize("name", ["webserver", "tls-server"])
def test_committed_dump_is_the_one_that_its_scenario_builds(built: Built, name: str) -> None:
    path, _ = built[name]
    committed = SAMPLES / f"{name}.dmp"
    assert committed.stat().st_size < 400_000
    assert path.read_bytes() == committed.read_bytes()
    truth = path.with_name(f"{name}.truth.json").read_bytes()
    assert truth == (SAMPLES / f"{name}.truth.json").read_bytes()


def test_same_scenario_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in build_minidump(written(tmp_path / "a.toml", SMALL), tmp_path / "1")]
    again = [path.read_bytes() for path in build_minidump(written(tmp_path / "b.toml", SMALL), tmp_path / "2")]
    assert first == again
    seeded = SMALL.replace('name = "small"', 'name = "small"\nseed = "other"')
    other = [path.read_bytes() for path in build_minidump(written(tmp_path / "c.toml", seeded), tmp_path / "3")]
    assert first[0] != other[0]


def test_architectures_and_lists(tmp_path: Path) -> None:
    for architecture in ("x86", "x64", "arm64"):
        for memory_list in ("memory", "memory64"):
            text = SMALL.replace(
                "[process]", f'[dump]\narchitecture = "{architecture}"\nmemory_list = "{memory_list}"\n[process]'
            )
            path, _ = build_minidump(written(tmp_path / "a.toml", text), tmp_path)
            with Minidump(path) as dump:
                assert (dump.process.architecture, dump.process.pid) == (architecture, 8)


def test_no_key_material_in_the_truth(built: Built) -> None:
    path, truth = built["webserver"]
    text = json.dumps(truth)
    content = path.read_bytes()
    for planted in truth["objects"]:
        if planted["kind"] == "private_key":
            at, size = planted["locations"][0]["extents"][0]
            secret = content[at : at + size]
            assert secret[-16:].hex() not in text
            assert secret[len(secret) // 2 :][:16].hex() not in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (SMALL[SMALL.index("[process]") :], "", "the top level process: missing"),
        (
            "[process]\n",
            "[dump]\narchitecture = 'ppc'\n[process]\n",
            r"\[dump\] architecture: expected one of x86, x64, arm64",
        ),
        ("[process]\n", "[dump]\nflags = 1\n[process]\n", r"\[dump\] flags: unknown key"),
        ("[process]\n", "[dump]\nmisc_level = 6\n[process]\n", r"\[dump\] misc_level: expected an integer from 1"),
        ("[process]\n", "[dump]\nwindows = '10'\n[process]\n", r"\[dump\] windows: expected a string like"),
        ("[process]\n", "[dump]\nhandles = [{handle = 4}]\n[process]\n", r"\[dump.handles #1\] type: missing"),
        ("[process]\n", "[dump]\nexception = {thread = 1}\n[process]\n", r"\[dump.exception\] code: missing"),
        (
            "[process]\n",
            "[dump]\nwritten = 2200-01-01T00:00:00Z\n[process]\n",
            r"\[process\]: .* between 1970 and 2106",
        ),
        (
            "[process]\n",
            "[dump]\narchitecture = 'x86'\n[process]\nwow64 = true\n",
            r"\[process\] wow64: expected only with",
        ),
        ("id = 12", "id = 12\n" + "[[process.threads]]\nid = 16\n" * 32, r"\[process\]: there is room for 32 threads"),
        ('size = "16 KiB"', 'size = "16 KiB"\naddress = 0xFFFFFFFFFFFFF000', "do not fit into addresses of 64 bits"),
        ('size = "16 KiB"', 'size = "16 KiB"\naddress = 0x495C401000', r"\[process\]: memory at .* overlap"),
        ('size = "16 KiB"', 'size = "5 GiB"\nfiller = "zeros"', None),
        ("copies = 2", "copies = 10000", r"\[process.plants #2\]: no room for"),
        ("copies = 2", "across_seam = true", r"\[process.plants #2\]: no seam left"),
        ("copies = 2", "address = 5", r"\[process.plants #2\]: .* do not lie in any region"),
        (
            "seam_at = 1",
            "seam_at = 5000",
            r"\[process.plants #1\]: an object of \d+ bytes has no seam after its first 5000",
        ),
        ('a = "ed25519"', 'a = "x25519"', r"\[process.plants #1\] object: a key of algorithm X25519 cannot sign"),
        ('subject = "CN=a"', 'subject = "a"', r"\[process.plants #1\] object: 'a' is no distinguished name"),
        ("pid = 8", "pid = 8\nenvironment = ['']", r"\[process\]: environment entry '' is empty"),
        ("pid = 8", f"pid = 8\ncommand_line = '{'x' * 40000}'", r"\[process\]: command line has 40000"),
    ],
)
def test_errors_name_their_place_and_leave_no_file(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    assert old in SMALL
    text = SMALL.replace(old, new, 1)
    if message is None:  # too large for the older list only
        build_minidump(written(tmp_path / "a.toml", text), tmp_path / "out")
        text = text.replace("[process]", "[dump]\nmemory_list = 'memory'\n[process]")
        message = r"\[process\]: .* use memory64"
        for path in (tmp_path / "out").iterdir():
            path.unlink()
    path = written(tmp_path / "a.toml", text)
    with pytest.raises(ScenarioError, match=message) as caught:
        build_minidump(path, tmp_path / "out")
    assert str(caught.value).startswith(f"{path}: ")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    scenario = written(tmp_path / "a.toml", SMALL)
    with pytest.raises(ExportError, match="cannot be written"):
        build_minidump(scenario, scenario)
    (tmp_path / "out" / "small.dmp").mkdir(parents=True)
    with pytest.raises(ExportError, match=r"small.dmp: cannot be written"):
        build_minidump(scenario, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.dmp"]


@pytest.mark.parametrize("cut", range(0, len(SMALL), 37))
def test_truncated_scenarios_never_crash(tmp_path: Path, cut: int) -> None:
    try:
        build_minidump(written(tmp_path / "a.toml", SMALL[:cut]), tmp_path)
    except DumpscanError as error:
        assert "a.toml" in str(error)  # noqa: PT017 -- a few cuts leave a whole scenario
