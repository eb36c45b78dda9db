from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dumpscan.artifacts.registry import X509, X509_DETECTORS
from dumpscan.exceptions import InputError, UsageError
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.physical.page_map import PageMap
from dumpscan.search import resolving as resolving_module
from dumpscan.search.decoding import Decoding
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.physical import _seam_matches, search_physical
from dumpscan.search.resolving import Resolver
from dumpscan.search.scanner import Scanner
from dumpscan.synth.kernel.build import build_kernel
from dumpscan.synth.physical.containers import CONTAINERS
from support.artifact_samples import certificate_der, rewritten, tlv
from support.corpus import SYMBOLS
from support.kernel_images import KERNEL_PID, Lab, build_lab, found, planted
from support.kernel_scenarios import scenario_text, write_scenario
from support.page_table_images import PAGE, TableImage, owner

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Finding

WEB_SERVER, LEGACY, GONE = 5120, 5200, 6000


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(X509_DETECTORS)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def scan(image: KernelImage, scanner: Scanner, **options: object) -> tuple[list[Finding], tuple[str, ...]]:
    collector = Collector()
    problems = search_physical(image, scanner, collector, options=SearchOptions(**options))  # type: ignore[arg-type]
    return collector.findings(), problems


def findings_of(lab: Lab, scanner: Scanner, **options: object) -> list[Finding]:
    with lab.open() as image:
        findings, problems = scan(image, scanner, **options)
        assert problems == ()
        assert image.damage == ()
        assert image.warnings == []
    return findings


def test_every_object_is_found_at_its_place_and_nothing_else(lab: Lab, scanner: Scanner) -> None:
    findings = findings_of(lab, scanner)
    assert found(findings) == planted(lab.truth)
    assert {type(finding) for finding in findings} == {Certificate, PrivateKey}


@pytest.mark.parametrize("container", [name for name in CONTAINERS if name != "raw"])
def test_containers_hold_the_same(lab: Lab, scanner: Scanner, tmp_path: Path, container: str) -> None:
    other = build_lab(tmp_path, container=container)
    findings = findings_of(other, scanner)
    assert found(findings) == planted(lab.truth)
    data = other.image.read_bytes()
    for finding in findings:
        for location in finding.locations:
            if container == "kdump":  # the file holds it packed
                assert location.extents == ()
                continue
            held = b"".join(data[at : at + length] for at, length in location.extents)
            assert sha256(held).hexdigest() == location.sha256
            assert len(held) == location.length - location.missing


@pytest.mark.parametrize("table", sorted(SYMBOLS.rglob("*.json.xz")), ids=lambda path: path.name[:8])
def test_images_of_real_kernels(scanner: Scanner, tmp_path: Path, table: Path) -> None:
    lab = build_lab(tmp_path, symbols=table)
    assert found(findings_of(lab, scanner)) == planted(lab.truth)


def test_evidence_is_complete(lab: Lab, scanner: Scanner) -> None:
    data = lab.image.read_bytes()
    for finding in findings_of(lab, scanner):
        for location in finding.locations:
            assert location.file == str(lab.image)
            held = b"".join(data[at : at + length] for at, length in location.extents)
            assert sha256(held).hexdigest() == location.sha256
            assert location.file_offset == location.physical_address
            if location.process is None:
                assert location.region is None
                continue
            start, size = location.region or (0, 0)
            assert start <= location.virtual_address < start + size
            wanted = "kernel" if location.process.pid == KERNEL_PID else lab.process(location.process.pid)["name"][:14]
            assert location.process.name == wanted


def test_shared_memory_is_everybodys(lab: Lab, scanner: Scanner) -> None:
    places = [
        {(location.process.pid, location.virtual_address) for location in finding.locations if location.process}
        for finding in findings_of(lab, scanner)
    ]
    shared = [item for item in lab.truth["objects"] if len(item["places"]) > 1]
    assert {place["pid"] for item in shared for place in item["places"]} == {WEB_SERVER, LEGACY}
    for item in shared:
        wanted = {(place["pid"], place["virtual_address"]) for place in item["places"]}
        assert any(wanted <= finding for finding in places)


def test_filters_leave_out_other_processes_the_kernel_and_nobodys_memory(lab: Lab, scanner: Scanner) -> None:
    wanted = planted(lab.truth)
    for options, pids in (
        ({"pids": (LEGACY,)}, {LEGACY}),
        ({"names": ("W3WP*",)}, {WEB_SERVER}),
        ({"pids": (LEGACY,), "names": ("w3wp.exe", "smss.exe")}, {WEB_SERVER, LEGACY}),
    ):
        assert found(findings_of(lab, scanner, **options)) == {place for place in wanted if place[0] in pids}


def test_filters_keep_what_only_prototype_entries_tell(lab: Lab, scanner: Scanner) -> None:
    through_prototype = [
        item
        for item in lab.truth["objects"]
        if any(extent["state"] == "prototype" for extent in item["physical_extents"])
    ]
    assert through_prototype
    places = found(findings_of(lab, scanner, pids=(WEB_SERVER,)))
    for item in through_prototype:
        assert (WEB_SERVER, item["places"][0]["virtual_address"]) in {place[:2] for place in places}


