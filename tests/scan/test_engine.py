"""The engine against a plain search through the address space, laid out byte by byte."""

from __future__ import annotations

import hashlib
import mmap
import re
import sys
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.space import Region
from dumpscan.scan import engine as engine_module
from dumpscan.scan import stretches
from dumpscan.scan.ahead import MAX_SMALL
from dumpscan.scan.engine import Engine
from dumpscan.scan.signature import Hit, Signature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LITERAL = Signature("literal", rb"abcd", 4)
LOOSE = Signature("loose", rb"a..[a-c]", 4)
LONG = Signature("long", rb"ab.{6}a", 9)
SHORT = Signature("short", rb"dd", 2, lead=3)
BYTE = Signature("byte", rb"\x00", 1)
SIGNATURES = (LITERAL, LOOSE, LONG, SHORT, BYTE)
BASE = 0x7FFE_0000_0000


@dataclass
class Space:
    """A file and its regions."""

    buffer: memoryview
    regions: Sequence[Region]


def space(data: bytes, *regions: tuple[int, int, int]) -> Space:
    return Space(memoryview(data), [Region(*region) for region in regions])


def expected(source: Space, signatures: Sequence[Signature]) -> list[tuple[int, str]]:
    """Find all matches by Python's `re` in each run of adjacent regions, put together from its bytes."""
    runs: list[tuple[int, bytearray]] = []
    for region in source.regions:
        data = source.buffer[region.file_offset : region.file_offset + region.size]
        if runs and runs[-1][0] + len(runs[-1][1]) == region.start:
            runs[-1][1].extend(data)
        else:
            runs.append((region.start, bytearray(data)))
    return sorted(
        (start + found.start() - signature.lead, signature.name)
        for start, data in runs
        for signature in signatures
        for found in re.finditer(b"(?=%s)" % signature.expression, data, re.DOTALL)
        if start + found.start() >= signature.lead
    )


