"""Makes a symbol table for volatility3 (ISF) out of the BTF and kallsyms of a Linux kernel in memory.

Format: volatility3's JSON schema 6.2.0, and what its `LinuxKernelIntermedSymbols` asks of a table. Addresses are those
of the kernel without its shift, so that the table of a build is the same for every boot. BTF has no types of variables
(but for those of each processor); `VARIABLES` has those that volatility3's plugins ask for.
"""

from __future__ import annotations

import base64
import json
import string
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dumpscan._version import __version__
from dumpscan.memory.kernel.linux.symbols.btf import BtfError
from dumpscan.model.linux import c_btf
from dumpscan.model.linux.c_btf import KIND_ENUM, KIND_ENUM64, KIND_STRUCT, KIND_UNION
from dumpscan.model.linux.c_kernel import START_OF_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.memory.kernel.linux.symbols.btf import Btf, Member, Type
    from dumpscan.memory.kernel.linux.symbols.kallsyms import Kallsyms

    Table = dict[str, Any]

FORMAT = "6.2.0"
VARIABLES = {
    "init_task": "task_struct",
    "init_files": "files_struct",
    "init_mm": "mm_struct",
    "init_pid_ns": "pid_namespace",
    "init_net": "net",
    "net_namespace_list": "list_head",
    "modules": "list_head",
    "tty_drivers": "list_head",
    "ftrace_mod_maps": "list_head",
    "bpf_kallsyms": "list_head",
    "prog_idr": "idr",
    "iomem_resource": "resource",
    "keyboard_notifier_list": "atomic_notifier_head",
    "super_blocks": "list_head",
    "file_systems": "file_system_type",
    "socket_file_ops": "file_operations",
    "sockfs_dentry_operations": "dentry_operations",
    "mod_tree": "mod_tree_root",
    "wall_to_monotonic": "timespec64",
    "total_sleep_time": "timespec64",
    "timekeeper": "timekeeper",
    "ftrace_list_end": "ftrace_ops",
}
"""Structures that symbols have."""
POINTERS = {
    "prb": "printk_ringbuffer",
    "module_kset": "kset",
    "ftrace_ops_list": "ftrace_ops",
    "mem_map": "page",
}
"""Structures that symbols point to."""
NUMBERS = (
    *("vmemmap_base", "page_offset_base", "vmalloc_base", "phys_base", "module_addr_min", "module_addr_max"),
    *("mem_section", "log_buf"),
)
"""Symbols that are 64-bit numbers, or pointers to what need not be known."""
_SHORT_NUMBERS = ("kallsyms_num_syms", "cap_last_cap", "num_registered_fb", "log_buf_len", "pidhash_shift")
PLAIN = ("linux_banner", "init_top_pgt", "swapper_pg_dir", "_text", "_etext", "_stext", "_end", "idt_table")
"""Symbols whose addresses suffice."""
ROOTS = (
    *("task_struct", "file", "list_head", "hlist_head", "mm_struct", "super_block", "vm_area_struct", "qstr", "dentry"),
    *("fs_struct", "files_struct", "kobject", "cred", "inode", "idr", "address_space", "page", "vfsmount", "net"),
    *("socket", "sock", "inet_sock", "unix_sock", "module", "mount", "mnt_namespace", "maple_tree", "maple_node"),
    *("timespec64", "timekeeper", "pid", "upid", "xarray", "xa_node", "radix_tree_node", "folio", "rb_root"),
    *("maple_alloc", "maple_range_64", "maple_arange_64", "anon_vma", "resource", "kernel_cap_struct"),
    *("kthread", "worker", "workqueue_struct", "signal_struct", "nsproxy", "file_system_type", "path", "tk_data"),
)
"""Structures that volatility3 needs, or its plugins for processes and files look into."""
_BASE: Table = {
    "void": {"size": 0, "kind": "void", "signed": False, "endian": "little"},
    "pointer": {"size": 8, "kind": "int", "signed": False, "endian": "little"},
    "unsigned int": {"size": 4, "kind": "int", "signed": False, "endian": "little"},
    "int": {"size": 4, "kind": "int", "signed": True, "endian": "little"},
    "long unsigned int": {"size": 8, "kind": "int", "signed": False, "endian": "little"},
    "long int": {"size": 8, "kind": "int", "signed": True, "endian": "little"},
    "unsigned char": {"size": 1, "kind": "char", "signed": False, "endian": "little"},
    "char": {"size": 1, "kind": "char", "signed": True, "endian": "little"},
}
_SIGNED, _CHARACTER, _BOOLEAN = 1, 2, 4
"""Bits of an integer's encoding in BTF."""
_ENCODING_SHIFT = 24
_MAX_CHAIN = 64
_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-._+")
_MAX_RELEASE = 64
_VOID = {"kind": "base", "name": "void"}


