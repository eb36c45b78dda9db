"""Windows that look random: which are found, which are not, and what is left out."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dumpscan.scan.random_windows import AT_ONCE, MAX_RUN, SIZES, Wanted, covered, find_windows

NOISE = random.Random(15).randbytes(1 << 14)  # noqa: S311 - a test is to be repeatable


def found(data: bytes, wanted: Wanted = Wanted.ALL) -> tuple[dict[int, list[tuple[int, bool]]], int]:
    places: dict[int, list[tuple[int, bool]]] = {size: [] for size in SIZES}
    left_out = 0
    for windows, hidden in find_windows(np.frombuffer(data, "<u4"), wanted):
        left_out += hidden
        for size, first, edge in windows:
            places[size] += zip(first.tolist(), edge.tolist(), strict=True)
    return places, left_out


@pytest.mark.parametrize("begin", [0, 1, 7, AT_ONCE - 9, AT_ONCE - 4, AT_ONCE, AT_ONCE + 1])
@pytest.mark.parametrize("size", SIZES)
def test_a_secret_is_found_once_wherever_it_lies(size: int, begin: int) -> None:
    data = bytes(4 * begin) + NOISE[:size] + bytes(400)

    places, left_out = found(data)

    assert places[size] == [(begin, True)]
    assert not left_out


@pytest.mark.parametrize("wanted", list(Wanted))
@pytest.mark.parametrize("count", range(40))
def test_buffers_of_few_words(count: int, wanted: Wanted) -> None:
    places, left_out = found(NOISE[: 4 * count], wanted)

    windows = {size: range(max(count - size // 4 + 1, 0)) for size in SIZES}
    kept = {Wanted.ALL: windows, Wanted.EDGES: {size: {*each[:1], *each[-1:]} for size, each in windows.items()}}
    assert {size: [place for place, _ in each] for size, each in places.items()} == {
        size: sorted(kept.get(wanted, {}).get(size, ())) for size in SIZES
    }
    assert left_out == {Wanted.ALL: 0, Wanted.NONE: len(windows[32])}.get(wanted, max(len(windows[32]) - 2, 0))


def test_random_bytes_are_found_nearly_always() -> None:
    made = random.Random(16)  # noqa: S311 - as above
    data = b"".join(bytes(16) + made.randbytes(32) for _ in range(10_000))

    places, _ = found(data)

    assert len(places[32]) > 9_990


@pytest.mark.parametrize(
    "text", [b"The quick brown fox jumps over the lazy dog. ", bytes(range(64, 80)), b"\xe9\x00\x11\x41"]
)
def test_text_and_tables_are_not_random(text: bytes) -> None:
    places, _ = found((text * 1000)[:4000])

    assert not any(places.values())


def test_only_windows_with_an_edge() -> None:
    data = bytes(64) + NOISE[:400] + bytes(64)
    every, _ = found(data)

    edges, left_out = found(data, Wanted.EDGES)
    none, left_out_of_none = found(data, Wanted.NONE)

    assert edges == {size: [place for place in places if place[1]] for size, places in every.items()}
    assert [place for place, _ in edges[32]] == [16, 16 + 100 - 8]
    assert left_out >= len(every[32]) - 2
    assert left_out_of_none == left_out + 2
    assert not any(none.values())


def test_the_inside_of_long_runs_is_left_out() -> None:
    data = bytes(16) + (NOISE * 2)[: 4 * (MAX_RUN + 100)].replace(b"\0", b"\1") + bytes(16)

    places, left_out = found(data)

    assert left_out > MAX_RUN // 2
    assert len(places[32]) < 100


def test_words_that_windows_cover() -> None:
    begins = np.zeros(40, np.bool_)
    begins[[0, 3, 20, 32]] = True
    for size in SIZES:
        wanted = np.zeros(60, np.bool_)
        for begin in np.flatnonzero(begins).tolist():
            wanted[begin : begin + size // 4] = True
        assert covered(size, begins, 40).tolist() == wanted[:40].tolist()
