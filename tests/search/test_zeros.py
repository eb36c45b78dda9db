"""Long runs of zeros are left out, and nothing that lies beside them is missed."""

from __future__ import annotations

import pytest

from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.memory.regions import RegionTable, columns_of
from dumpscan.memory.space import Region
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from dumpscan.search.zeros import MARGIN, MIN_REGION, without_zeros
from support.artifact_samples import Space, certificate_der

STEP = 1 << 20


def _spans(data: bytes, *, start: int = 0x10000, before: int = 0) -> list[tuple[int, int]]:
    kept = without_zeros(memoryview(bytes(before) + data), [Region(start, len(data), before)])
    assert [region.file_offset - before for region in kept] == [region.start - start for region in kept]
    return [(region.start - start, region.end - start) for region in kept]


def test_a_run_of_zeros_is_left_out_but_for_its_edges() -> None:
    data = bytearray(8 * STEP)
    assert _spans(bytes(data)) == [(0, MARGIN), (len(data) - MARGIN, len(data))]
    data[3 * STEP + 5] = 1
    expected = [(0, MARGIN), (3 * STEP - MARGIN, 4 * STEP + MARGIN), (len(data) - MARGIN, len(data))]
    assert _spans(bytes(data)) == _spans(bytes(data), before=3) == expected
    assert _spans(bytes(range(256)) * (8 * STEP // 256)) == [(0, 8 * STEP)]


def test_what_has_no_long_run_is_what_it_was() -> None:
    regions = [Region(0, MIN_REGION - 1, 0), Region(MIN_REGION, 100, MIN_REGION - 1)]
    assert without_zeros(memoryview(bytes(MIN_REGION + 100)), regions) is regions
    data = memoryview(bytes(range(1, 101)) + bytes(MIN_REGION))
    kept = without_zeros(data, [Region(0, 100, 0), Region(100, MIN_REGION, 100)])
    assert isinstance(kept, RegionTable)
    assert columns_of(kept)[0].tolist() == [0, 100, 100 + MIN_REGION - MARGIN]


@pytest.mark.parametrize("at", [0, STEP - 700, STEP, 5 * STEP - 1, 6 * STEP - 300])
def test_an_object_beside_zeros_is_found(at: int) -> None:
    der = certificate_der("rsa1024")
    data = bytearray(6 * STEP + len(der))
    data[at : at + len(der)] = der
    memory = Space({0x7000_0000: bytes(data)})
    collector = Collector()
    Scanner(X509_DETECTORS).scan(memory, collector, within=without_zeros(memory.buffer, memory.regions))
    (found,) = collector.findings()
    (place,) = found.locations
    assert (place.virtual_address, place.region) == (0x7000_0000 + at, (0x7000_0000, len(data)))
