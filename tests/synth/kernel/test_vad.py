"""Trees of virtual address descriptors are sorted, balanced and complete in every version of Windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dumpscan.model.windows.c_kernel import PROTECT_TO_VALUE
from dumpscan.synth.kernel.vad import PROTECTION_INDEX, AddressRange, FileObjects, set_root
from dumpscan.synth.windows.profiles import PROFILES
from support.kernel_scenarios import kernel_space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.synth.kernel.space import KernelSpace

FILE = "\\Windows\\System32\\ntdll.dll"


def pointer(kernel: KernelSpace, address: int) -> int:
    return int.from_bytes(kernel.space.read(address, 8), "little")


def walk(kernel: KernelSpace, node: int, parent: int, depth: int = 1) -> Iterator[tuple[int, bytes, int]]:
    """Yield (descriptor, its pool tag, depth) in order; check every link back to the parent."""
    if not node:
        return
    tag = kernel.space.read(node - 12, 4)
    structure = "_MMVAD_SHORT" if tag == b"VadS" else "_MMVAD"
    symbols = kernel.symbols
    modern = symbols.has("_MMVAD_SHORT", "VadNode")
    names = ("LeftChild", "RightChild", "u1.Parent")
    if modern:
        names = ("VadNode.Left", "VadNode.Right", "VadNode.ParentValue")
    prefix = "Core." if modern and structure == "_MMVAD" else ""
    left, right, back = (pointer(kernel, node + symbols.offset(structure, prefix + name)) for name in names)
    assert back == parent
    yield from walk(kernel, left, node, depth + 1)
    yield node, tag, depth
    yield from walk(kernel, right, node, depth + 1)


RANGES = st.lists(st.integers(1, 9), max_size=40).map(
    lambda gaps: [
        AddressRange(
            start=(0x10 + sum(gaps[: index + 1]) * 0x100) << 12,
            size=gap << 12,
            protect=sorted(PROTECTION_INDEX)[gap % 8],
            private=gap % 3 > 0,
            image=gap % 2 == 0,
            file=FILE if gap % 3 == 0 else None,
        )
        for index, gap in enumerate(gaps)
    ]
)


@settings(max_examples=15, deadline=None)
@given(RANGES, st.sampled_from(sorted(PROFILES)))
def test_tree_holds_the_ranges(ranges: list[AddressRange], version: str) -> None:
    with kernel_space(version) as kernel:
        symbols = kernel.symbols
        process = kernel.allocate(b"Proc", symbols.size("_EPROCESS"))
        set_root(kernel, FileObjects(kernel), ranges, process)
        root = process + symbols.offset("_EPROCESS", "VadRoot")
        modern = symbols.has("_EPROCESS", "VadRoot.Root")
        top = pointer(kernel, root if modern else root + symbols.offset("_MM_AVL_TABLE", "BalancedRoot.RightChild"))
        nodes = list(walk(kernel, top, 0 if modern else root))
        assert max((depth for _, _, depth in nodes), default=0) == len(ranges).bit_length()
        found = []
        for node, tag, _ in nodes:
            structure = "_MMVAD_SHORT" if tag == b"VadS" else "_MMVAD"
            data = kernel.space.read(node, symbols.size(structure))
            core = "Core." if symbols.has(structure, "Core.StartingVpn") else ""
            first, last = (symbols.read(data, structure, f"{core}{name}Vpn") for name in ("Starting", "Ending"))
            if symbols.has(structure, f"{core}StartingVpnHigh"):
                first |= symbols.read(data, structure, f"{core}StartingVpnHigh") << 32
                last |= symbols.read(data, structure, f"{core}EndingVpnHigh") << 32
            index = symbols.read(data, structure, f"{core}u.VadFlags.Protection")
            found.append((tag, first << 12, last + 1 << 12, PROTECT_TO_VALUE[index]))
        assert found == [(entry.tag, entry.start, entry.end, entry.protect) for entry in ranges]


@pytest.mark.parametrize("version", PROFILES)
def test_mapped_files_have_one_object(version: str) -> None:
    with kernel_space(version) as kernel:
        files, symbols = FileObjects(kernel), kernel.symbols
        assert files.file_object(FILE) == files.file_object(FILE) != files.file_object("\\other")
        area = pointer(kernel, files.subsection(FILE) + symbols.offset("_SUBSECTION", "ControlArea"))
        reference = pointer(kernel, area + symbols.offset("_CONTROL_AREA", "FilePointer"))
        assert reference & ~0xF == files.file_object(FILE)
        name = files.file_object(FILE) + symbols.offset("_FILE_OBJECT", "FileName")
        length = int.from_bytes(kernel.space.read(name, 2), "little")
        text = pointer(kernel, name + symbols.offset("_UNICODE_STRING", "Buffer"))
        assert kernel.space.read(text, length).decode("utf-16-le") == FILE