def table_name(release: str, banner: bytes) -> str:
    """Return the path of a kernel's table in a directory of tables, as volatility3 looks for it."""
    safe = "".join(each if each in _NAME_CHARACTERS else "_" for each in release)[:_MAX_RELEASE].lstrip(".")
    return f"linux/{safe or 'kernel'}-{sha256(banner).hexdigest()[:12]}.json"


class LinuxTable:
    """A symbol table in the making.

    Args:
        btf: The kernel's types.
        kallsyms: Its symbols.
        shift: How far it lies above its linked address, in bytes.
        banner: The bytes of `linux_banner`, with newline and NUL; they identify the kernel to volatility3.
    """

    def __init__(self, btf: Btf, kallsyms: Kallsyms, shift: int, banner: bytes) -> None:
        self._btf = btf
        self._kallsyms = kallsyms
        self._shift = shift
        self._banner = banner
        self._names: dict[int, str] = {}
        self._taken: dict[str, int] = {}
        self._waiting: list[Type] = []
        self._done: set[int] = set()
        self._base: Table = dict(_BASE)
        self._user: Table = {}
        self._enums: Table = {}

    def build(self, *, whole: bool = False) -> bytes:
        """Return the table as JSON.

        Args:
            whole: Whether all types and symbols go in; otherwise what volatility3's plugins for processes, memory maps
                and files need, which is a tenth.

        Raises:
            DumpscanError: BTF or kallsyms contradict themselves.
        """
        for name in ROOTS:
            self._want(name)
        symbols = self._symbols(whole=whole)
        self._follow()
        if whole:
            for each in self._btf.types():
                if each.kind in {KIND_STRUCT, KIND_UNION, KIND_ENUM, KIND_ENUM64}:
                    self._reference(each)
                    self._follow()
        table = {
            "metadata": {"format": FORMAT, "producer": {"name": "dumpscan", "version": __version__}},
            "base_types": self._base,
            "user_types": self._user,
            "enums": self._enums,
            "symbols": symbols,
        }
        return json.dumps(table, separators=(",", ":"), sort_keys=True).encode("ascii")

    # --- Symbols -----------------------------------------------------------------------------------------------------

    def _symbols(self, *, whole: bool) -> Table:
        chosen = dict.fromkeys((*VARIABLES, *POINTERS, *NUMBERS, *_SHORT_NUMBERS, *PLAIN, "tk_core"))
        found: Table = {}
        if whole:
            for symbol in self._kallsyms.symbols():
                found.setdefault(symbol.name, {"address": self._unshifted(symbol.address)})
        else:
            known = {name: self._kallsyms.address(name) for name in chosen}
            found = {name: {"address": self._unshifted(at)} for name, at in known.items() if at is not None}
        for name in chosen:
            kind = self._type_of_variable(name) if name in found else None
            if kind is not None:
                found[name]["type"] = kind
        found.setdefault("linux_banner", {"address": 0})["constant_data"] = base64.b64encode(self._banner).decode()
        found["linux_banner"]["type"] = {
            "kind": "array",
            "count": len(self._banner),
            "subtype": {"kind": "base", "name": "char"},
        }
        return found

    def _unshifted(self, address: int) -> int:
        return address - self._shift if address >= START_OF_IMAGE else address

    def _type_of_variable(self, name: str) -> Table | None:
        if name == "tk_core":
            return self._type_of_timekeeper()
        wanted = VARIABLES.get(name, POINTERS.get(name))
        if wanted is not None:
            kind = self._want(wanted)
            return {"kind": "pointer", "subtype": kind} if kind is not None and name in POINTERS else kind
        if name in NUMBERS:
            return {"kind": "base", "name": "long unsigned int"}
        return {"kind": "base", "name": "unsigned int"} if name in _SHORT_NUMBERS else None

    def _type_of_timekeeper(self) -> Table | None:
        """Return the type of `tk_core`: until 6.12 a structure without a name."""
        if (named := self._want("tk_data")) is not None:
            return named
        keeper = self._btf.structure("timekeeper")
        if keeper is None:
            return None
        for each in self._btf.unnamed(KIND_STRUCT):
            if 0 < each.length <= 2:  # noqa: PLR2004 - a lock before it
                members = list(self._btf.members(each))
                if members[-1].name == "timekeeper" and members[-1].type == keeper.number:
                    return self._reference(each)
        return None

    # --- Types -------------------------------------------------------------------------------------------------------

    def _want(self, name: str) -> Table | None:
        """Add a structure by name; return a reference to it, or None if there is none."""
        found = self._btf.structure(name)
        return None if found is None else self._reference(found)

    def _reference(self, kind: Type) -> Table:
        """Return a reference to a structure, union or enumeration, and see to it that it goes in."""
        name = self._name(kind)
        if kind.number not in self._done:
            self._done.add(kind.number)
            self._waiting.append(kind)
        if kind.kind in {KIND_ENUM, KIND_ENUM64}:
            return {"kind": "enum", "name": name}
        return {"kind": "union" if kind.kind == KIND_UNION else "struct", "name": name}

    def _name(self, kind: Type) -> str:
        """Return the name of a type: its own for the first that has it, else one with its number."""
        if kind.number not in self._names:
            name = kind.name or f"unnamed_{kind.number}"
            if self._taken.setdefault(name, kind.number) != kind.number or not self._is_first(kind):
                name = f"{name}_{kind.number}"
            self._names[kind.number] = name
        return self._names[kind.number]

    def _is_first(self, kind: Type) -> bool:
        """Return whether a structure is the one that its name stands for."""
        if not kind.name or kind.kind not in {KIND_STRUCT, KIND_UNION}:
            return True
        return kind.number in self._btf.firsts

    def _follow(self) -> None:
        """Add the types that were referred to, and those that they refer to."""
        while self._waiting:
            kind = self._waiting.pop()
            if kind.kind in {KIND_ENUM, KIND_ENUM64}:
                self._enums[self._name(kind)] = self._enumeration(kind)
                continue
            self._user[self._name(kind)] = {
                "kind": "union" if kind.kind == KIND_UNION else "struct",
                "size": kind.size,
                "fields": self._fields(self._btf.members(kind)),
            }

    def _fields(self, members: Iterable[Member]) -> Table:
        fields: Table = {}
        for number, member in enumerate(members):
            kind, offset = self._describe(member.type), member.offset // 8
            if member.width:
                offset, kind = self._bit_field(member, kind)
            field = {"type": kind, "offset": offset}
            if not member.name:
                fields[f"unnamed_field_{number}"] = {**field, "anonymous": True}
            else:
                fields[member.name] = field
        return fields

    def _bit_field(self, member: Member, kind: Table) -> tuple[int, Table]:
        """Return the offset of a bit field's container, and its type with the position in it."""
        size = max(self._btf.size(member.type), 1)
        offset = member.offset // 8 // size * size
        described = {
            "kind": "bitfield",
            "bit_position": member.offset - 8 * offset,
            "bit_length": member.width,
            "type": kind,
        }
        return offset, described

    def _enumeration(self, kind: Type) -> Table:
        base = {8: ("long unsigned int", "long int"), 1: ("unsigned char", "char")}
        names = base.get(kind.size, ("unsigned int", "int"))
        return {"size": kind.size, "base": names[kind.flag], "constants": dict(self._btf.values(kind))}

    def _describe(self, number: int) -> Table:
        """Return the description of a type by its number, and see to it that what it refers to goes in."""
        outer: list[Table] = []
        for _ in range(_MAX_CHAIN):
            kind = self._btf.resolved(number)
            if kind.kind == c_btf.KIND_PTR:
                outer.append({"kind": "pointer"})
                number = kind.size
            elif kind.kind == c_btf.KIND_ARRAY:
                number, count = self._btf.array(kind)
                outer.append({"kind": "array", "count": count})
            else:
                described = self._plain(kind)
                for each in reversed(outer):
                    described = {**each, "subtype": described}
                return described
        raise BtfError(f"type {number} of BTF has no end")

    def _plain(self, kind: Type) -> Table:
        """Return the description of a type that is neither a pointer nor an array."""
        match kind.kind:
            case 0:
                return _VOID
            case c_btf.KIND_FUNC | c_btf.KIND_FUNC_PROTO:
                return {"kind": "function"}
            case c_btf.KIND_INT | c_btf.KIND_FLOAT:
                return self._number(kind)
            case c_btf.KIND_FWD:
                return self._forward(kind)
            case c_btf.KIND_STRUCT | c_btf.KIND_UNION | c_btf.KIND_ENUM | c_btf.KIND_ENUM64:
                return self._reference(kind)
            case _:
                return _VOID

    def _number(self, kind: Type) -> Table:
        name = kind.name or f"int{kind.size * 8}"
        encoding = self._btf.word(kind) >> _ENCODING_SHIFT if kind.kind == c_btf.KIND_INT else 0
        form = "bool" if encoding & _BOOLEAN else "char" if encoding & _CHARACTER or kind.size == 1 else "int"
        self._base.setdefault(
            name,
            {
                "size": kind.size,
                "kind": "float" if kind.kind == c_btf.KIND_FLOAT else form,
                "signed": bool(encoding & _SIGNED) or kind.kind == c_btf.KIND_FLOAT,
                "endian": "little",
            },
        )
        return {"kind": "base", "name": name}

    def _forward(self, kind: Type) -> Table:
        """Return the structure that a forward declaration stands for, or an empty one of that name."""
        found = self._btf.structure(kind.name)
        if found is not None:
            return self._reference(found)
        form = "union" if kind.flag else "struct"
        self._user.setdefault(kind.name or f"unnamed_{kind.number}", {"kind": form, "size": 0, "fields": {}})
        return {"kind": form, "name": kind.name or f"unnamed_{kind.number}"}
