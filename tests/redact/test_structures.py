"""Bytes of damaged dumps that are in no structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dumpscan import open_dump
from dumpscan.redact.run import RedactOptions, examine, redact
from dumpscan.redact.structures import unknown_places
from support.core_bytes import sample_core
from support.corpus import SAMPLES, corpus_dumps
from support.minidump_bytes import MinidumpBytes, kind

if TYPE_CHECKING:
    from pathlib import Path

LOST = b"nobody knows what this is"


def minidump(path: Path, *, damaged: bool) -> Path:
    dump = MinidumpBytes()
    dump.system()
    dump.memory((0x10000, b"some memory"))
    dump.add(LOST)
    dump.modules((0x4000, 0x1000, "app"))
    if damaged:
        dump.entry(kind("ThreadList"), 1000, 1 << 30)
    path.write_bytes(dump.finish())
    return path


def test_they_go_if_the_dump_is_damaged(tmp_path: Path) -> None:
    source, target = minidump(tmp_path / "a.dmp", damaged=True), tmp_path / "b.dmp"

    report = redact(source, target, RedactOptions())

    assert LOST not in target.read_bytes()
    assert b"some memory" in target.read_bytes()
    assert (report.unknown, report.unknown_removed) == (len(LOST), True)
    assert f"{len(LOST)} bytes outside all structures were overwritten" in report.problems
    assert examine(source, RedactOptions()).unknown == len(LOST)


def test_they_stay_if_that_is_wanted_or_nothing_is_damaged(tmp_path: Path) -> None:
    damaged, sound = minidump(tmp_path / "a.dmp", damaged=True), minidump(tmp_path / "b.dmp", damaged=False)

    kept = redact(damaged, tmp_path / "c.dmp", RedactOptions(keep_unknown=True))
    padding = redact(sound, tmp_path / "d.dmp", RedactOptions())

    assert LOST in (tmp_path / "c.dmp").read_bytes()
    assert (kept.unknown, kept.unknown_removed) == (len(LOST), False)
    assert LOST in (tmp_path / "d.dmp").read_bytes()
    assert not padding.unknown


def test_a_core_is_known_but_for_what_was_added(tmp_path: Path) -> None:
    source = tmp_path / "a.core"
    source.write_bytes(sample_core() + LOST)

    with open_dump(source) as dump:
        (place,) = unknown_places(dump)
        data = source.read_bytes()

    assert data[place.offset : place.offset + place.length] == LOST


@pytest.mark.parametrize("path", [SAMPLES / "webserver.dmp", *corpus_dumps()], ids=lambda path: path.name)
def test_real_dumps_are_known_nearly_whole(path: Path) -> None:
    with open_dump(path) as dump:
        if dump.damage:
            pytest.skip("the dump is damaged")
        unknown = sum(place.length for place in unknown_places(dump))

    # Breakpad and Crashpad leave records that nothing leads to, of less than a page.
    assert unknown <= 4096
