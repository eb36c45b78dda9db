"""What a kernel says of itself: addresses of its symbols, and offsets in its structures.

Both are read lazily, out of kallsyms and BTF in memory, or out of a symbol table for kernels without BTF. What has been
asked for is remembered, so that the next command on the same image reads neither.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.kernel.linux.symbols.btf import MAX_BTF, Btf, BtfError
from dumpscan.memory.kernel.linux.symbols.kallsyms import Kallsyms, KallsymsError
from dumpscan.model.linux.c_btf import KIND_ENUM, KIND_ENUM64

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.memory.kernel.linux.addresses import KernelMemory
    from dumpscan.memory.kernel.linux.finder import LinuxKernel
    from dumpscan.memory.kernel.linux.symbols.isf import IsfTypes


class MissingTypeError(DumpscanError):
    """A kernel lacks a structure, a member or a symbol that is needed."""


class TypeSource(Protocol):
    """Where types come from."""

    def offset(self, structure: str, member: str) -> int | None:
        """Return the offset of a member in bytes, or None if there is none."""

    def size(self, structure: str) -> int | None:
        """Return the size of a structure in bytes, or None if there is none."""

    def constant(self, enumeration: str, name: str) -> int | None:
        """Return the value of an enumeration's constant, or None if there is none."""


class BtfTypes:
    """Types out of BTF (a `TypeSource`).

    Args:
        btf: The BTF.
    """

    def __init__(self, btf: Btf) -> None:
        self.btf = btf

    def offset(self, structure: str, member: str) -> int | None:
        """Return the offset of a member (see `TypeSource`)."""
        owner = self.btf.structure(structure)
        found = None if owner is None else self.btf.member(owner, member)
        return None if found is None or found.offset % 8 else found.offset // 8

    def size(self, structure: str) -> int | None:
        """Return the size of a structure (see `TypeSource`)."""
        owner = self.btf.structure(structure)
        return None if owner is None else owner.size

    def constant(self, enumeration: str, name: str) -> int | None:
        """Return the value of a constant (see `TypeSource`)."""
        owner = self.btf.find(enumeration, KIND_ENUM, KIND_ENUM64)
        return None if owner is None else dict(self.btf.values(owner)).get(name)


class KernelTypes:
    """The symbols and types of one kernel.

    Args:
        kernel: The kernel.
        memory: Its memory.
        remembered: What was asked for before (see `facts`).
        table: Returns a symbol table, if there is one for this kernel; asked where kallsyms or BTF are not in memory.

    Attributes:
        facts: All answers so far, as plain values.
        learned: Whether there are answers that were not remembered.
    """

    def __init__(
        self,
        kernel: LinuxKernel,
        memory: KernelMemory,
        remembered: dict[str, Any] | None = None,
        table: Callable[[], IsfTypes | None] = lambda: None,
    ) -> None:
        self._kernel = kernel
        self._memory = memory
        self._find_table = table
        self.facts: dict[str, dict[str, int | None]] = {"symbols": {}, "offsets": {}, "sizes": {}, "constants": {}}
        for group, known in (remembered or {}).items():
            if group in self.facts and isinstance(known, dict):
                self.facts[group].update({k: v for k, v in known.items() if v is None or type(v) is int})
        self.learned = False

    @property
    def kallsyms(self) -> Kallsyms:
        """The kernel's table of symbols.

        Raises:
            KallsymsError: It is not there, or makes no sense.
        """
        if isinstance(self._kallsyms, KallsymsError):
            raise self._kallsyms
        return self._kallsyms

    @cached_property
    def _kallsyms(self) -> Kallsyms | KallsymsError:
        tables = self._kernel.tables
        if tables is None:
            return KallsymsError("where the kernel keeps its symbols (kallsyms) is not known")
        try:
            return Kallsyms(self._memory, tables, self._kernel.known)
        except KallsymsError as error:
            return error

    @property
    def btf(self) -> Btf:
        """The kernel's types.

        Raises:
            BtfError: There are none in memory, or they make no sense.
        """
        if isinstance(self._btf, BtfError):
            raise self._btf
        return self._btf

    @cached_property
    def _btf(self) -> Btf | BtfError:
        start, stop = self.symbol("__start_BTF"), self.symbol("__stop_BTF")
        if not start or not stop or not 0 < stop - start <= MAX_BTF:
            return BtfError("the kernel has no BTF")
        data = self._memory.read(start, stop - start)
        if len(data) < stop - start:
            return BtfError(f"the image holds {len(data)} of {stop - start} bytes of the kernel's BTF")
        try:
            return Btf(data)
        except BtfError as error:
            return error

    @cached_property
    def source(self) -> TypeSource:
        """Where the types come from: BTF, or else a symbol table.

        Raises:
            BtfError: There is neither.
        """
        try:
            return BtfTypes(self.btf)
        except BtfError:
            if self.table is None:
                raise
            return self.table

    @cached_property
    def table(self) -> IsfTypes | None:
        """A symbol table for this kernel; None if there is none."""
        return self._find_table()

    def _known(self, group: str, name: str, find: Callable[[], int | None]) -> int | None:
        answers = self.facts[group]
        if name not in answers:
            answers[name] = find()
            self.learned = True
        return answers[name]

    # --- Asking ------------------------------------------------------------------------------------------------------

    def symbol(self, name: str) -> int | None:
        """Return the virtual address of a symbol, or None if there is none."""
        return self._known("symbols", name, lambda: self._find_symbol(name))

    def _find_symbol(self, name: str) -> int | None:
        try:
            return self.kallsyms.address(name)
        except KallsymsError:
            if self.table is None:
                raise
            return self.table.address(name)

    def address(self, name: str) -> int:
        """Return the virtual address of a symbol.

        Raises:
            MissingTypeError: There is none.
        """
        found = self.symbol(name)
        if found is None:
            raise MissingTypeError(f"the kernel has no symbol {name}")
        return found

    def find(self, path: str) -> int | None:
        """Return the offset of a member in bytes, or None if there is none.

        Args:
            path: `structure.member`.
        """
        structure, _, member = path.partition(".")
        return self._known("offsets", path, lambda: self.source.offset(structure, member))

    def offset(self, path: str) -> int:
        """Return the offset of a member in bytes.

        Args:
            path: As for `find`.

        Raises:
            MissingTypeError: There is none.
        """
        found = self.find(path)
        if found is None:
            raise MissingTypeError(f"the kernel has no {path}")
        return found

    def field(self, address: int, path: str, size: int = 8) -> int:
        """Read a member of the structure at an address of the kernel, as an unsigned number.

        Args:
            address: Of the structure.
            path: As for `find`.
            size: Bytes of the member.

        Raises:
            MissingTypeError: There is no such member.
        """
        return self._memory.number(address + self.offset(path), size)

    def size(self, structure: str) -> int | None:
        """Return the size of a structure in bytes, or None if there is none."""
        return self._known("sizes", structure, lambda: self.source.size(structure))

    def constant(self, enumeration: str, name: str) -> int | None:
        """Return the value of an enumeration's constant, or None if there is none."""
        return self._known("constants", f"{enumeration}.{name}", lambda: self.source.constant(enumeration, name))
