"""Images with next to no memory, in which tables of symbols are looked for."""

from __future__ import annotations

import pytest

from dumpscan.memory.kernel.linux.symbols import unaided


@pytest.mark.parametrize("size", range(6))
def test_a_few_bytes_hold_no_table(size: int) -> None:
    assert unaided._places_of_digits(bytes(size)) == []


def test_digits_are_found_at_any_place() -> None:
    for before in range(5):
        assert unaided._places_of_digits(bytes(before) + unaided._DIGITS) == [before]
