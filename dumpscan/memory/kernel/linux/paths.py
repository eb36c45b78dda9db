"""Paths of files, from the kernel's directory entries and mounts.

Source: Linux `fs/d_path.c`; docs/memory-layouts.md, "Linux kernel images". Every chain is followed for a bounded number
of steps: in a forged image it may be a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dumpscan.memory.records import decode_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.symbols.types import KernelTypes

MAX_DEPTH = 256
"""Directories and mounts above a file. PATH_MAX allows for 2048 names of one letter; nobody has them."""
MAX_NAME = 255
MAX_PATH = 4096
_MAX_MOUNTS = 1024
_MAX_ALIASES = 64


@dataclass(frozen=True, slots=True)
class FileName:
    """What is known of a file.

    Attributes:
        path: Its path as the system's first process sees it; None if no directory holds it any more.
        number: Number of its inode.
        filesystem: Type of its file system, e.g. `ext4`.
        device: Name of the device (or of the file system itself), e.g. `vda`.
        deleted: Whether it was removed, or has never had a name.
    """

    path: str | None
    number: int
    filesystem: str
    device: str
    deleted: bool


class Paths:
    """Names files.

    Args:
        memory: The kernel's memory.
        types: Its types.
    """

    def __init__(self, memory: KernelMemory, types: KernelTypes) -> None:
        self._memory = memory
        self._types = types

    # --- Files that are open ----------------------------------------------------------------------------------------

    def of_file(self, file: int) -> str | None:
        """Return the path of an open file as /proc shows it, from the address of its `struct file`."""
        path = file + self._types.offset("file.f_path")
        entry, mount = self._types.field(path, "path.dentry"), self._types.field(path, "path.mnt")
        if not entry or not mount:
            return None
        found = self._path(entry, mount)
        gone = self._is_removed(entry)
        return None if found is None else found + (" (deleted)" if gone else "")

    def _is_removed(self, entry: int) -> bool:
        """Return whether a directory entry is unhashed and not the root of its file system."""
        hashed = self._memory.number(entry + self._types.offset("dentry.d_hash") + 8)
        return not hashed and self._types.field(entry, "dentry.d_parent") != entry

    def _path(self, entry: int, mount: int | None) -> str | None:
        """Return the path of a directory entry below a mount (address of its `vfsmount`); None if it has no end."""
        names: list[bytes] = []
        for _ in range(MAX_DEPTH):
            root = 0 if mount is None else self._types.field(mount, "vfsmount.mnt_root")
            parent = self._types.field(entry, "dentry.d_parent")
            if entry in {root, parent}:
                above = None if mount is None or entry != root else self._above(mount)
                if above is None:
                    return "/" + decode_utf8(b"/".join(reversed(names)))
                entry, mount = above
                continue
            if not parent:
                return None
            names.append(self._name(entry))
            entry = parent
        return None

    def _above(self, mount: int) -> tuple[int, int] | None:
        """Return where a mount is mounted: the directory entry and the mount that it belongs to; None at the top."""
        own = self._types.offset("mount.mnt")
        parent = self._types.field(mount - own, "mount.mnt_parent")
        if not parent or parent == mount - own:
            return None
        return self._types.field(mount - own, "mount.mnt_mountpoint"), parent + own

    def _name(self, entry: int) -> bytes:
        text = entry + self._types.offset("dentry.d_name")
        size = self._types.field(text, "qstr.len", 4)
        return self._memory.text(self._types.field(text, "qstr.name"), min(size, MAX_NAME))

    # --- Inodes -----------------------------------------------------------------------------------------------------

    def of_inode(self, inode: int) -> FileName:
        """Name the file of an inode, from the inode's address."""
        block = self._types.field(inode, "inode.i_sb")
        entry = next(self._aliases(inode), None)
        path = None if entry is None else self._path(entry, self._mount_of(block))
        return FileName(
            path=path,
            number=self._types.field(inode, "inode.i_ino"),
            filesystem=decode_utf8(
                self._memory.text(
                    self._types.field(self._types.field(block, "super_block.s_type"), "file_system_type.name"), 64
                )
            ),
            device=decode_utf8(self._memory.text(block + self._types.offset("super_block.s_id"), 32)),
            deleted=path is None or (entry is not None and self._is_removed(entry)),
        )

    def _aliases(self, inode: int) -> Iterator[int]:
        """Yield the directory entries of an inode."""
        link = self._types.find("dentry.d_alias")
        if link is None:
            link = self._types.offset("dentry.d_u")
        at = self._types.field(inode, "inode.i_dentry")
        for _ in range(_MAX_ALIASES):
            if not at or self._types.field(at - link, "dentry.d_inode") != inode:
                return
            yield at - link
            at = self._memory.number(at)

    @cached_property
    def _namespace(self) -> int:
        """Address of the mount namespace of the system's first process."""
        tasks = self._types.address("init_task")
        return self._types.field(self._types.field(tasks, "task_struct.nsproxy"), "nsproxy.mnt_ns")

    def _mount_of(self, block: int) -> int | None:
        """Return the `vfsmount` of a file system (its `super_block`) that the first process sees; None if none."""
        own = self._types.offset("mount.mnt")
        for mount in self._mounts(block):
            if self._types.field(mount, "mount.mnt_ns") == self._namespace:
                return mount + own
        return None

    def _mounts(self, block: int) -> Iterator[int]:
        """Yield the mounts of a file system."""
        head = block + self._types.offset("super_block.s_mounts")
        chained = self._types.find("mount.mnt_next_for_sb")
        at = self._memory.number(head)
        for _ in range(_MAX_MOUNTS):
            if not at or at == head:
                return
            if chained is not None:
                yield at
                at = self._memory.number(at + chained)
            else:
                yield at - self._types.offset("mount.mnt_instance")
                at = self._memory.number(at)
