"""Which notes stand for a kernel that is there, and what is said of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.kernel.linux.finder import find_kernels, kernel_of
from dumpscan.memory.kernel.linux.symbols.vmcoreinfo import parse_note
from dumpscan.model.linux.c_kernel import START_KERNEL_MAP
from support.page_table_images import PAGE, TableImage

if TYPE_CHECKING:
    from pathlib import Path

TEXT_FRAME, BASE = 0x20, -0x1_0000
STEXT = START_KERNEL_MAP + TEXT_FRAME * PAGE - BASE
NOTE_FRAME = 0x30


def note(root: int, **others: object) -> bytes:
    lines = {
        "OSRELEASE": "6.1.0-test",
        "KERNELOFFSET": "0",
        "SYMBOL(_stext)": f"{STEXT:x}",
        "SYMBOL(swapper_pg_dir)": f"{START_KERNEL_MAP + root * PAGE - BASE:x}",
        "NUMBER(phys_base)": BASE,
        "NUMBER(pgtable_l5_enabled)": 0,
        **others,
    }
    text = "".join(f"{name}={value}\n" for name, value in lines.items() if value is not None).encode()
    return (11).to_bytes(4, "little") + len(text).to_bytes(4, "little") + bytes(4) + b"VMCOREINFO\0\0" + text


def machine(**others: object) -> TableImage:
    """Memory with a top-level table that maps a page of the kernel's text, and a note that says so."""
    memory = TableImage()
    root = memory.root()
    memory.map(root, STEXT, TEXT_FRAME)
    memory.write(NOTE_FRAME * PAGE, note(root, **others))
    return memory


def test_a_note_whose_tables_map_the_kernel(tmp_path: Path) -> None:
    (kernel,), others = find_kernels(machine().open(tmp_path))
    assert not others
    assert (kernel.release, kernel.phys_base, kernel.levels, kernel.tables) == ("6.1.0-test", BASE % (1 << 64), 4, None)


def test_a_note_whose_tables_map_something_else(tmp_path: Path) -> None:
    found, (other,) = find_kernels(machine(**{"NUMBER(phys_base)": BASE + 0x20_0000}).open(tmp_path))
    assert not found
    assert other.release == "6.1.0-test"


@pytest.mark.parametrize(
    "changes",
    [
        {"NUMBER(phys_base)": None},
        {"SYMBOL(_stext)": None},
        {"SYMBOL(swapper_pg_dir)": "1000"},
        {"SYMBOL(_stext)": "ffffffffffffffffffff"},
    ],
)
def test_notes_that_lack_what_is_needed(changes: dict[str, object]) -> None:
    parsed = parse_note(note(1, **changes)[24:], 0)
    assert parsed is not None
    assert kernel_of(parsed) is None or changes == {"SYMBOL(_stext)": "ffffffffffffffffffff"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"NUMBER(phys_base)": None, "NUMBER(kimage_voffset)": 5}, "one for ARM64"),
        ({"NUMBER(phys_base)": None}, "another processor"),
        ({"NUMBER(phys_base)": BASE + 0x20_0000}, "without its page tables"),
    ],
)
def test_why_a_kernel_cannot_be_read(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = tmp_path / "machine.raw"
    path.write_bytes(bytes(machine(**changes).data))
    for _ in range(2):  # found out, and remembered
        with KernelImage(path, cache_dir=tmp_path / "cache") as image:
            assert image.has_kernel()
            with pytest.raises(InputError, match=said):
                image.processes()


def test_a_kernel_without_types_says_where_to_get_them(tmp_path: Path) -> None:
    path = tmp_path / "machine.raw"
    path.write_bytes(bytes(machine().data))
    with KernelImage(path, cache_dir=tmp_path / "cache") as image:
        with pytest.raises(InputError, match="dwarf2json"):
            image.processes()
        (state,) = image.symbols_states()
        assert state.state == "unknown"
        assert "dwarf2json" in (state.problem or "")
