"""A signature: the fixed-length opening bytes of a kind of object, as the engine matches them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signature:
    """What the engine looks for.

    The engine reports where a match ends; since every signature has one fixed length, the start follows from it without
    the much slower start-of-match mode.

    Attributes:
        name: Unique name, e.g. `x509-v3`.
        expression: Regular expression over bytes (PCRE syntax that hyperscan takes; `.` matches any byte).
        length: Length in bytes of everything that it matches.
        lead: Offset in bytes of the match within the object: the object opens `lead` bytes before the match.
        only_in_text: Whether it is looked for only in the few bytes that a text opens with. In memory another signature
            finds the same objects; this one has too few sure bytes for a quick search (see `dumpscan.scan.anchors`).
    """

    name: str
    expression: bytes
    length: int
    lead: int = 0
    only_in_text: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a signature matched.

    Attributes:
        signature: Which one.
        address: Address of the first byte of the object that it announces (`lead` already taken off).
    """

    signature: Signature
    address: int
