from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.kernel.windows.finder import (
    Kernel,
    PdbRecord,
    find_kernels,
    may_have_other_kernel,
    scan_records,
    self_reference,
    top_tables,
)
from dumpscan.synth.physical.containers import CONTAINERS
from support.kernel_images import Lab, build_lab
from support.page_table_images import PAGE, PRESENT, TableImage, open_bytes

if TYPE_CHECKING:
    from pathlib import Path

GUID = bytes(range(16))
RECORD = b"RSDS" + GUID + (7).to_bytes(4, "little") + b"ntkrnlmp.pdb\0"
PDB = PdbRecord("ntkrnlmp.pdb", "0302010005040706" + "08090A0B0C0D0E0F", 7)
KERNEL_BASE = 0xFFFF_F803_1220_0000
KUSER = 0xFFFF_F780_0000_0000
CLOCK = 133_500_000_000_000_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def expected(lab: Lab) -> Kernel:
    pdb = lab.truth["pdb"]
    kernel = find_kernels(lab.physical())[0]
    return Kernel(
        lab.truth["dtb"],
        lab.truth["self_map_index"],
        lab.truth["kernel_base"],
        PdbRecord(pdb["name"], pdb["guid"], pdb["age"]),
        kernel.system_time,
    )


@pytest.mark.parametrize("version", ["7sp1", "1607", "21h2"])
@pytest.mark.parametrize("start_block", ["true", "false"])
def test_a_kernel_is_found(tmp_path: Path, version: str, start_block: str) -> None:
    lab = build_lab(tmp_path, version=f'"{version}"', start_block=start_block, debugger_data=start_block)
    assert find_kernels(lab.physical()) == [expected(lab)]


@pytest.mark.parametrize("container", [name for name in CONTAINERS if name != "raw"])
def test_in_containers_too(tmp_path: Path, container: str) -> None:
    lab = build_lab(tmp_path, container=container)
    assert find_kernels(lab.physical()) == [expected(lab)]


def test_a_processs_table_will_do_where_the_first_is_gone(lab: Lab, tmp_path: Path) -> None:
    changed = lab.changed(tmp_path, {lab.truth["dtb"]: bytes(PAGE)})
    found = find_kernels(changed.physical())
    assert [(kernel.base, kernel.pdb.guid) for kernel in found] == [
        (lab.truth["kernel_base"], lab.truth["pdb"]["guid"])
    ]
    assert found[0].root in {process["dtb"] for process in lab.truth["processes"]}


def test_the_record_is_found_without_a_debug_directory(lab: Lab, tmp_path: Path) -> None:
    # Without PE headers, the record behind the kernel's MZ is looked for.
    header = lab.locate(lab.truth["kernel_base"])
    changed = lab.changed(tmp_path, {header + 2: bytes(PAGE - 2)})
    assert find_kernels(changed.physical()) == [expected(lab)]


