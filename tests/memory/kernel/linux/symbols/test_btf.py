"""BTF by hand: what is read of it, and what its lies lead to."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import DumpscanError
from dumpscan.memory.kernel.linux.symbols.btf import Btf, BtfError
from dumpscan.memory.kernel.linux.symbols.types import BtfTypes
from dumpscan.model.linux.c_btf import KIND_INT, KIND_PTR, KIND_STRUCT, KIND_TYPEDEF, KIND_UNION

INT, POINTER, ANONYMOUS, TASK = 1, 2, 3, 4


class Blob:
    """A BTF blob in the making."""

    def __init__(self) -> None:
        self.types = b""
        self.strings = b"\0"

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def type(self, kind: int, name: str, size: int, *words: int, count: int = 0) -> None:
        self.types += struct.pack(f"<{3 + len(words)}I", self.name(name), kind << 24 | count, size, *words)

    def structure(self, name: str, size: int, *members: tuple[str, int, int], kind: int = KIND_STRUCT) -> None:
        words = [word for member, number, bits in members for word in (self.name(member), number, bits)]
        self.type(kind, name, size, *words, count=len(members))

    def build(self, **header: int) -> bytes:
        given = {"hdr": 24, "type_off": 0, "type_len": len(self.types), "str_off": len(self.types)}
        given |= {"str_len": len(self.strings)} | header
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, *given.values()) + self.types + self.strings


def task() -> Blob:
    """A structure with a number, and a pointer to itself within an anonymous union."""
    blob = Blob()
    blob.type(KIND_INT, "int", 4, 1 << 24 | 32)
    blob.type(KIND_PTR, "", TASK)
    blob.structure("", 8, ("next", POINTER, 0), ("number", INT, 0), kind=KIND_UNION)
    blob.structure("task_struct", 24, ("pid", INT, 32), ("", ANONYMOUS, 64), ("last", POINTER, 128))
    return blob


def test_members_of_anonymous_ones_count_as_the_outer_ones() -> None:
    types = BtfTypes(Btf(task().build()))
    offsets = {name: types.offset("task_struct", name) for name in ("pid", "next", "number", "last", "absent")}
    assert offsets == {"pid": 4, "next": 8, "number": 8, "last": 16, "absent": None}
    assert types.size("task_struct") == 24
    assert types.size("absent") is None


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ({"hdr": 8}, "header is wrong"),
        ({"type_len": 1 << 31}, "lie outside"),
        ({"str_off": 1 << 31}, "lie outside"),
        ({"type_len": 6}, "lie outside"),
    ],
)
def test_headers_that_lie(header: dict[str, int], error: str) -> None:
    with pytest.raises(BtfError, match=error):
        Btf(task().build(**header))


def test_no_btf_at_all() -> None:
    for data in (b"", b"\x9f\xeb", bytes(64)):
        with pytest.raises(BtfError):
            Btf(data)


def test_a_type_with_more_members_than_there_are_bytes() -> None:
    blob = task()
    blob.type(KIND_STRUCT, "endless", 8, count=0xFFFF)
    with pytest.raises(BtfError, match="cut short"):
        Btf(blob.build()).structure("endless")


def test_an_unknown_kind() -> None:
    blob = task()
    blob.type(31, "new", 8)
    with pytest.raises(BtfError, match="unknown kind 31"):
        len(Btf(blob.build()))


def test_a_reference_to_a_type_that_is_not_there() -> None:
    with pytest.raises(BtfError, match="refers to type 99"):
        Btf(task().build()).type(99)


def test_names_that_go_round_in_a_circle() -> None:
    blob = Blob()
    blob.type(KIND_TYPEDEF, "one", 2)
    blob.type(KIND_TYPEDEF, "two", 1)
    btf = Btf(blob.build())
    with pytest.raises(BtfError, match="no end"):
        btf.resolved(1)
    with pytest.raises(BtfError, match="no end"):
        btf.size(2)


def test_a_structure_that_contains_itself() -> None:
    blob = Blob()
    blob.structure("", 8, ("", 1, 0), ("", 1, 0))
    blob.structure("loop", 8, ("", 1, 0))
    btf = Btf(blob.build())
    loop = btf.structure("loop")
    assert loop is not None
    with pytest.raises(BtfError, match=r"without end|more than"):
        btf.member(loop, "absent")


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12))
def test_any_damage_ends_in_an_answer_or_an_error(damage: list[tuple[int, int]]) -> None:
    data = bytearray(task().build())
    for at, value in damage:
        data[at % len(data)] = value
    with suppress(DumpscanError):
        found = BtfTypes(Btf(bytes(data))).offset("task_struct", "next")
        assert found is None or found >= 0