def test_an_unknown_process_is_a_usage_error(lab: Lab, scanner: Scanner) -> None:
    with lab.open() as image, pytest.raises(UsageError, match=r"no process has the id 5121; near it are: 5120"):
        scan(image, scanner, pids=(5121,))


def test_progress_adds_up_to_physical_memory(lab: Lab, scanner: Scanner) -> None:
    steps: list[int] = []
    with lab.open() as image:
        search_physical(image, scanner, Collector(), progress=steps.append)
        assert sum(steps) == image.physical.size


def test_without_a_symbol_table_only_the_names_are_lost(lab: Lab, scanner: Scanner) -> None:
    with lab.open(symbols=()) as image:
        findings, problems = scan(image, scanner)
        assert problems == ()
        assert [table.pdb.guid for table in image.missing_tables] == [image.profile.kernel.pdb.guid]
        with pytest.raises(InputError, match="Three ways"):
            scan(image, scanner, pids=(WEB_SERVER,))
    addresses = {place[1:] for place in found_without_pid(findings)}
    assert addresses == {place[1:] for place in planted(lab.truth)}


def found_without_pid(findings: list[Finding]) -> set[tuple[None, int | None, int | None, str, int]]:
    return {
        (
            None,
            location.virtual_address,
            location.physical_address,
            finding.sha256 if location.missing else location.sha256,
            location.missing,
        )
        for finding in findings
        for location in finding.locations
    }


def test_without_a_kernel_physical_memory_alone_is_searched(lab: Lab, scanner: Scanner, tmp_path: Path) -> None:
    # A kernel that does not say which one it is, is none; what lies in one frame is found all the same.
    data = lab.image.read_bytes()
    cut = lab.changed(tmp_path, {match.start(): b"nothing" for match in re.finditer(b"ntkrnlmp.pdb", data)})
    with cut.open() as image:
        findings, problems = scan(image, scanner)
    assert problems[0].startswith("physical memory alone is searched, and no process is known: no Windows kernel")
    locations = [location for finding in findings for location in finding.locations]
    assert all(location.process is None and location.virtual_address is None for location in locations)
    whole = {place[2] for place in planted(lab.truth) if not place[4]}
    one_frame = {
        item["physical_extents"][0]["physical_address"]
        for item in lab.truth["objects"]
        if len(item["physical_extents"]) == 1
    }
    assert one_frame & whole <= {location.physical_address for location in locations if not location.missing}


def test_an_object_that_goes_on_in_anothers_frame_is_not_believed(lab: Lab, scanner: Scanner, tmp_path: Path) -> None:
    """What follows in the next frame counts only where it is the next page too."""
    item = next(
        item
        for item in lab.truth["objects"]
        if item["encoding"] == "der" and 20 < item["physical_extents"][0]["length"] < 100 and not item["missing"]
    )
    first, second = item["physical_extents"][:2]
    data = lab.image.read_bytes()
    rest = data[second["physical_address"] :][: second["length"]]
    behind = first["physical_address"] + first["length"]
    # The right rest in the frame that follows physically; at its place in the mapping, something else.
    changed = lab.changed(tmp_path, {behind: rest, second["physical_address"]: bytes(len(rest))})
    with changed.open() as image:
        findings, _ = scan(image, scanner)
    assert first["physical_address"] not in {
        location.physical_address for finding in findings for location in finding.locations if not location.missing
    }


SEAMS = """
[[process]]
pid = 7000
parent_pid = 372
name = "seams.exe"
[[process.seams]]
object = "across"
before = "1-30"
"""
ACROSS = """
[objects.across]
kind = "{}"
key = "rsa"
encoding = "{}"
{}
[shared.cache]
"""


@pytest.mark.parametrize("encoding", ["der", "pem", "pkcs1", "pkcs8", "pem-utf16", "cng-full"])
def test_signatures_across_a_border_of_pages_at_every_offset(scanner: Scanner, tmp_path: Path, encoding: str) -> None:
    certificate = encoding in {"der", "pem"}
    across = ACROSS.format(
        "certificate" if certificate else "private_key", encoding, 'subject = "CN=a"' if certificate else ""
    )
    text = scenario_text(density=10).replace('site = "ec-p256"', 'site = "ec-p256"\nrsa = "rsa-1024"')
    scenario = write_scenario(tmp_path, text.replace("[shared.cache]", across) + SEAMS)
    paths = build_kernel(scenario, tmp_path)
    wanted = {place[:2] for place in planted(json.loads(paths.truth.read_text())) if place[0] == 7000}
    assert len(wanted) == 30
    with KernelImage(paths.image, symbols=[paths.symbols_directory], cache_dir=tmp_path / "cache") as image:
        findings, _ = scan(image, scanner, pids=(7000,))
    assert {place[:2] for place in found(findings)} == wanted


# --- Physical memory by hand ------------------------------------------------------------------------------------------

ONE, TWO = 0x7FF6_0000_0000, 0x1_0000
DER = certificate_der()


