"""Types and symbols of the synthetic kernel, as our readers of BTF and kallsyms get them out of real kernels."""

from __future__ import annotations

import pytest

from dumpscan.memory.kernel.linux.symbols.btf import Btf
from dumpscan.memory.kernel.linux.symbols.kallsyms import Kallsyms, KallsymsTables
from dumpscan.memory.kernel.linux.symbols.types import BtfTypes
from dumpscan.synth.kernel.linux.btf import BtfWriter
from dumpscan.synth.kernel.linux.declarations import Array, Declarations, Pointer, Structure
from dumpscan.synth.kernel.linux.kallsyms import Symbol, write_kallsyms
from dumpscan.synth.kernel.linux.layouts import KERNEL

STRUCTURES = [name for name, kind in KERNEL.types.items() if isinstance(kind, Structure)]
SAMPLE = Declarations("""
    enum color { red = 1, blue = 0x20 };
    typedef struct { u32 val; } id_t;
    struct inner { char a; u64 b; u16 c; };         /* as a compiler would place them */
    struct outer {
        char flag;
        struct inner one;
        struct later *next;
        union { u16 small; struct { u8 low; u8 high; }; u64 large; };
        id_t id;
        struct inner many[3];
        char name[5];
    };
    struct later { struct outer *back; void *any; u64 **deep; };
""")


def test_offsets_are_those_of_the_x86_64_abi() -> None:
    inner, outer = SAMPLE.structure("inner"), SAMPLE.structure("outer")
    assert [(member.name, member.offset) for member in inner.members] == [("a", 0), ("b", 8), ("c", 16)]
    assert (inner.size, inner.alignment) == (24, 8)
    offsets = {
        path: SAMPLE.member(f"outer.{path}").offset for path in ("one.b", "next", "high", "id.val", "many", "name")
    }
    assert offsets == {"one.b": 16, "next": 32, "high": 41, "id.val": 48, "many": 56, "name": 128}
    assert outer.size == 136


def test_kinds_of_members() -> None:
    assert SAMPLE.member("outer.next").type == Pointer("later")
    assert SAMPLE.member("later.deep").type == Pointer("")
    many = SAMPLE.member("outer.many").type
    assert isinstance(many, Array)
    assert (many.count, many.element) == (3, SAMPLE.structure("inner"))
    with pytest.raises(KeyError, match=r"outer\.absent"):
        SAMPLE.member("outer.absent")


@pytest.mark.parametrize("declared", [SAMPLE, KERNEL], ids=["sample", "kernel"])
def test_btf_has_every_type(declared: Declarations) -> None:
    types = BtfTypes(Btf(BtfWriter(declared).write()))
    for name, kind in declared.types.items():
        if isinstance(kind, Structure):
            assert types.size(name) == kind.size
            for member in kind.members:
                if member.name:
                    assert types.offset(name, member.name) == member.offset, (name, member.name)
    if declared is SAMPLE:
        assert (types.constant("color", "blue"), types.offset("outer", "high")) == (0x20, 41)


class Bytes:
    """Bytes at an address, as the kernel's memory."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._start = data, start

    def read(self, address: int, size: int) -> bytes:
        return self._data[address - self._start : address - self._start + size]

    def number(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self.read(address, size), "little")


@pytest.mark.parametrize("count", [1, 255, 256, 700])
def test_kallsyms(count: int) -> None:
    base, start = 0xFFFF_FFFF_9000_0000, 0xFFFF_FFFF_9123_0000
    symbols = [Symbol("per_cpu_first", "A", 0x40), Symbol("_stext", "T", base)]
    symbols += [
        Symbol(f"__x64_sys_number_{number:x}", "tTdDbB"[number % 6], base + 0x123 * number) for number in range(count)
    ]
    blob = write_kallsyms(symbols, base)
    tables = KallsymsTables.from_note({f"kallsyms_{name}": start + at for name, at in blob.places.items()})
    assert tables is not None
    read = Kallsyms(Bytes(blob.data, start), tables, ("_stext", base))  # type: ignore[arg-type]
    assert [tuple(symbol) for symbol in read.symbols()] == [tuple(symbol) for symbol in symbols]
    assert len(blob.data) < 60 * len(symbols) + 4096  # names are compressed
