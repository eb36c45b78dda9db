"""Processes that the kernel's list does not have are found by their records, and by their page tables."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from dumpscan.cli.app import app
from dumpscan.memory.kernel.windows.unlisted import find_remains
from support.kernel_images import build_lab

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Process
    from support.kernel_images import Lab

HIDDEN, WEB_SERVER, GONE = 6100, 5120, 6000
PAGE = 4096


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


def unlisted(lab: Lab) -> list[Process]:
    with lab.open() as image:
        return [process for process in image.processes() if process.unlisted]


def pool_tag(lab: Lab, pid: int) -> int:
    """Return the physical address of the tag of the pool block that a process's record lies in."""
    record = lab.field(pid, "Pcb")
    data = lab.image.read_bytes()
    return data.rindex(b"Proc", record - 0x200, record)


def without_tag(lab: Lab, directory: Path) -> Lab:
    return lab.changed(directory, {pool_tag(lab, HIDDEN): b"Free"})


def without_record(lab: Lab, directory: Path) -> Lab:
    start = lab.field(HIDDEN, "Pcb")
    size = min(lab.offsets.size("_EPROCESS"), PAGE - start % PAGE)
    return lab.changed(directory, {pool_tag(lab, HIDDEN): bytes(4), start: bytes(size)})


def test_a_hidden_process_is_found_by_its_record(lab: Lab) -> None:
    (process,) = unlisted(lab)
    truth = lab.process(HIDDEN)
    assert (process.pid, process.name, process.parent_pid) == (HIDDEN, "hidden.exe", truth["parent_pid"])
    assert process.command_line == truth["command_line"]


def test_a_record_outside_of_any_known_pool_block_is_found_by_its_page_tables(lab: Lab, tmp_path: Path) -> None:
    changed = without_tag(lab, tmp_path)
    with changed.physical() as image:
        blocks = find_remains(image, lab.truth["self_map_index"]).blocks
    assert len(blocks) < len(lab.truth["processes"])
    assert [process.pid for process in unlisted(changed)] == [HIDDEN]


def test_page_tables_without_any_record_are_kept(lab: Lab, tmp_path: Path) -> None:
    changed = without_record(lab, tmp_path)
    (process,) = unlisted(changed)
    root = lab.process(HIDDEN)["dtb"] >> 12 << 12
    assert process.pid is None
    assert process.notes == (f"known only by its page tables at {root:#x}: no record of it was found",)
    with changed.open() as image:
        owners = [owner for owner in image.page_map().owners if owner.process.unlisted and not owner.kernel]
        assert [owner.root for owner in owners] == [root >> 12]


def test_its_memory_is_known_to_be_its_own(lab: Lab) -> None:
    with lab.open() as image:
        page_map = image.page_map()
        (owner,) = [number for number, each in enumerate(page_map.owners) if each.process.pid == HIDDEN]
        (entry,) = [entry for entry in image.known if entry.process.pid == HIDDEN]
        assert page_map.frame(owner, entry.user_block >> 12) >= 0


def test_it_is_chosen_by_id_and_by_name(lab: Lab) -> None:
    with lab.open() as image:
        assert [process.pid for process in image.processes(pids=[HIDDEN])] == [HIDDEN]
        assert [process.pid for process in image.processes(names=["HIDDEN*"])] == [HIDDEN]


def test_a_whole_list_that_was_emptied_comes_back(lab: Lab, tmp_path: Path) -> None:
    head = lab.truth["kernel_base"] + lab.offsets.rva("PsActiveProcessHead")
    changed = lab.changed(tmp_path, {lab.locate(head): struct.pack("<QQ", head, head)})
    found = {process.pid for process in unlisted(changed)}
    assert found == {process["pid"] for process in lab.truth["processes"]}


def test_a_process_that_has_ended_may_be_in_no_list(lab: Lab, tmp_path: Path) -> None:
    """Taken out of the list as a process is that nobody holds a handle of, with its record not yet used again."""
    links = lab.offsets.offset("_EPROCESS", "ActiveProcessLinks")
    own = lab.process(GONE)["eprocess"] + links
    data = lab.image.read_bytes()
    following, before = struct.unpack_from("<QQ", data, lab.locate(own))
    changes = {lab.locate(before): struct.pack("<Q", following), lab.locate(following + 8): struct.pack("<Q", before)}
    found = unlisted(lab.changed(tmp_path, changes))
    assert [(process.pid, process.exited is not None) for process in found] == [(GONE, True), (HIDDEN, False)]


def test_what_only_looks_like_a_record_is_none(lab: Lab, tmp_path: Path) -> None:
    for number, (field, value) in enumerate(
        {
            "UniqueProcessId": struct.pack("<Q", 6101),
            "ImageFileName": b"\x01\x02\x03\0",
            "CreateTime": bytes(8),
            "Pcb.Header": b"\x05",
        }.items()
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        found = unlisted(lab.changed(directory, {lab.field(HIDDEN, field): value}))
        assert [process.pid for process in found] == [None], field


def test_tables_of_a_kernel_that_is_gone_are_left_out(lab: Lab, tmp_path: Path) -> None:
    """A table of an earlier boot points to itself, too, and leads elsewhere."""
    with lab.physical() as image:
        free = next(frame for frame in range(image.frames - 1, 0, -1) if not image.read(frame << 12, PAGE).strip(b"\0"))
    table = np.zeros(512, "<u8")
    table[lab.truth["self_map_index"]] = free << 12 | 0x63
    table[0] = 0x63 | 1 << 12
    changed = lab.changed(tmp_path, {free << 12: table.tobytes()})
    with changed.physical() as image:
        assert free in find_remains(image, lab.truth["self_map_index"]).tables
    assert [process.pid for process in unlisted(changed)] == [HIDDEN]


def test_pslist_says_so(lab: Lab) -> None:
    done = CliRunner().invoke(app, ["kernel", "pslist", str(lab.image), "--symbols", str(lab.symbols)])
    (line,) = [line for line in done.stdout.splitlines() if "hidden.exe" in line]
    assert line.endswith("not in the process list")
