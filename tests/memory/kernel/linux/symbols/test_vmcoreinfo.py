"""VMCOREINFO: notes at the beginnings of pages, and what is none."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dumpscan.memory.kernel.linux.symbols.vmcoreinfo import MAX_NOTES, find_notes, parse_note
from support.page_table_images import PAGE, open_bytes

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (
    b"OSRELEASE=6.1.0-test\nBUILD-ID=00ff\nKERNELOFFSET=1c00000\nSYMBOL(swapper_pg_dir)=ffffffff82e10000\n"
    b"NUMBER(phys_base)=-2097152\nNUMBER(pgtable_l5_enabled)=1\nOFFSET(page.mapping)=24\nSIZE(page)=64\nCRASHTIME=1\n"
)


def note(text: bytes = TEXT, *, name: int = 11, kind: int = 0) -> bytes:
    return (struct.pack("<III", name, len(text), kind) + b"VMCOREINFO\0\0" + text).ljust(PAGE, b"\0")


def test_a_note_is_read(tmp_path: Path) -> None:
    (found,) = find_notes(open_bytes(tmp_path, bytes(PAGE) + note() + bytes(PAGE)))
    assert (found.address, found.release, found.build_id, found.shift) == (PAGE, "6.1.0-test", "00ff", 0x1C00000)
    assert found.symbols == {"swapper_pg_dir": 0xFFFF_FFFF_82E1_0000}
    assert found.numbers == {"phys_base": (1 << 64) - (2 << 20), "pgtable_l5_enabled": 1}
    assert (found.offsets, found.sizes) == ({"page.mapping": 24}, {"page": 64})


def test_what_is_no_note(tmp_path: Path) -> None:
    others = [note(name=12), note(kind=1), note(b"SYMBOL(a)=1\n"), bytes(8) + note()[:-8], TEXT.ljust(PAGE, b"\0")]
    assert not list(find_notes(open_bytes(tmp_path, b"".join(others))))


def test_values_that_make_no_sense_are_left_out() -> None:
    found = parse_note(
        b"OSRELEASE=x\nKERNELOFFSET=zz\nNUMBER(a)=" + b"9" * 5000 + b"\nNUMBER(b)=b\nSYMBOL()=1\nno line", 0
    )
    assert found is not None
    assert (found.shift, found.numbers, found.symbols) == (0, {}, {})


def test_no_more_notes_than_can_matter(tmp_path: Path) -> None:
    assert len(list(find_notes(open_bytes(tmp_path, note() * (MAX_NOTES + 9))))) == MAX_NOTES