def found(hits: Sequence[Hit]) -> list[tuple[int, str]]:
    return sorted((hit.address, hit.signature.name) for hit in hits)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(SIGNATURES)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the seams of blocks come often."""
    monkeypatch.setattr(stretches, "BLOCK", 64)
    monkeypatch.setattr(engine_module, "BLOCK", 64)
    monkeypatch.setattr(stretches, "SEAM_BLOCK", 32)
    monkeypatch.setattr(stretches, "GAP", 8)


def test_real_dump(wine_dump: Path, wine_truth: dict[str, Any]) -> None:
    signatures = [signature for signature, _ in X509_DETECTORS]
    with Minidump(wine_dump) as dump:
        hits = list(Engine(signatures).scan(dump))
        assert hits == list(Engine(signatures, literal=True).scan(dump, threads=1))  # without anchors
    names = {(hit.address, hit.signature.name) for hit in hits}
    assert (wine_truth["rsa.cer"]["va"] + 8, "x509-version") in names
    assert (wine_truth["rsa.p8"]["va"], "pkcs8-rsa") in names
    assert (wine_truth["ec.trad"]["va"], "sec1-short") in names
    assert (wine_truth["ec.pem"]["va"], "pem") in names


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threads", [1, 3])
def test_every_offset_around_the_seams_of_blocks(engine: Engine, threads: int) -> None:
    for offset in range(300):
        data = bytearray(b"." * 310)
        data[offset : offset + 9] = b"abcdefgha"
        source = space(bytes(data), (BASE, 310, 0))
        hits = list(engine.scan(source, threads=threads))
        assert found(hits) == expected(source, SIGNATURES)
        assert (BASE + offset, "literal") in found(hits)


def test_thousands_of_literals() -> None:
    values = [hashlib.sha256(b"%d" % number).digest() for number in range(2000)]
    signatures = [
        Signature(f"value-{number}", b"".join(b"\\x%02x" % byte for byte in value), len(value))
        for number, value in enumerate(values)
    ]
    data = b"".join((b"..", values[3], values[1999], b".", values[3][:31], values[77]))
    hits = Engine(signatures, literal=True).scan(space(data, (BASE, len(data), 0)))
    assert [(hit.signature.name, hit.address - BASE) for hit in hits] == [
        ("value-3", 2),
        ("value-1999", 34),
        ("value-77", 98),
    ]


def test_overlapping_matches_are_all_found(engine: Engine) -> None:
    source = space(b"ababababab...aa" + b"\x00" * 5 + b"dddd", (BASE, 24, 0))
    hits = found(list(engine.scan(source)))
    assert hits == expected(source, SIGNATURES)
    assert [address - BASE for address, name in hits if name == "short"] == [17, 18, 19]
    assert [address - BASE for address, name in hits if name == "byte"] == [15, 16, 17, 18, 19]


def test_adjacent_regions_are_one_wherever_they_lie(engine: Engine) -> None:
    source = space(b"cdefgha#" + b"...." + b"----ab", (BASE, 6, 12), (BASE + 6, 8, 0))
    assert (BASE + 4, "literal") in found(list(engine.scan(source)))
    assert (BASE + 4, "long") in found(list(engine.scan(source)))
    assert found(list(engine.scan(source))) == expected(source, SIGNATURES)


def test_regions_that_only_meet_in_the_file_are_not_one(engine: Engine) -> None:
    source = space(b"--abcd--", (BASE, 4, 0), (BASE + 5, 4, 4))
    assert list(engine.scan(source)) == []


def test_a_hole_between_regions_is_not_searched(engine: Engine) -> None:
    source = space(b"abcd" * 6, (BASE, 6, 0), (BASE + 100, 6, 16))
    assert found(list(engine.scan(source))) == expected(source, SIGNATURES)


def test_chain_of_single_bytes_in_reverse(engine: Engine) -> None:
    data = b"ahgfedcba" * 3
    source = space(data, *((BASE + i, 1, len(data) - 1 - i) for i in range(len(data))))
    hits = found(list(engine.scan(source)))
    assert [address - BASE for address, name in hits if name == "literal"] == [0, 9, 18]
    assert [address - BASE for address, name in hits if name == "long"] == [0, 9, 18]
    assert hits == expected(source, SIGNATURES)


def test_regions_that_share_bytes_of_the_file(engine: Engine) -> None:
    source = space(b"..abcd..", (BASE, 8, 0), (BASE + 0x100, 4, 2), (BASE + 0x200, 8, 0), (BASE + 0x300, 3, 2))
    assert [hit.address - BASE for hit in engine.scan(source) if hit.signature is LITERAL] == [2, 0x100, 0x202]


def test_a_million_places_of_the_same_bytes_are_not_all_scanned(engine: Engine) -> None:
    regions = [(BASE + i * 0x1000, 64, 0) for i in range(1000)]
    hits = [hit.address for hit in engine.scan(space(b"abcd" + b"." * 60, *regions)) if hit.signature is LITERAL]
    assert hits == [BASE + i * 0x1000 for i in range(stretches.SHARING)]


def test_lead_goes_before_the_region_but_not_below_zero(engine: Engine) -> None:
    assert found(list(engine.scan(space(b"dd", (BASE, 2, 0))))) == [(BASE - 3, "short")]
    assert list(engine.scan(space(b".dd", (0, 3, 0)))) == []
    assert found(list(engine.scan(space(b"...dd", (0, 5, 0))))) == [(0, "short")]


def test_top_of_the_address_space(engine: Engine) -> None:
    source = space(b"cd..ab", (2**64 - 4, 2, 4), (2**64 - 2, 2, 0))
    assert found(list(engine.scan(source))) == [(2**64 - 4, "literal")]


@pytest.mark.parametrize("regions", [(), ((BASE, 0, 0),), ((BASE, 0, 3), (BASE, 4, 0))])
def test_empty_and_missing_regions(engine: Engine, regions: tuple[tuple[int, int, int], ...]) -> None:
    source = space(b"abcd", *regions)
    assert found(list(engine.scan(source))) == expected(source, SIGNATURES)
    assert list(engine.scan(space(b"", *regions[:1]))) == []


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    data = draw(st.lists(st.sampled_from(b"abcd\x00."), min_size=1, max_size=200).map(bytes))
    address = draw(st.sampled_from([0, 1, BASE]))
    regions: list[Region] = []
    for _ in range(draw(st.integers(0, stretches.SHARING))):
        address += draw(st.sampled_from([0, 0, 0, 1, 5]))
        offset = draw(st.integers(0, len(data) - 1))
        follows = draw(st.booleans())
        if regions and follows:  # in the file, too, right behind the one before it
            offset = min(regions[-1].file_offset + regions[-1].size, len(data))
        size = draw(st.integers(0, min(40, len(data) - offset)))
        regions.append(Region(address, size, offset))
        address += size
    return Space(memoryview(data), regions)


@given(
    source=spaces(),
    block=st.integers(1, 50),
    seam=st.integers(1, 20),
    gap=st.integers(0, 20),
    threads=st.integers(1, 3),
)
@settings(max_examples=300, deadline=None)
def test_as_a_plain_search_finds_it(source: Space, block: int, seam: int, gap: int, threads: int) -> None:
    sizes: list[int] = []
    with (
        mock.patch.object(stretches, "BLOCK", block),
        mock.patch.object(engine_module, "BLOCK", block),
        mock.patch.object(stretches, "SEAM_BLOCK", seam),
        mock.patch.object(stretches, "GAP", gap),
    ):
        hits = list(ENGINE.scan(source, threads=threads, progress=sizes.append))
    assert found(hits) == expected(source, SIGNATURES)
    assert sum(sizes) == sum(region.size for region in source.regions)


ENGINE = Engine(SIGNATURES)


def mixed(size: int, seed: int) -> bytes:
    """Return bytes in which every signature occurs."""
    return np.random.default_rng(seed).choice(np.frombuffer(b"abcd\x00.......", np.uint8), size).tobytes()


@pytest.mark.usefixtures("small_blocks")
def test_threads_change_nothing(engine: Engine) -> None:
    data = mixed(20_000, 1)
    source = space(data, *((BASE + i * 100, 100 - (i % 7 == 0), (199 - i) * 100) for i in range(200)))
    one = list(engine.scan(source, threads=1))
    assert found(one) == expected(source, SIGNATURES)
    assert one == list(engine.scan(source, threads=4)) == list(engine.scan(source))


@pytest.mark.usefixtures("small_blocks")
def test_batches_are_in_order_and_without_the_lead(engine: Engine) -> None:
    source = space(mixed(2000, 2), (BASE, 2000, 0))
    batches = list(engine.batches(source))
    assert all(later >= earlier for batch in batches for earlier, later in pairwise(batch.starts.tolist()))
    assert sorted(
        (address - SIGNATURES[number].lead, SIGNATURES[number].name)
        for batch in batches
        for number, address in zip(batch.signatures.tolist(), batch.starts.tolist(), strict=True)
    ) == expected(source, SIGNATURES)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("size", [0, 1, 3, 63, 64, 65, 1000])
def test_scan_buffer(engine: Engine, size: int) -> None:
    data = mixed(size, 3)
    matches = engine.scan_buffer(data, threads=2)
    assert sorted(
        (start, SIGNATURES[number].name)
        for number, start in zip(matches.signatures.tolist(), matches.starts.tolist(), strict=True)
    ) == sorted(
        (found.start(), signature.name)
        for signature in SIGNATURES
        for found in re.finditer(b"(?=%s)" % signature.expression, data, re.DOTALL)
    )
    array = np.frombuffer(data, np.uint8)
    assert engine.scan_buffer(array.data).starts.tolist() == matches.starts.tolist()


@pytest.mark.usefixtures("small_blocks")
def test_only_a_few_blocks_are_scanned_ahead(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = []
    data = stretches.FileStretches.data

    def noted(self: stretches.FileStretches, block: stretches.Block) -> memoryview:
        scanned.append(block)
        return data(self, block)

    monkeypatch.setattr(stretches.FileStretches, "data", noted)
    hits = engine.scan(space(b"\x00" * 64 * 1000, (BASE, 64_000, 0)), threads=2)
    next(hits)
    assert len(scanned) <= 5
    assert sum(1 for _ in hits) == 64_000 - 1
    assert len(scanned) == 1000


def test_the_switch_interval_is_as_before_when_the_last_scan_ends(engine: Engine) -> None:
    before = sys.getswitchinterval()
    data = b"abcd" * 2 + bytes(MAX_SMALL)
    first, second = (engine.scan(space(data, (BASE, len(data), 0))) for _ in range(2))
    next(first)
    during = sys.getswitchinterval()
    next(second)
    first.close()  # type: ignore[attr-defined]
    assert sys.getswitchinterval() == during < before
    list(second)
    assert sys.getswitchinterval() == before


def test_a_scan_left_half_way_lets_go_of_everything(tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcd" * 1000)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        with memoryview(mapped) as view:
            hits = engine.scan(Space(view, [Region(BASE, 1000, 2000), Region(BASE + 1000, 1000, 0)]))
            assert next(hits).address == BASE
            hits.close()  # type: ignore[attr-defined]
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("dumpscan")]
    # Closing the mapping raises BufferError while anything still refers to it.


def test_the_mapping_is_not_copied(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(b"." * 1000)
    lent = []
    database = engine._database
    scan = database._scan

    def noted(view: memoryview, **arguments: object) -> None:
        lent.append(view.obj)
        scan(view, **arguments)

    monkeypatch.setattr(database, "_scan", noted)
    list(engine.scan(Space(memoryview(data), [Region(BASE, 1000, 0)])))
    assert [part is data for part in lent] == [True]


def test_failure_in_a_thread_reaches_the_caller(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches.FileStretches, "data", mock.Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        list(engine.scan(space(b"abcd", (BASE, 4, 0))))


@pytest.mark.parametrize(
    "signatures",
    [
        (),
        (LITERAL, LITERAL),
        (Signature("nothing", b"a", 0),),
        (Signature("before", b"a", 1, lead=-1),),
    ],
)
def test_impossible_signatures(signatures: tuple[Signature, ...]) -> None:
    with pytest.raises(ValueError, match="signature"):
        Engine(signatures)
