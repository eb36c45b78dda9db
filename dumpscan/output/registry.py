"""How formats and exports are registered: a name for the command line, and what implements it."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from typing import Any, Self


class Registered(StrEnum):
    """Base of registries: each member is the name that a user types, and `module:object` behind it.

    The module is imported by `load`, when it is used: some need an optional library, and rich alone takes longer to
    import than a small dump takes to scan.
    """

    implementation: str

    def __new__(cls, name: str, implementation: str = "") -> Self:
        """Make a member from a line of the registry."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.implementation = implementation
        return member

    def load(self) -> Any:  # noqa: ANN401 - each registry says what it is
        """Return the object behind the name."""
        module, _, name = self.implementation.partition(":")
        return getattr(import_module(module), name)
