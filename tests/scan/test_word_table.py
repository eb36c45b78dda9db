"""Which words are among many others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.scan.word_table import WordTable

WORDS = st.lists(st.integers(0, 20) | st.integers(0, 2**64 - 1), max_size=40)


@given(WORDS, WORDS)
def test_words_are_found_where_they_are_first(held: list[int], looked_up: list[int]) -> None:
    table = WordTable(np.array(held, np.uint64))
    assert table.words.tolist() == sorted(held)
    assert [held[index] for index in table.order.tolist()] == sorted(held)

    found, entries = table.among(np.array(looked_up, np.uint64))

    assert found.tolist() == [index for index, word in enumerate(looked_up) if word in held]
    assert entries.tolist() == [sorted(held).index(looked_up[index]) for index in found.tolist()]
