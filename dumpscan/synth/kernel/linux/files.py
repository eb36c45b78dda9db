"""Files of the synthetic kernel: mounts, directory entries, inodes, and pages in the page cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dumpscan.exceptions import ScenarioError
from dumpscan.model.windows.c_paging import PAGE_SHIFT, PAGE_SIZE
from dumpscan.synth.alignment import page_count
from dumpscan.synth.kernel.linux.scenario import ROOT
from dumpscan.synth.kernel.linux.space import offset_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.synth.kernel.linux.scenario import MountSpec
    from dumpscan.synth.kernel.linux.space import KernelSpace

_REGULAR, _DIRECTORY = 0o100644, 0o040755
_FIRST_INODE = 2
_HASHED = 0x1000
"""Any address: whether a directory entry is hashed is all that a reader may ask."""


@dataclass(slots=True)
class _Mount:
    """A mounted file system, and the directory entries in it by their paths."""

    spec: MountSpec
    address: int
    block: int
    entries: dict[str, int] = field(default_factory=dict)

    @property
    def vfsmount(self) -> int:
        return self.address + offset_of("mount.mnt")


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file in the page cache.

    Attributes:
        path: Its path.
        number: Number of its inode.
        filesystem: The file system and the device, as a reader tells them: `ext4 on vda1`.
        mapping: Address of its `address_space`.
        frames: Of its pages, in their order.
    """

    path: str
    number: int
    filesystem: str
    mapping: int
    frames: tuple[int, ...]


class FileSystems:
    """The mounted file systems.

    Args:
        space: The kernel's memory.
        mounts: What is mounted, the root first.
        namespace: Address of the mount namespace.
    """

    def __init__(self, space: KernelSpace, mounts: Sequence[MountSpec], namespace: int) -> None:
        self._space = space
        self._namespace = namespace
        self._next_inode = _FIRST_INODE
        self._mounts: list[_Mount] = []
        for spec in mounts:
            self._mount(spec)

    def _mount(self, spec: MountSpec) -> None:
        space = self._space
        kind = space.make("file_system_type", {"name": space.text(spec.type)})
        block = space.make("super_block", {"s_type": kind, "s_id": spec.device.encode()})
        mount = _Mount(spec, space.make("mount", {"mnt_ns": self._namespace, "mnt.mnt_sb": block}), block)
        inode = self._inode(mount, _DIRECTORY)
        root = space.make("dentry", {"d_name.name": space.text("/"), "d_name.len": 1, "d_inode": inode, "d_sb": block})
        space.put(root, "dentry", {"d_parent": root})
        mount.entries[ROOT] = root
        space.put(block, "super_block", {"s_root": root})
        space.link(block + offset_of("super_block.s_mounts"), [mount.address + offset_of("mount.mnt_instance")])
        where, parent = root, mount
        if self._mounts:
            parent = self._holder(spec.path)
            where = self._entry(parent, spec.path, _DIRECTORY)
        above = {"mnt_parent": parent.address, "mnt_mountpoint": where, "mnt.mnt_root": root}
        space.put(mount.address, "mount", above)
        self._mounts.append(mount)

    def _holder(self, path: str) -> _Mount:
        """Return the mount with the longest path above a path."""
        fitting = [each for each in self._mounts if path.startswith(each.spec.path.rstrip("/") + "/")]
        return max(fitting, key=lambda each: len(each.spec.path))

    def _inode(self, mount: _Mount, mode: int, size: int = 0) -> int:
        space = self._space
        values = {"i_mode": mode, "i_sb": mount.block, "i_ino": self._next_inode, "i_nlink": 1, "i_size": size}
        inode = space.make("inode", values)
        self._next_inode += 1
        mapping = inode + offset_of("inode.i_data")
        space.put(inode, "inode", {"i_mapping": mapping})
        space.put(mapping, "address_space", {"host": inode, "nrpages": page_count(size)})
        return inode

    def _entry(self, mount: _Mount, path: str, mode: int, size: int = 0, *, hashed: bool = True) -> int:
        """Return the directory entry of a path, and make it and those above if there are none."""
        inside = path.removeprefix(mount.spec.path.rstrip("/")) or ROOT
        known = mount.entries.get(inside)
        if known is not None:
            return known
        above, _, name = path.rpartition("/")
        parent = mount.entries[ROOT] if inside == ROOT else self._entry(mount, above or ROOT, _DIRECTORY)
        space = self._space
        inode = self._inode(mount, mode, size)
        values = {
            "d_parent": parent,
            "d_name.name": space.text(name),
            "d_name.len": len(name.encode()),
            "d_inode": inode,
            "d_sb": mount.block,
            "d_hash.pprev": _HASHED if hashed else 0,
        }
        entry = mount.entries[inside] = space.make("dentry", values)
        space.put(inode, "inode", {"i_dentry.first": entry + offset_of("dentry.d_u")})
        return entry

    # --- Files -------------------------------------------------------------------------------------------------------

    def open(self, path: str) -> int:
        """Return the address of a `struct file` for a path; the file is made if it is not there."""
        mount = self._holder(path)
        entry = self._entry(mount, path, _REGULAR, PAGE_SIZE)
        return self._space.make("file", {"f_path.mnt": mount.vfsmount, "f_path.dentry": entry})

    def cache(self, path: str, content: bytes, *, deleted: bool = False) -> CachedFile:
        """Make a file whose content is in the page cache.

        Args:
            path: Its path.
            content: All of it.
            deleted: Whether it has been removed, so that no directory holds it any more.

        Raises:
            ScenarioError: There is such a file already, or the image is too small.
        """
        mount, space = self._holder(path), self._space
        if path.removeprefix(mount.spec.path.rstrip("/")) in mount.entries:
            raise ScenarioError(f"{path}: there is a file or directory of this name already")
        entry = self._entry(mount, path, _REGULAR, len(content), hashed=not deleted)
        inode = self._number(entry, "dentry.d_inode")
        frames = [space.take_frame() for _ in range(page_count(len(content)))]
        for number, frame in enumerate(frames):
            space.memory.write(frame << PAGE_SHIFT, content[number * PAGE_SIZE : (number + 1) * PAGE_SIZE])
        return CachedFile(
            path,
            self._number(inode, "inode.i_ino"),
            f"{mount.spec.type} on {mount.spec.device}",
            inode + offset_of("inode.i_data"),
            tuple(frames),
        )

    def _number(self, address: int, path: str) -> int:
        at = self._space.physical(address + offset_of(path))
        return int.from_bytes(self._space.memory.read(at, 8), "little")
