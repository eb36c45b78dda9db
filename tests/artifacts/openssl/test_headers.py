"""Small words beside pointers: the same are found however memory is cut, and whichever of both is looked for first."""

from __future__ import annotations

import numpy as np
import pytest

from dumpscan.artifacts.openssl import beside
from dumpscan.artifacts.openssl.beside import small_beside_pointers
from dumpscan.memory.space import ANYWHERE

LOW, HIGH = 0x5560_0000_0000, 0x5570_0000_0000
SMALL = (1, 4, 16, 16 << 32 | 17, 1087 << 32 | 1087, 415, 16384, 16 << 16 | 1)
OTHER = (0, 0x10000, 1 << 44, 0x2_0000_0000, 2**64 - 1, HIGH, LOW - 8)


def _memory(*, pointers: float) -> list[int]:
    """Words among which there are small ones, and so many pointers, half of them to something aligned."""
    rng = np.random.default_rng(20)
    count = 3000
    words = rng.choice(np.array(OTHER, np.uint64), count)
    words = np.where(rng.random(count) < 0.3, rng.choice(np.array(SMALL, np.uint64), count), words)
    some = rng.integers(LOW, HIGH, count, np.uint64) & ~(rng.integers(0, 2, count, np.uint64) * np.uint64(7))
    words = np.where(rng.random(count) < pointers, some, words)
    words[[0, -1]] = LOW, 4  # a pointer and a small word at either end
    words[[1, -2]] = 4, LOW
    numbers: list[int] = words.tolist()
    return numbers


def _expected(words: list[int], reach: tuple[int, int]) -> tuple[list[int], list[int]]:
    def is_pointer(index: int) -> bool:
        return 0 <= index < len(words) and words[index] % 8 == 0 and reach[0] <= words[index] < reach[1]

    small = [index for index, word in enumerate(words) if word in SMALL]
    return [at for at in small if is_pointer(at - 1)], [at for at in small if is_pointer(at + 1)]


@pytest.mark.parametrize("pointers", [0, 0.001, 0.04, 0.3])
@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 16])
@pytest.mark.parametrize("rarer", ["pointers", "small words", "told by what was seen"])
def test_small_words_beside_pointers_are_all_found(
    pointers: float, chunk: int, rarer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = _memory(pointers=pointers)
    monkeypatch.setattr(beside, "_CHUNK", chunk)
    if rarer != "told by what was seen":
        monkeypatch.setattr(beside, "_MANY", 0.01 if rarer == "pointers" else 1 << 40)
        monkeypatch.setattr(beside, "_FEW", 1e-9 if rarer == "pointers" else 1 << 40)

    behind, before = small_beside_pointers(np.array(words, np.uint64), (LOW, HIGH))

    assert (behind.tolist(), before.tolist()) == _expected(words, (LOW, HIGH))
    assert len(behind)


def test_pointers_may_lead_anywhere_where_nothing_limits_them() -> None:
    words = [0x10000, 4, 0xFFF8, 4, (1 << 48) - 8, 4, 1 << 48, 4, 0x10004]
    behind, before = small_beside_pointers(np.array(words, np.uint64), ANYWHERE)
    assert (behind.tolist(), before.tolist()) == ([1, 5], [3])


@pytest.mark.parametrize("reach", [(0, 0), (0, 0x10000), (1 << 48, 1 << 60), ANYWHERE])
def test_no_words_and_no_reach_are_nothing(reach: tuple[int, int]) -> None:
    for words in ([], [4], [0], [4, 0]):
        assert [each.tolist() for each in small_beside_pointers(np.array(words, np.uint64), reach)] == [[], []]
