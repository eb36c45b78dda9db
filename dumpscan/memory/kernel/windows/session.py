"""A volatility3 session over an image: a context with layers, symbol table and kernel module.

They are put together here, because volatility3's automagic would search the image for what is known already. Its
plugins see no difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from dumpscan.exceptions import InputError
from dumpscan.memory import volatility
from dumpscan.memory.kernel.windows.finder import Kernel, self_reference
from dumpscan.memory.symbols.pdb import PdbRecord
from dumpscan.model.windows.c_paging import PAGE_SHIFT, canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dumpscan.memory.physical.image import PhysicalImage
    from dumpscan.memory.volatility import Volatility

ADDRESS_MASK = (1 << 48) - 1
"""volatility3 stores x64 addresses without their sign extension."""

_MODULE = "kernel"


class KernelSession:
    """A context with a kernel module.

    Args:
        context: volatility3's context.
        module: Name of the kernel module in it.

    Attributes:
        context: As given.
        module: The kernel module.
    """

    def __init__(self, context: Volatility, module: str) -> None:
        self.context = context
        self.module_name = module
        self.module = context.modules[module]

    @classmethod
    def build(cls, image: PhysicalImage, kernel: Kernel, table: Path) -> KernelSession:
        """Make a session from what was found.

        Args:
            image: Physical memory.
            kernel: The kernel.
            table: File of its symbol table.

        Raises:
            Exception: Anything; volatility3 raises all kinds of errors if the file is not a symbol table.
        """
        contexts = volatility.module("framework.contexts")
        context = contexts.Context()
        _add_memory(context, image)
        layer = _add_translation(context, kernel)
        symbols = volatility.module("framework.symbols.windows").WindowsKernelIntermedSymbols
        name = context.symbol_space.free_table_name("kernel_symbols")
        # Validating the schema costs as much as all the rest, and a file that is not a table shows soon enough.
        url = table.absolute().as_uri()
        context.symbol_space.append(symbols(context, "dumpscan.symbols", name, isf_url=url, validate=False))
        base = kernel.base & ADDRESS_MASK
        module = contexts.Module.create(context, _MODULE, layer.name, base, symbol_table_name=name)
        return cls(context, module.name)

    @property
    def table(self) -> str:
        """Location of the symbol table, as a URL."""
        return str(self.context.symbol_space[self.module.symbol_table_name].config["isf_url"])

    def plugin(self, name: str, plugin_class: str) -> Volatility:
        """Make a plugin for this kernel.

        Args:
            name: Module below `volatility3.plugins`, e.g. `windows.pslist`.
            plugin_class: Name of the class in it.
        """
        made = getattr(volatility.module(f"plugins.{name}"), plugin_class)
        path = f"dumpscan.plugins.{plugin_class}"
        self.context.config[f"{path}.kernel"] = self.module_name
        return made(self.context, path)

    def rows(self, plugin: Volatility) -> Iterator[tuple[object, ...]]:
        """Run a plugin and yield its rows as they come, without their indentation."""
        # A tree grid collects all rows before it returns any; an endless list of processes would fill the memory.
        for _, row in plugin.run()._generator:  # noqa: SLF001 - see above
            yield tuple(row)

    def structure(self, name: str, address: int) -> Volatility:
        """Return the structure at a virtual address of the kernel, as volatility3 has it."""
        kind = f"{self.module.symbol_table_name}!{name}"
        return self.context.object(kind, layer_name=self.module.layer_name, offset=address)

    def offset(self, structure: str, field: str) -> int:
        """Return the offset of a field in a structure, in bytes."""
        kind = self.context.symbol_space.get_type(f"{self.module.symbol_table_name}!{structure}")
        return int(kind.relative_child_offset(field))

    def has(self, structure: str, field: str) -> bool:
        """Return whether the symbol table has a field."""
        name = f"{self.module.symbol_table_name}!{structure}"
        return bool(
            self.context.symbol_space.has_type(name) and self.context.symbol_space.get_type(name).has_member(field)
        )

    def number(self, address: int) -> int | None:
        """Read a pointer-sized number at a virtual address of the kernel; return None if it is absent."""
        data = self.bytes(address, 4 if self.is_32bit else 8)
        return int.from_bytes(data, "little") if data else None

    def bytes(self, address: int, size: int) -> bytes:
        """Read bytes at a virtual address of the kernel; return b"" if any is absent."""
        absent = volatility.module("framework.exceptions").InvalidAddressException
        try:
            return bytes(self.context.layers.read(self.module.layer_name, address, size))
        except absent:
            return b""

    def has_processes(self) -> bool:
        """Return whether the list of processes begins sensibly: its first entry points back to its head."""
        head = self.symbol("PsActiveProcessHead")
        first = self.number(head) if head is not None else None
        if not first or head is None:
            return False
        back = self.number((first & ADDRESS_MASK) + (4 if self.is_32bit else 8))
        return back is not None and back & ADDRESS_MASK == head and first & ADDRESS_MASK != head

    @property
    def is_32bit(self) -> bool:
        """Whether the kernel is a 32-bit one."""
        return int(self.context.layers[self.module.layer_name].bits_per_register) < 64  # noqa: PLR2004

    def symbol(self, name: str) -> int | None:
        """Return the virtual address of a symbol, or None if the table does not have it."""
        if not self.module.has_symbol(name):
            return None
        return int(self.module.offset + self.module.get_symbol(name).address) & ADDRESS_MASK


def image_path(session: KernelSession) -> Path:
    """Return the file that the lowest of a session's layers reads.

    Raises:
        InputError: It is not a local file.
    """
    layers = session.context.layers
    layer = layers[session.module.layer_name]
    while layer.dependencies:
        layer = layers[layer.dependencies[0]]
    location = urlparse(str(getattr(layer, "location", "")))
    if location.scheme != "file":
        raise InputError(location.geturl() or layer.name, "is no local file, which alone can be scanned")
    return Path(url2pathname(location.path))


def adopted_kernel(session: KernelSession, image: PhysicalImage) -> Kernel:
    """Return the kernel that volatility3 has found."""
    layer = session.context.layers[session.module.layer_name]
    root = int(layer.config["page_map_offset"])
    pdb = getattr(session.context.symbol_space[session.module.symbol_table_name].metadata, "pdb_guid", None)
    return Kernel(
        root,
        self_reference(image, root >> PAGE_SHIFT),
        canonical(int(session.module.offset)),
        PdbRecord("", str(pdb or ""), 0),
        layer=type(layer).__name__,
    )


def search(image: PhysicalImage) -> Kernel | None:
    """Let volatility3's automagic look for a kernel that `finder` does not find, such as a 32-bit one.

    Returns:
        The kernel, or None if there is none.
    """
    volatility.load_layers()
    context = volatility.module("framework.contexts").Context()
    memory = _add_memory(context, image)
    windows = volatility.module("framework.automagic.windows")
    pdbscan = volatility.module("framework.automagic.pdbscan")
    layer = windows.WindowsIntelStacker.stack(context, memory.name)
    if layer is None:
        return None
    context.add_layer(layer)
    native = volatility.module("framework.symbols.native")
    context.symbol_space.append(native.NativeTable("pdbscan", native.std_ctypes))
    found = pdbscan.KernelPDBScanner(context, "dumpscan.automagic").determine_valid_kernel(context, [layer.name])
    if not found:
        return None
    _, base, record = found
    pdb = PdbRecord(str(record["pdb_name"]), str(record["GUID"]).upper(), int(record["age"]))
    root = int(layer.config["page_map_offset"])
    return Kernel(root, self_reference(image, root >> PAGE_SHIFT), int(base), pdb, layer=type(layer).__name__)


def _add_memory(context: Volatility, image: PhysicalImage) -> Volatility:
    from dumpscan.memory.physical.volatility_layers import MemoryLayer  # noqa: PLC0415 - it imports volatility3

    layer: Volatility = MemoryLayer(context, "dumpscan.memory_layer", "memory_layer", image)
    context.add_layer(layer)
    return layer


def _add_translation(context: Volatility, kernel: Kernel) -> Volatility:
    # volatility3 gives its layers the same names, which `windows.info` shows.
    path = "dumpscan.layer_name"
    context.config[f"{path}.memory_layer"] = "memory_layer"
    context.config[f"{path}.page_map_offset"] = kernel.root
    context.config[f"{path}.kernel_virtual_offset"] = kernel.base & ADDRESS_MASK
    kind = getattr(volatility.module("framework.layers.intel"), kernel.layer)
    layer = kind(context, path, "layer_name", {"os": "Windows"})
    context.add_layer(layer)
    return layer
