"""kallsyms by hand, in each of the forms that kernels have given it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from dumpscan.memory.kernel.linux.addresses import KernelMemory
from dumpscan.memory.kernel.linux.symbols.kallsyms import Kallsyms, KallsymsError, KallsymsTables
from dumpscan.model.linux.c_kernel import START_KERNEL_MAP
from support.page_table_images import open_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = 0xFFFF_FFFF_8100_0000
SYMBOLS = (
    ("A", "fixed_percpu_data", 0),
    ("T", "_stext", BASE),
    ("T", "_text_of_it", BASE + 0x40),
    ("D", "x" * 300, BASE + 0x90),
)
PLACES = {"names": 0x100, "count": 0x80, "token_table": 0x1000, "token_index": 0x1800, "offsets": 0x2000, "base": 0x90}


def tokens() -> tuple[bytes, bytes]:
    """Every character stands for itself, but token 1 is a whole word."""
    texts = [bytes([number]) if number > 1 else b"text" for number in range(256)]
    texts[0] = texts[10] = b"?"
    offsets = [sum(len(text) + 1 for text in texts[:number]) for number in range(256)]
    return b"".join(text + b"\0" for text in texts), struct.pack("<256H", *offsets)


def compressed(kind: str, name: str) -> bytes:
    data = (kind + name).encode().replace(b"text", b"\x01")
    size = bytes([len(data)]) if len(data) < 0x80 else bytes([0x80 | len(data) & 0x7F, len(data) >> 7])
    return size + data


def below_base(number: int, address: int) -> int:  # noqa: ARG001 - as the others
    return BASE - 1 - address if address >= BASE else address


def unsigned(number: int, address: int) -> int:  # noqa: ARG001
    return address - BASE & 0xFFFF_FFFF


def self_relative(number: int, address: int) -> int:
    return (address - (START_KERNEL_MAP + PLACES["offsets"] + 4 * number)) % (1 << 32)


def tables(*, relative_base: bool = True) -> KallsymsTables:
    at = {name: START_KERNEL_MAP + place for name, place in PLACES.items()}
    return KallsymsTables(
        at["names"],
        at["count"],
        at["token_table"],
        at["token_index"],
        at["offsets"],
        at["base"] if relative_base else None,
    )


def image(entry: Callable[[int, int], int], count: int | None = None) -> bytearray:
    data = bytearray(0x4000)
    table, index = tokens()
    names = b"".join(compressed(kind, name) for kind, name, _ in SYMBOLS)
    entries = [entry(number, address) % (1 << 32) for number, (_, _, address) in enumerate(SYMBOLS)]
    for place, content in (
        ("names", names),
        ("count", struct.pack("<I", len(SYMBOLS) if count is None else count)),
        ("token_table", table),
        ("token_index", index),
        ("offsets", struct.pack(f"<{len(entries)}I", *entries)),
        ("base", struct.pack("<Q", BASE)),
    ):
        data[PLACES[place] : PLACES[place] + len(content)] = content
    return data


def kallsyms(directory: Path, data: bytes, *, relative_base: bool = True) -> Kallsyms:
    memory = KernelMemory(open_bytes(directory, data), 0, 0, 4)
    return Kallsyms(memory, tables(relative_base=relative_base), ("_stext", BASE))


@pytest.mark.parametrize(("entry", "relative_base"), [(below_base, True), (unsigned, True), (self_relative, False)])
def test_every_form_of_addresses(tmp_path: Path, entry: Callable[[int, int], int], *, relative_base: bool) -> None:
    found = kallsyms(tmp_path, bytes(image(entry)), relative_base=relative_base)
    assert len(found) == len(SYMBOLS)
    listed = [(symbol.kind, symbol.name, symbol.address) for symbol in found.symbols()]
    assert listed[1:] == list(SYMBOLS[1:])
    assert found.address("_text_of_it") == BASE + 0x40
    assert found.address("x" * 300) == BASE + 0x90
    assert found.address("text_of_it") is None  # no part of a name is one


def test_an_address_that_nothing_agrees_with(tmp_path: Path) -> None:
    data = image(below_base)
    data[PLACES["offsets"] + 4] ^= 1
    with pytest.raises(KallsymsError, match="do not agree"):
        kallsyms(tmp_path, bytes(data)).address("_text_of_it")


@pytest.mark.parametrize("count", [0, 1 << 30])
def test_a_number_of_symbols_that_no_kernel_has(tmp_path: Path, count: int) -> None:
    with pytest.raises(KallsymsError, match="no kernel has"):
        kallsyms(tmp_path, bytes(image(below_base, count)))


def test_more_symbols_than_names(tmp_path: Path) -> None:
    with pytest.raises(KallsymsError):
        kallsyms(tmp_path, bytes(image(below_base, 1 << 20))).address("_stext")


def test_a_token_outside_of_the_table(tmp_path: Path) -> None:
    data = image(below_base)
    data[PLACES["token_index"] + 20 : PLACES["token_index"] + 22] = b"\xff\xff"
    with pytest.raises(KallsymsError, match="outside"):
        kallsyms(tmp_path, bytes(data)).address("_stext")


def test_tokens_that_are_not_in_the_image(tmp_path: Path) -> None:
    with pytest.raises(KallsymsError, match="not in the image"):
        kallsyms(tmp_path, bytes(image(below_base))[: PLACES["token_index"] + 8]).address("_stext")