def test_no_kernel_in_zeros_noise_and_nothing(tmp_path: Path) -> None:
    noise = bytes((n * n * 31 + n // 7) & 0xFF for n in range(64 * PAGE))
    for data in (bytes(64 * PAGE), noise, b"x" * 5000, b"x"):
        image = open_bytes(tmp_path, data)
        assert find_kernels(image) == []
        assert scan_records(image) == []
        assert not may_have_other_kernel(image)


# --- By hand ----------------------------------------------------------------------------------------------------------


class Machine:
    """Page tables and kernels by hand."""

    def __init__(self) -> None:
        self.memory = TableImage(0x400)

    def boot(
        self, root: int, base: int = KERNEL_BASE, *, index: int = 0x1ED, clock: int = CLOCK, record: bytes = RECORD
    ) -> None:
        """Make the tables of a system, whose top-level table is at a given frame."""
        memory = self.memory
        memory.raw(root, index << 39, root << 12 | PRESENT, level=4)
        shared, image = memory.new_frame(), memory.new_frame()
        memory.map(root, KUSER, shared)
        memory.write(shared * PAGE + 0x26C, struct.pack("<I", 10))
        memory.write(shared * PAGE + 0x14, struct.pack("<Q", clock))
        memory.map(root, base, image)
        memory.write(image * PAGE, b"MZ")
        behind = memory.new_frame()
        memory.map(root, base + 3 * PAGE, behind)
        memory.write(behind * PAGE + 0x123, record)

    def open(self, directory: Path):  # noqa: ANN201 - a PhysicalImage
        return self.memory.open(directory)


def test_a_guid_is_written_as_symbol_servers_have_it(tmp_path: Path) -> None:
    machine = Machine()
    machine.boot(0x180)
    assert find_kernels(machine.open(tmp_path)) == [Kernel(0x180000, 0x1ED, KERNEL_BASE, PDB, CLOCK)]
    assert PDB.server_path == f"ntkrnlmp.pdb/{PDB.guid}7/ntkrnlmp.pdb"
    assert PDB.table_name == f"{PDB.guid}-7"
    assert PdbRecord("a.pdb", "0" * 32, 0x2A).server_path == f"a.pdb/{'0' * 32}2A/a.pdb"


@pytest.mark.parametrize("older_first", [True, False])
def test_of_two_kernels_the_one_whose_clock_is_later_comes_first(tmp_path: Path, *, older_first: bool) -> None:
    machine = Machine()
    other = RECORD.replace(GUID, bytes(16))
    machine.boot(0x180, clock=CLOCK - older_first)
    machine.boot(0x190, 0xFFFF_F801_0000_0000, index=0x1AA, clock=CLOCK - (not older_first), record=other)
    found = find_kernels(machine.open(tmp_path))
    assert [kernel.root for kernel in found] == ([0x190000, 0x180000] if older_first else [0x180000, 0x190000])
    assert [kernel.self_index for kernel in found] == ([0x1AA, 0x1ED] if older_first else [0x1ED, 0x1AA])


def test_a_kernel_outside_of_the_usual_part_of_the_address_space(tmp_path: Path) -> None:
    machine = Machine()
    machine.boot(0x180, 0xFFFF_9000_0000_0000)
    assert [kernel.base for kernel in find_kernels(machine.open(tmp_path))] == [0xFFFF_9000_0000_0000]


def test_a_record_of_a_driver_is_not_the_kernels(tmp_path: Path) -> None:
    machine = Machine()
    machine.boot(0x180, record=RECORD.replace(b"ntkrnlmp", b"ntfsxxxx"))
    assert find_kernels(machine.open(tmp_path)) == []


def test_page_tables_without_kuser_shared_data_are_not_believed(tmp_path: Path) -> None:
    machine = Machine()
    machine.boot(0x180)
    machine.memory.raw(0x180, KUSER, 0)
    assert find_kernels(machine.open(tmp_path)) == []


def test_tables_that_point_to_themselves(tmp_path: Path) -> None:
    memory = TableImage()
    once, twice, large, low, absent = 0x20, 0x21, 0x22, 0x23, 0x24
    for root in (once, twice, large):
        memory.raw(root, 0x1ED << 39, root << 12 | PRESENT, level=4)
    memory.raw(twice, 0x1EE << 39, twice << 12 | PRESENT, level=4)
    memory.raw(large, 0, 0x10 << 12 | PRESENT | 0x80, level=4)
    memory.raw(low, 5 << 39, low << 12 | PRESENT, level=4)
    memory.raw(absent, 0x1ED << 39, absent << 12, level=4)
    memory.raw(0x25, 0x1FF << 39, 0x25 << 12 | PRESENT, level=4)  # the last entry is never it
    image = memory.open(tmp_path)
    assert [(top.frame, top.index) for top in top_tables(image, 0, None)] == [(once, 0x1ED)]
    assert list(top_tables(image, 0, once)) == []
    assert list(top_tables(image, once + 1, None)) == []
    assert self_reference(image, once) == 0x1ED
    assert self_reference(image, twice) is None


def test_records_are_found_without_any_tables(tmp_path: Path) -> None:
    other = RECORD.replace(GUID, bytes(16)).replace(b"ntkrnlmp", b"ntoskrnl")
    data = bytes(0x3FF0) + RECORD + bytes(100) + RECORD + other + b"RSDS" + bytes(50)
    assert scan_records(open_bytes(tmp_path, data)) == [PDB, PdbRecord("ntoskrnl.pdb", "0" * 32, 7)]


def test_a_32_bit_system_is_left_to_volatility(tmp_path: Path) -> None:
    for at, entry in ((0x300 * 4, struct.pack("<I", 0x39 << 12 | 0x63)), (3 * 8, struct.pack("<Q", 0x39 << 12 | 1))):
        memory = TableImage()
        memory.write(0x39 * PAGE + at, entry)
        assert may_have_other_kernel(memory.open(tmp_path))


def test_an_x64_system_without_its_kernel_is_left_to_volatility(tmp_path: Path) -> None:
    machine = Machine()
    machine.boot(0x180, record=b"")
    assert may_have_other_kernel(machine.open(tmp_path))


def test_every_offset_of_the_record_in_its_page(tmp_path: Path, lab: Lab) -> None:
    # Also across a border of pages: it is read through the mapping.
    data = lab.image.read_bytes()
    record = next(re.finditer(rb"RSDS.{20}ntkrnlmp\.pdb\0", data, re.DOTALL))[0]
    base = lab.truth["kernel_base"]
    header = lab.locate(base)
    pages = [lab.locate(base + number * PAGE) for number in (1, 2)]
    for before in (1, 20, len(record) - 1):
        parts = {pages[0] + PAGE - before: record[:before], pages[1]: record[before:]}
        wiped = {match.start(): bytes(4) for match in re.finditer(re.escape(record), data)}
        changed = lab.changed(tmp_path, {**wiped, header + 2: bytes(PAGE - 2), **parts})
        assert [kernel.base for kernel in find_kernels(changed.physical())] == [base]
