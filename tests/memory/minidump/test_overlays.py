"""Ranges of memory that contradict each other, and what a search finds in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dumpscan.artifacts.registry import X509
from dumpscan.memory.minidump import overlays
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.search.merge import Collector
from dumpscan.search.run import search, search_size
from support.artifact_samples import certificate_der
from support.minidump_bytes import MinidumpBytes

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = (certificate_der(name) for name in ("rsa2048", "secp256r1", "ed25519"))
START = 0x7FF6_0000_0000


def page(data: bytes, at: int = 0x100) -> bytes:
    return (bytes(at) + data).ljust(0x2000, b"\0")


def opened(tmp_path: Path, *ranges: tuple[int, bytes]) -> Minidump:
    made = MinidumpBytes()
    made.system()
    made.memory64(*ranges)
    (tmp_path / "made.dmp").write_bytes(made.finish())
    return Minidump(tmp_path / "made.dmp")


def found(dump: Minidump) -> dict[bytes, list[tuple[int | None, int | None]]]:
    """Search a dump; return each certificate with its addresses and file offsets."""
    collector = Collector()
    passed: list[int] = []
    assert search(dump, X509, collector, progress=passed.append) == ()
    assert sum(passed) == search_size(dump, X509)
    return {
        finding.der: [(place.virtual_address, place.file_offset) for place in finding.locations]  # type: ignore[attr-defined]
        for finding in collector.findings()
    }


def test_both_are_searched(tmp_path: Path) -> None:
    with opened(tmp_path, (START, page(FIRST)), (START, page(SECOND)), (START + 0x4000, page(THIRD))) as dump:
        certificates = found(dump)
        assert {der: [address for address, _ in places] for der, places in certificates.items()} == {
            FIRST: [START + 0x100],
            SECOND: [START + 0x100],
            THIRD: [START + 0x4100],
        }
        for der, places in certificates.items():
            assert [bytes(dump.buffer[offset : offset + len(der)]) for _, offset in places if offset] == [der]
        assert len(dump.warnings) == 1
        assert dump.warnings[0].startswith("different bytes for the same addresses: a range of memory contradicts one")
        assert dump.damage == ()
        assert dump.searchable_bytes == 3 * 0x2000


def test_three_that_contradict_each_other(tmp_path: Path) -> None:
    with opened(tmp_path, *((START, page(der)) for der in (FIRST, SECOND, THIRD))) as dump:
        assert set(found(dump)) == {FIRST, SECOND, THIRD}
        assert "3 ranges of memory contradict those listed before" in dump.warnings[0]


def test_an_object_that_only_a_part_of_which_lies_under_another_range(tmp_path: Path) -> None:
    cover = bytes(0x1000)
    with opened(tmp_path, (START + 0x1000, cover), (START, page(FIRST, 0xF00)), (START + 0x2000, page(SECOND))) as dump:
        assert set(found(dump)) == {FIRST, SECOND}
        (view,) = dump.overlays
        assert view.read(START + 0xF00, len(FIRST)) == FIRST
        assert view.read(START + 0x2100, len(SECOND)) == SECOND
        assert dump.read(START + 0xF00, 0x101) == FIRST[:0x100] + b"\0"
        assert (view.path, view.pointer_size, view.process) == (dump.path, 8, dump.process)
        assert view.module_at(START) is None


def test_an_object_that_both_hold_is_in_one_place(tmp_path: Path) -> None:
    other = page(FIRST)[:-1] + b"x"
    with opened(tmp_path, (START, page(FIRST)), (START, other)) as dump:
        assert {der: len(places) for der, places in found(dump).items()} == {FIRST: 1}
        assert len(dump.overlays) == 1


@pytest.mark.parametrize(
    "ranges",
    [
        ((START, page(FIRST)), (START, page(FIRST))),
        ((START, page(FIRST)), (START + 0x100, FIRST)),
        ((START, page(FIRST)), (START + 0x2000, page(SECOND))),
        (),
    ],
    ids=["twice", "part", "apart", "none"],
)
def test_what_says_the_same_is_not_searched_twice(tmp_path: Path, ranges: tuple[tuple[int, bytes], ...]) -> None:
    with opened(tmp_path, *ranges) as dump:
        assert dump.overlays == ()
        assert dump.warnings == ()
        assert dump.searchable_bytes == dump.captured_bytes


def test_too_many_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = [(START, bytes([number]) * 64) for number in range(8)]
    with opened(tmp_path, *ranges) as dump:
        assert len(dump.overlays) == 4
        assert dump.damage == ("ranges of memory overlap others too often: 3 of them are left out",)
    monkeypatch.setattr(overlays, "_MAX_COMPARED", 2)
    with opened(tmp_path, *ranges) as dump:
        assert len(dump.overlays) == 2
        assert "5 of them are left out" in dump.damage[0]
