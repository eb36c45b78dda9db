"""Virtual address descriptors: the tree in which Windows describes the address ranges of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.model.windows.c_paging import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.synth.kernel.space import KernelSpace
    from dumpscan.synth.windows.symbols import Values

PROTECTION_INDEX = {0x01: 0, 0x02: 1, 0x10: 2, 0x20: 3, 0x04: 4, 0x08: 5, 0x40: 6, 0x80: 7}
"""The five protection bits of each PAGE_* constant: its position in `c_kernel.PROTECT_TO_VALUE`."""
_IMAGE_MAP = 2
"""`VadImageMap` of `MI_VAD_TYPE`."""
_LONG_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRange:
    """A range of virtual addresses.

    Attributes:
        start: First address, page-aligned.
        size: Bytes, whole pages.
        protect: PAGE_* constant.
        private: Whether the memory belongs to the process alone.
        image: Whether the range maps a PE image.
        file: Path of the mapped file, without its drive.
        committed: Pages charged to the process.
    """

    start: int
    size: int
    protect: int
    private: bool = True
    image: bool = False
    file: str | None = None
    committed: int = 0

    @property
    def end(self) -> int:
        """Address past the last byte."""
        return self.start + self.size

    @property
    def tag(self) -> bytes:
        """Pool tag of the descriptor, which is a short one for private memory, else a full one."""
        return b"VadS" if self.private else b"Vad "

    @property
    def structure(self) -> str:
        """Name of the descriptor's structure."""
        return "_MMVAD_SHORT" if self.private else "_MMVAD"


class FileObjects:
    """The file objects and sections of mapped files. Each is made once."""

    def __init__(self, kernel: KernelSpace) -> None:
        self._kernel = kernel
        self._objects: dict[str, int] = {}
        self._subsections: dict[str, int] = {}

    def file_object(self, path: str) -> int:
        r"""Return the address of a `_FILE_OBJECT` for a path such as `\\Windows\\System32\\ntdll.dll`."""
        if path not in self._objects:
            values = {"Type": 5, "Size": 0xD8, "ReadAccess": 1, "SharedRead": 1, **self._kernel.text("FileName", path)}
            self._objects[path] = self._kernel.structure(b"File", "_FILE_OBJECT", values)
        return self._objects[path]

    def subsection(self, path: str) -> int:
        """Return the address of a `_SUBSECTION` of the file's section."""
        if path not in self._subsections:
            file = self.file_object(path)
            area = self._kernel.structure(b"MmCa", "_CONTROL_AREA", {"FilePointer.Value": file | 0xF})
            self._subsections[path] = self._kernel.structure(b"MmSb", "_SUBSECTION", {"ControlArea": area})
        return self._subsections[path]


def write_tree(kernel: KernelSpace, files: FileObjects, ranges: Sequence[AddressRange], owner: int) -> int:
    """Put the descriptors of sorted ranges into the pool as a balanced tree.

    Args:
        kernel: System space.
        files: File objects.
        ranges: The ranges, which do not overlap.
        owner: Parent link of the top node: the address of the tree's root in Windows 7, otherwise 0.

    Returns:
        The address of the top node; 0 if there are no ranges.
    """
    symbols = kernel.symbols
    nodes = [kernel.allocate(entry.tag, symbols.size(entry.structure)) for entry in ranges]

    def write(first: int, last: int, parent: int) -> int:
        if first >= last:
            return 0
        middle = (first + last) // 2
        node = nodes[middle]
        left, right = write(first, middle, node), write(middle + 1, last, node)
        kernel.write(node, _descriptor(kernel, files, ranges[middle], (left, right, parent)))
        return node

    return write(0, len(nodes), owner)


def _descriptor(kernel: KernelSpace, files: FileObjects, entry: AddressRange, links: tuple[int, int, int]) -> bytearray:
    symbols = kernel.symbols
    left, right, parent = links
    structure = entry.structure
    core = "Core." if symbols.has(structure, "Core.StartingVpn") else ""
    first, last = entry.start >> PAGE_SHIFT, (entry.end >> PAGE_SHIFT) - 1
    flags = {
        "Protection": PROTECTION_INDEX[entry.protect],
        "PrivateMemory": int(entry.private),
        "VadType": _IMAGE_MAP if entry.image else 0,
    }
    values: Values = {f"{core}StartingVpn": first, f"{core}EndingVpn": last}
    values.update({f"{core}u.VadFlags.{name}": value for name, value in flags.items()})
    if symbols.has(structure, f"{core}StartingVpnHigh"):
        values[f"{core}StartingVpnHigh"] = first >> _LONG_BITS
        values[f"{core}EndingVpnHigh"] = last >> _LONG_BITS
    if symbols.has(structure, f"{core}VadNode"):  # since Windows 8
        values |= {
            f"{core}VadNode.Left": left,
            f"{core}VadNode.Right": right,
            f"{core}VadNode.ParentValue": parent,
        }
    else:
        values |= {"LeftChild": left, "RightChild": right, "u1.Parent": parent}
    charges = (f"{core}u1.VadFlags1.CommitCharge", f"{core}u.VadFlags.CommitCharge")
    values.update({path: entry.committed for path in charges if symbols.has(structure, path)})
    if entry.file is not None and not entry.private:
        values["Subsection"] = files.subsection(entry.file)
    return symbols.build(structure, values)


def set_root(kernel: KernelSpace, files: FileObjects, ranges: Sequence[AddressRange], process: int) -> None:
    """Write the tree of the process object at address `process`, and its `VadRoot`."""
    symbols = kernel.symbols
    root = process + symbols.offset("_EPROCESS", "VadRoot")
    if symbols.has("_EPROCESS", "VadRoot.Root"):
        top = write_tree(kernel, files, ranges, 0)
        kernel.write(root, top.to_bytes(8, "little"))
        return
    top = write_tree(kernel, files, ranges, root)
    values: Values = {
        "BalancedRoot.u1.Parent": root,
        "BalancedRoot.RightChild": top,
        "DepthOfTree": len(ranges).bit_length(),
        "NumberGenericTableElements": len(ranges),
    }
    kernel.write(root, symbols.build("_MM_AVL_TABLE", values))
