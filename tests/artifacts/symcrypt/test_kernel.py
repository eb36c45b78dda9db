"""SymCrypt's keys in kernel images: whose they are, where, and what they are; nothing else."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from dumpscan.artifacts.registry import SYMCRYPT
from dumpscan.exceptions import ScenarioError
from dumpscan.findings import SymmetricKey
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.physical import search_physical
from dumpscan.search.scanner import Scanner
from dumpscan.synth.kernel.build import build_kernel
from support.kernel_images import KERNEL_PID
from support.kernel_scenarios import write_scenario
from support.symcrypt_scenarios import (
    KEYS,
    PAIRS,
    SEED,
    Told,
    key_objects,
    names_of,
    part_span,
    told_by,
    told_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Finding
    from dumpscan.synth.kernel.build import KernelPaths

LSASS, OLD, WOW64, FIRST, SECOND, THIRD = 788, 900, 1000, 1100, 1104, 1108
PUBLIC = 'public-rsa = "rsa-1024"\npublic-p384 = "ec-p384"\npublic-curve25519 = "x25519"\n'
OBJECTS = {
    build: key_objects(build, bare=build == "symcrypt-x64")
    for build in ("symcrypt-x64", "symcrypt-x64-old", "symcrypt-x86", "symcrypt-x86-old")
}
SHARED_ADDRESS = 0x2_0000_0000
ELSEWHERE = 0x3_0000_0000


def plants_of(names: list[str], **how: object) -> str:
    keys = "".join(f", {key} = {json.dumps(value)}" for key, value in how.items())
    return ", ".join(f'{{ object = "{name}"{keys} }}' for name in names)


def process(pid: int, name: str, rest: str) -> str:
    return f'[[process]]\npid = {pid}\nname = "{name}"\n{rest}\n'


def seam(name: str, before: range | list[int], tail: str = "ordinary") -> str:
    return f'[[process.seams]]\nobject = "{name}"\nbefore = "{", ".join(map(str, before))}"\ntail = "{tail}"\n'


def region(name: str, size: str = "256 KiB", **more: object) -> str:
    keys = "".join(f", {key} = {json.dumps(value)}" for key, value in more.items())
    return f'{{ name = "{name}", size = "{size}"{keys} }}'


def scenario() -> str:
    x64, x64_old = names_of(OBJECTS["symcrypt-x64"]), names_of(OBJECTS["symcrypt-x64-old"])
    x86 = names_of(OBJECTS["symcrypt-x86"]) + names_of(OBJECTS["symcrypt-x86-old"])
    whole = -(-part_span("rsa", "symcrypt-x64", "prime 1")[1] // 32) * 32
    pairs = [f"{name}-symcrypt-x64" for name in PAIRS]
    shared = [name for name in pairs if not name.startswith("large")]
    low = region("low", address=0x0050_0000)
    return "\n".join(
        (
            f'format = 1\nname = "symcrypt"\nseed = "{SEED}"\n[windows]\nsize = "64 MiB"\ndensity = 30\n',
            f'{KEYS}\n{PUBLIC}\n[shared.pages]\nsize = "128 KiB"',
            *OBJECTS.values(),
            process(
                LSASS,
                "lsass.exe",
                f"regions = [{region('heap')}]\nplants = [{plants_of(x64)}, {plants_of(pairs, across_seam=True)}]",
            ),
            seam("rsa-symcrypt-x64", range(32, 0x9A0, 32)),
            seam("p256-symcrypt-x64", range(32, 0x160, 32)),
            seam("aes256-symcrypt-x64", range(32, 0x1F0, 32)),
            seam("bare-aes128", range(1, 176, 5)),
            seam("rsa-symcrypt-x64", [whole], "paged-out"),
            seam("rsa-symcrypt-x64", [96, whole], "transition"),
            seam("p256-symcrypt-x64", [96], "transition"),
            seam("rsa-symcrypt-x64", [96, whole], "prototype"),
            process(
                OLD,
                "old.exe",
                f"regions = [{region('heap')}]\n"
                f"plants = [{plants_of(x64_old)}, {plants_of(x64_old, across_seam=True)}]",
            ),
            process(
                WOW64,
                "old32.exe",
                f"wow64 = true\nregions = [{low}]\nplants = [{plants_of(x86)}, "
                f"{plants_of([name for name in x86 if 'rsa' in name], across_seam=True)}]",
            ),
            *(
                process(
                    pid,
                    f"shares{pid}.exe",
                    f"regions = [{region('shared', '128 KiB', address=address)}]\npaging.shared.shared = 'pages'\n"
                    + (f"plants = [{plants_of(shared)}]" if pid == FIRST else ""),
                )
                for pid, address in ((FIRST, SHARED_ADDRESS), (SECOND, SHARED_ADDRESS), (THIRD, ELSEWHERE))
            ),
            '[[kernel]]\nobject = "p384-symcrypt-x64"\noffset = 0xf80\ncopies = 2',
            '[[kernel]]\nobject = "rsa-symcrypt-x64-old"\noffset = 0xc00',
            '[[unmapped]]\nobject = "rsa-symcrypt-x64"',
        )
    )


class Image(NamedTuple):
    """An image, the truth about it and what a scan said, scanned once for all tests."""

    paths: KernelPaths
    truth: dict[str, Any]
    findings: list[Finding]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    directory = tmp_path_factory.mktemp("symcrypt")
    paths = build_kernel(write_scenario(directory, scenario()), directory)
    return Image(paths, json.loads(paths.truth.read_text()), scan(paths, directory))


def scan(paths: KernelPaths, directory: Path, *, aes: bool = True, **options: Any) -> list[Finding]:  # noqa: ANN401 - the options' own
    what = SYMCRYPT.with_aes(unaligned=True) if aes else SYMCRYPT
    collector = Collector()
    with KernelImage(paths.image, symbols=[paths.symbols_directory], cache_dir=directory / "cache") as opened:
        chosen = SearchOptions(**options)
        assert search_physical(opened, Scanner(what.detectors), collector, options=chosen) == ()
        assert opened.damage == ()
    return collector.findings()


def planted(truth: dict[str, Any]) -> set[Told]:
    """Return what is true of every key at every place."""
    told = set()
    for item in truth["objects"]:
        for place in item["places"] or [{"pid": None, "virtual_address": None}]:
            entry = item
            if item["places"] and "made_at" in item and place["virtual_address"] != item["made_at"]:
                # What is mapped elsewhere than where it was made points to nothing: RSA needs no pointers, a named
                # curve is known by its size, and a key of DSA is found by its pointer alone.
                if item["algorithm"] == "DSA":
                    continue
                entry = {name: value for name, value in item.items() if name != "wrapper"}
                entry["missing_parts"] = [] if item["algorithm"] == "RSA" else ["curve"]
            pid = place["pid"] or (KERNEL_PID if item["placement"] == "kernel" else None)
            if item["kind"] != "decoy":
                told.add(told_of(entry, place, pid))
    return told


def found(findings: list[Finding]) -> set[Told]:
    told = [
        told_by(finding, location, location.process.pid if location.process else None)
        for finding in findings
        for location in finding.locations
    ]
    assert len(set(told)) == len(told)
    return set(told)


def test_every_key_is_found_where_it_lies_and_nothing_else(image: Image) -> None:
    wanted = planted(image.truth)
    assert {entry.place[0] for entry in wanted} == {LSASS, OLD, WOW64, FIRST, SECOND, THIRD, KERNEL_PID, None}
    assert {(entry.architecture, entry.layout) for entry in wanted if entry.algorithm == "RSA"} == {
        (architecture, layout) for architecture in ("x64", "x86") for layout in ("pre-102", "102+")
    }
    assert sum(item["kind"] == "decoy" for item in image.truth["objects"]) > 10
    assert found(image.findings) == wanted


def test_keys_lie_across_pages_whose_frames_do_not_follow_one_another(image: Image) -> None:
    frames = [
        [extent["physical_address"] >> 12 for extent in item["physical_extents"] if extent["physical_address"]]
        for item in image.truth["objects"]
        if item["crosses_pages"]
    ]
    assert sum(first[1:2] not in ([], [first[0] + 1]) for first in frames) > 50


def test_evidence_is_complete(image: Image) -> None:
    data = image.paths.image.read_bytes()
    for finding in image.findings:
        for location in finding.locations:
            held = b"".join(data[at : at + length] for at, length in location.extents)
            assert sha256(held).hexdigest() == location.sha256
            assert len(held) == location.length - location.missing
            assert location.file_offset == location.physical_address


def test_what_a_page_missing_leaves_is_a_whole_key(image: Image) -> None:
    (item,) = (item for item in image.truth["objects"] if item.get("missing_parts"))
    assert (item["placement"], item["missing_parts"][0]) == ("paged-out", "prime 2")
    (location,) = (location for finding in image.findings for location in finding.locations if location.missing)
    assert location.virtual_address == item["places"][0]["virtual_address"]
    assert location.key_object is not None
    assert location.key_object.whole
    assert location.key_object.consistent


def test_filters_keep_one_process(image: Image, tmp_path: Path) -> None:
    wanted = {entry for entry in planted(image.truth) if entry.place[0] == WOW64}
    assert {entry.architecture for entry in wanted} == {"x86"}
    assert found(scan(image.paths, tmp_path, pids=(WOW64,))) == wanted


def test_symmetric_keys_are_found_only_if_asked_for(image: Image, tmp_path: Path) -> None:
    assert any(isinstance(finding, SymmetricKey) for finding in image.findings)
    assert not any(isinstance(finding, SymmetricKey) for finding in scan(image.paths, tmp_path, aes=False))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("offset = 0xf80", "offset = 0xf88", r"\[kernel #1\]: a SymCrypt key of x64 cannot lie at 0x"),
        ('name = "heap"', 'name = "heap", holes = [{start = 4096, size = 4096}]', "'heap' has holes; in a kernel"),
        (
            f"address = {0x50_0000}",
            f"address = {1 << 33}",
            r"\[process #3.plants #1\]: a SymCrypt key of x86",
        ),
    ],
)
def test_mistakes_are_said(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in scenario()
    with pytest.raises(ScenarioError, match=message):
        build_kernel(write_scenario(tmp_path, scenario().replace(old, new, 1)), tmp_path)
