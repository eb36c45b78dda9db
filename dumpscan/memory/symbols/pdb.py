"""Which PDB a program belongs to: the key by which symbol servers and stores find its symbols."""

from __future__ import annotations

from dataclasses import dataclass

SYMBOL_SERVER = "https://msdl.microsoft.com/download/symbols"
"""Microsoft's public symbol server; a PDB lies at `NAME/GUIDAGE/NAME` below it."""


@dataclass(frozen=True, slots=True)
class PdbRecord:
    """The PDB that a program names in its debug directory.

    Attributes:
        name: File name, e.g. `ntkrnlmp.pdb`.
        guid: 32 upper-case hexadecimal digits, in the order in which symbol servers write them.
        age: The build counter that belongs to the GUID.
    """

    name: str
    guid: str
    age: int

    @property
    def server_path(self) -> str:
        """Path of the file below a symbol server's address."""
        return f"{self.name}/{self.guid}{self.age:X}/{self.name}"

    @property
    def url(self) -> str:
        """Address of the file on Microsoft's symbol server."""
        return f"{SYMBOL_SERVER}/{self.server_path}"

    @property
    def table_name(self) -> str:
        """File name of the symbol table in volatility3's layout, without its extensions."""
        return f"{self.guid}-{self.age}"
