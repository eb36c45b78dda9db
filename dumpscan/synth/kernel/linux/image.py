"""The synthetic kernel's own image: text, its tables of symbols and types, variables, and the top page table.

Source: docs/memory-layouts.md, "Linux kernel images".
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from dumpscan.model.linux.c_kernel import NOTE_NAME, NOTE_NAME_SIZE
from dumpscan.model.windows.c_paging import PAGE_SIZE
from dumpscan.synth.alignment import align
from dumpscan.synth.kernel.linux.btf import BtfWriter
from dumpscan.synth.kernel.linux.kallsyms import Symbol, write_kallsyms
from dumpscan.synth.kernel.linux.layouts import KERNEL
from dumpscan.synth.kernel.linux.space import IMAGE_SIZE, ROOT_OFFSET
from dumpscan.synth.seeded import SeededBytes

if TYPE_CHECKING:
    from dumpscan.synth.kernel.linux.space import KernelSpace

_TEXT_SIZE = 0x3_0000
_CONSTANTS = 0x4_0000
_DATA = 0x10_0000
_FUNCTIONS = """
startup_64 secondary_startup_64 start_kernel rest_init kernel_init schedule __schedule schedule_timeout
wake_up_process do_fork kernel_clone copy_process do_exit do_group_exit release_task wait_task_zombie
__x64_sys_read __x64_sys_write __x64_sys_open __x64_sys_openat __x64_sys_close __x64_sys_mmap
__x64_sys_mprotect __x64_sys_munmap __x64_sys_execve __x64_sys_exit_group __x64_sys_kill ksys_read ksys_write
vfs_read vfs_write vfs_open do_filp_open path_openat link_path_walk d_lookup d_alloc d_path prepend_path
ext4_file_read_iter ext4_file_write_iter ext4_readpage ext4_iget ext4_lookup shmem_get_folio shmem_fault
filemap_fault filemap_read find_get_entry page_cache_next_miss add_to_swap delete_from_swap_cache
handle_mm_fault do_swap_page do_anonymous_page do_user_addr_fault exc_page_fault mmap_region do_mmap
vm_area_alloc vm_area_free get_mm_cmdline environ_read proc_pid_status proc_pid_cmdline_read tcp_v4_connect
tcp_sendmsg tcp_recvmsg inet_accept inet_bind sock_sendmsg sock_recvmsg unix_stream_sendmsg printk
vprintk_emit panic kmalloc_caches_init kmem_cache_alloc kmem_cache_free __kmalloc kfree __alloc_pages
__free_pages kthread kthread_create_on_node worker_thread process_one_work queue_work_on
"""
_AREAS = "acpi bdev blk cgroup crypto devm ext4 fib fuse input ipv6 kvm nfs pci ring skb tcp usb vma xfs"
_VERBS = (
    "add alloc attach bind check clear commit disable drop enable find flush get init put read remove set sync update"
)
_NOUNS = """
attr batch block buf cache class cpu ctx data dev entry event file group handler head id inode key link list lock map
node page queue ref slot state table task work
"""
"""Words of further names. A table of symbols with few of them is not taken for that of a kernel."""
_PER_CPU = {"fixed_percpu_data": 0x0, "cpu_debug_store": 0x1000, "current_task": 0x1_FB40, "runqueues": 0x2_0A80}
_VARIABLES = {
    "init_task": "task_struct",
    "init_mm": "mm_struct",
    "init_files": "files_struct",
    "init_fs": "fs_struct",
    "init_cred": "cred",
    "init_nsproxy": "nsproxy",
    "init_signals": "signal_struct",
    "init_struct_pid": "pid",
    "init_pid_ns": "pid_namespace",
}
"""Variables, and the structures that they are."""
_NUMBERS = ("page_offset_base", "vmemmap_base", "phys_base", "__pgtable_l5_enabled")
_NOTED_TABLES = ("names", "num_syms", "token_table", "token_index", "offsets", "relative_base")
TIMEKEEPER_OFFSET = 8
"""Of the `timekeeper` in `tk_core`, behind a lock."""
_VARIABLE_ALIGNMENT = 64


class KernelImage:
    """The kernel's image. Nothing is written before `write`, but addresses are known.

    Args:
        space: The kernel's memory.
        release: E.g. `6.1.0-18-synthetic`.
        seed: Chooses the text and the build id.

    Attributes:
        build_id: In hex.
        banner: What `/proc/version` says.
    """

    def __init__(self, space: KernelSpace, release: str, seed: str) -> None:
        self._space = space
        self._release = release
        source = SeededBytes("kernel", seed)
        self._text = source.take(_TEXT_SIZE)
        self.build_id = source.take(20).hex()
        self.banner = (
            f"Linux version {release} (builder@synthetic) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) "
            "#1 SMP PREEMPT_DYNAMIC Synthetic (2024-01-01)\n"
        )
        self._btf = BtfWriter(KERNEL).write()
        self._symbols = self._placed()
        self._addresses = {symbol.name: symbol.address for symbol in self._symbols}
        self._tables = align(self._banner_end + len(self._btf), _VARIABLE_ALIGNMENT)

    # --- Addresses ---------------------------------------------------------------------------------------------------

    def address(self, name: str) -> int:
        """Return the virtual address of a symbol."""
        return self._addresses[name]

    @property
    def _banner_end(self) -> int:
        return align(_CONSTANTS + len(self.banner) + 1, _VARIABLE_ALIGNMENT)

    def _placed(self) -> list[Symbol]:
        """Return all symbols in the order of their addresses."""
        base = self._space.image
        symbols = [Symbol(name, "A", address) for name, address in _PER_CPU.items()]
        symbols += [Symbol("_text", "T", base), Symbol("_stext", "T", base)]
        functions = _FUNCTIONS.split()
        functions += ["_".join(words) for words in product(_AREAS.split(), _VERBS.split(), _NOUNS.split())]
        step = _TEXT_SIZE // (len(functions) + 1)
        symbols += [Symbol(name, "T", base + step * number) for number, name in enumerate(functions, 1)]
        symbols += [Symbol("_etext", "T", base + _TEXT_SIZE), Symbol("linux_banner", "R", base + _CONSTANTS)]
        start = base + self._banner_end
        symbols += [Symbol("__start_BTF", "R", start), Symbol("__stop_BTF", "R", start + len(self._btf))]
        at = base + _DATA
        sizes = {name: KERNEL.structure(kind).size for name, kind in _VARIABLES.items()}
        sizes |= dict.fromkeys(_NUMBERS, 8)
        sizes["tk_core"] = KERNEL.types["tk_core_type"].size
        for name, size in sizes.items():
            symbols.append(Symbol(name, "D", at))
            at = align(at + size, _VARIABLE_ALIGNMENT)
        symbols.append(Symbol("init_top_pgt", "D", base + ROOT_OFFSET))
        symbols.append(Symbol("_end", "B", base + IMAGE_SIZE))
        return symbols

    # --- Writing -----------------------------------------------------------------------------------------------------

    def write(self) -> int:
        """Write text, symbols, types, and the variables that are numbers; return the physical address of the note."""
        space = self._space
        space.write(space.image, self._text)
        space.write(self.address("linux_banner"), self.banner.encode())
        space.write(self.address("__start_BTF"), self._btf)
        kallsyms = write_kallsyms(self._symbols, space.image)
        at = space.image + self._tables
        space.write(at, kallsyms.data)
        values = (space.direct, space.pages, space.phys_base, 0)
        for name, value in zip(_NUMBERS, values, strict=True):
            space.write(self.address(name), (value % (1 << 64)).to_bytes(8, "little"))
        return self._write_note({name: at + place for name, place in kallsyms.places.items()})

    def _write_note(self, tables: dict[str, int]) -> int:
        text = "\n".join([*self._note_lines(tables), ""]).encode()
        header = b"".join(number.to_bytes(4, "little") for number in (NOTE_NAME_SIZE, len(text), 0))
        note = header + NOTE_NAME + text
        assert len(note) <= PAGE_SIZE  # noqa: S101 - the lines are ours
        frame = self._space.take_frame()
        self._space.slabs.append(frame)
        address = self._space.frame_address(frame)
        self._space.write(address, note)
        return self._space.physical(address)

    def _note_lines(self, tables: dict[str, int]) -> list[str]:
        flags = KERNEL.types["pageflags"].values  # type: ignore[union-attr] # it is an enumeration
        page = {
            member: KERNEL.member(f"page.{member}").offset
            for member in ("flags", "_refcount", "mapping", "lru", "_mapcount", "private", "compound_head")
        }
        symbols = {
            "swapper_pg_dir": self.address("init_top_pgt"),
            "_stext": self.address("_stext"),
            **{f"kallsyms_{name}": tables[name] for name in _NOTED_TABLES},
            "init_top_pgt": self.address("init_top_pgt"),
        }
        numbers = {
            **{name: flags[name] for name in ("PG_lru", "PG_private", "PG_swapcache", "PG_swapbacked", "PG_slab")},
            "PAGE_BUDDY_MAPCOUNT_VALUE": -129,
            "phys_base": self._space.phys_base,
            "pgtable_l5_enabled": 0,
            "KERNEL_IMAGE_SIZE": 1 << 30,
            "sme_mask": 0,
        }
        return [
            f"OSRELEASE={self._release}",
            f"BUILD-ID={self.build_id}",
            f"PAGESIZE={PAGE_SIZE}",
            *(f"SYMBOL({name})={address:x}" for name, address in symbols.items()),
            f"SIZE(page)={KERNEL.structure('page').size}",
            *(f"OFFSET(page.{name})={offset}" for name, offset in page.items()),
            *(f"NUMBER({name})={number}" for name, number in numbers.items()),
            f"KERNELOFFSET={self._space.shift:x}",
        ]
