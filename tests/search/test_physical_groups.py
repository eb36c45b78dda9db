"""Keys that only several places tell, in physical memory: read through each process's pages, in any order of frames."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from dumpscan.artifacts.openssl.detectors import GROUP_DETECTORS
from dumpscan.artifacts.x509.certificate import DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.memory.physical.page_map import PageMap
from dumpscan.search.merge import Collector
from dumpscan.search.physical import search_physical
from dumpscan.search.scanner import Scanner
from support import number_samples as samples
from support.artifact_samples import key_id, rsa_key
from support.number_samples import Heap
from support.page_table_images import PAGE, MappedDump, TableImage, owner

if TYPE_CHECKING:
    from pathlib import Path

PAGES = 4
FIRST = 16


def _heap() -> tuple[Heap, int]:
    """Return a heap with a key whose structure lies across a border of pages, and the structure's address."""
    heap = Heap(size=PAGES * PAGE)
    numbers = rsa_key(2048).private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    values = [n, e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp]
    pointers = [heap.number(value, samples.bignum) for value in values[:4]]
    heap.used = PAGE - 8
    data = samples.limbs(values[4])
    place = heap.put(data)
    heap.used = 2 * PAGE - 8  # a header across a border
    pointers.append(heap.put(samples.bignum(place, len(data) // 8), 8))
    pointers += [heap.number(value, samples.bignum) for value in values[5:]]
    heap.used = 3 * PAGE - 24
    return heap, heap.put(struct.pack("<8Q", *pointers), 8)


def _found(directory: Path, owners: int, *, in_file: bool = False) -> list[PrivateKey]:
    heap, _ = _heap()
    image = TableImage()
    frames = [FIRST + 2 * (PAGES - page) for page in range(PAGES)]
    for page, frame in enumerate(frames):
        image.write(frame * PAGE, bytes(heap.data[page * PAGE : (page + 1) * PAGE]))
    roots = [image.root() for _ in range(owners)]
    for root in roots:
        for page, frame in enumerate(frames):
            image.map(root, heap.base + page * PAGE, frame)
    scanner = Scanner(DETECTORS, GROUP_DETECTORS)
    with image.open(directory) as physical:
        page_map = PageMap(physical, [owner(root, 8 + 4 * number) for number, root in enumerate(roots)])
        files = None
        if in_file:
            files = PageMap.of_pages(physical, owner(0), np.arange(PAGES), np.array(frames))
        collector = Collector()
        passed: list[int] = []
        search_physical(cast("Any", MappedDump(page_map, files)), scanner, collector, progress=passed.append)
        assert sum(passed) == physical.size * scanner.passes
    return [finding for finding in collector.findings() if isinstance(finding, PrivateKey)]


def test_a_key_over_scattered_frames_is_found_in_each_process(tmp_path: Path) -> None:
    (found,) = _found(tmp_path, 2)
    _, address = _heap()
    assert found.key_id == key_id(rsa_key(2048))
    places = {(place.process.pid, place.virtual_address) for place in found.locations if place.process}
    assert places == {(8, address), (12, address)}
    assert {place.key_object.structure for place in found.locations if place.key_object} == {"rsa_st"}
    assert all(len(place.extents) == 2 for place in found.locations)


def test_memory_that_nobody_maps_holds_no_such_key(tmp_path: Path) -> None:
    assert not _found(tmp_path, 0)


def test_pages_of_files_hold_no_such_key(tmp_path: Path) -> None:
    assert not _found(tmp_path, 1, in_file=True)


def _heap_of_32_bits(base: int) -> bytes:
    """Return a heap of four pages with the numbers of a key, and headers and limbs across the borders of pages."""
    numbers = rsa_key(2048).private_numbers()
    public = numbers.public_numbers
    data = bytearray(PAGES * PAGE)
    limbs_at, header_at = 16, PAGE - 8  # the first header lies across a border
    for value in (public.n, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp):
        count = -(-value.bit_length() // 32)
        data[limbs_at : limbs_at + 4 * count] = value.to_bytes(4 * count, "little")
        data[header_at : header_at + 20] = struct.pack("<IiiiI", base + limbs_at, count, count, 0, 5)
        limbs_at, header_at = limbs_at + 4 * count + 12, header_at + 28
        if limbs_at + 256 > PAGE - 8 and limbs_at < PAGE:
            limbs_at = 2 * PAGE - 100  # these limbs too
    return bytes(data)


@pytest.mark.parametrize("architecture", ["x86", "x64"])
def test_a_process_of_32_bits_is_searched_by_its_own_layouts(architecture: str, tmp_path: Path) -> None:
    base = 0x5655_0000
    data = _heap_of_32_bits(base)
    image = TableImage()
    root = image.root()
    for page in range(PAGES):
        frame = FIRST + 2 * (PAGES - page)
        image.write(frame * PAGE, data[page * PAGE : (page + 1) * PAGE])
        image.map(root, base + page * PAGE, frame)
    with image.open(tmp_path) as physical:
        page_map = PageMap(physical, [owner(root, architecture=architecture)])
        collector = Collector()
        search_physical(cast("Any", MappedDump(page_map)), Scanner((), GROUP_DETECTORS), collector)
    keys = [finding for finding in collector.findings() if isinstance(finding, PrivateKey)]
    assert [key.key_id for key in keys] == [key_id(rsa_key(2048))] * (architecture == "x86")
    for key in keys:
        assert {(place.process.pid, place.virtual_address) for place in key.locations if place.process} == {
            (8, base + PAGE - 8 + 28)
        }