def resolved(directory: Path, memory: TableImage, *roots: int) -> list[Finding]:
    """Scan hand-made memory as far as the scan goes without a kernel: matches, and who sees them."""
    scanner = Scanner(X509_DETECTORS)
    collector = Collector()
    with memory.open(directory) as image:
        page_map = PageMap(image, [owner(root, 8 + 4 * number) for number, root in enumerate(roots)])
        resolver = Resolver(image, page_map, Decoding(scanner.decoders), collector, (0,), report_all=True)
        batches = [*scanner.engine.batches(image), *_seam_matches(image, page_map, scanner.engine, None)]
        for batch in batches:
            resolver.resolve(scanner.engine.signatures, batch.signatures, batch.starts.astype(np.int64))
    return X509.shown(collector.findings())


def lies(findings: list[Finding]) -> set[tuple[int | None, int | None, int | None, int]]:
    return {
        (
            location.process.pid if location.process else None,
            location.virtual_address,
            location.physical_address,
            location.missing,
        )
        for finding in findings
        for location in finding.locations
    }


def test_who_shares_only_the_first_page_shares_only_the_head(tmp_path: Path) -> None:
    memory = TableImage(64)
    roots = [memory.root() for _ in range(4)]
    before = 100
    start = 5 * PAGE - before
    memory.write(start, DER[:before])
    memory.write(9 * PAGE, DER[before:])
    memory.write(11 * PAGE, DER[before:])  # a copy of its own
    for root in roots:
        memory.map(root, ONE, 4)
    memory.map(roots[0], ONE + PAGE, 9)
    memory.map(roots[1], ONE + PAGE, 10)  # zeros
    memory.map(roots[2], ONE + PAGE, 11)
    place = ONE + PAGE - before
    findings = resolved(tmp_path, memory, *roots)
    assert lies(findings) == {
        (8, place, start, 0),
        (16, place, start, 0),
        (20, place, start, len(DER) - before),  # its next page is absent
    }
    extents = {
        location.process.pid: location.extents for location in findings[0].locations if location.process is not None
    }
    assert extents[8] == ((start, before), (9 * PAGE, len(DER) - before))
    assert extents[16] == ((start, before), (11 * PAGE, len(DER) - before))
    assert extents[20] == ((start, before),)


def test_one_process_may_see_an_object_twice(tmp_path: Path) -> None:
    memory = TableImage(64)
    root = memory.root()
    memory.write(4 * PAGE + 8, DER)
    memory.map(root, ONE, 4)
    memory.map(root, TWO, 4)
    assert lies(resolved(tmp_path, memory, root)) == {(8, ONE + 8, 4 * PAGE + 8, 0), (8, TWO + 8, 4 * PAGE + 8, 0)}


def test_freed_memory_counts_as_long_as_nobody_else_has_it(tmp_path: Path) -> None:
    before = 100
    for taken, missing in ((False, 0), (True, len(DER) - before)):
        memory = TableImage(64)
        root = memory.root()
        start = 5 * PAGE - before
        memory.write(start, DER)
        if taken:
            memory.map(root, ONE, 5)
        findings = resolved(tmp_path, memory, root)
        assert lies(findings) == {(None, None, start, missing)}
        assert findings[0].locations[0].extents == ((start, len(DER) - missing),)


def test_a_match_that_only_chance_put_together_is_nobodys(tmp_path: Path) -> None:
    memory = TableImage(64)
    root = memory.root()
    before = 5  # the signature itself goes on in the next frame
    memory.write(5 * PAGE - before, DER)
    memory.map(root, ONE, 4)
    memory.map(root, ONE + PAGE, 20)
    memory.map(root, TWO, 5)
    assert resolved(tmp_path, memory, root) == []


def test_an_object_over_many_pages_in_any_order(tmp_path: Path) -> None:
    memory = TableImage(128)
    root = memory.root()
    large = rewritten(DER, extensions=tlv(0xA3, tlv(0x30, tlv(0x30, b"\x06\x03\x55\x1d\x63", tlv(4, bytes(20_000))))))
    frames = [20, 3, 40, 41, 7, 9]
    data = bytes(300) + large
    for number, frame in enumerate(frames):
        memory.write(frame * PAGE, data[number * PAGE : (number + 1) * PAGE])
        memory.map(root, ONE + number * PAGE, frame)
    findings = resolved(tmp_path, memory, root)
    assert lies(findings) == {(8, ONE + 300, 20 * PAGE + 300, 0)}
    assert findings[0].sha256 == sha256(large).hexdigest()


def test_more_ways_to_see_a_match_than_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving_module, "_MOST_ANSWERS", 2)
    memory = TableImage(128)
    before = 100
    memory.write(5 * PAGE - before, DER[:before])
    roots = [memory.root() for _ in range(6)]
    for number, root in enumerate(roots):
        memory.write((10 + number) * PAGE, DER[before:])
        memory.map(root, ONE, 4)
        memory.map(root, ONE + PAGE, 10 + number)
    assert len(lies(resolved(tmp_path, memory, *roots))) == 6
