"""A user's own expressions: what they match, and that none goes on for ever."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from dumpscan.exceptions import UsageError
from dumpscan.redact.shapes import own_patterns
from dumpscan.redact.shapes.own_patterns import find_expressions

ENDLESS = b"(a|aa)+$b"
"""Each `a` more takes it 1.6 times as long."""


def places(data: bytes, *expressions: bytes) -> list[tuple[int, int, str]]:
    return [(place.offset, place.length, place.form) for place in find_expressions(memoryview(data), expressions)]


def test_matches_in_ascii_and_in_utf_16() -> None:
    data = b"\0\0word7" + bytes(9) + "word8".encode("utf-16-le")
    assert places(data, b"word[0-9]") == [(2, 5, "raw"), (16, 10, "utf-16")]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers of CPU time")
def test_an_expression_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_patterns, "MIN_SECONDS", 0.1)
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(UsageError, match="takes too long on this dump"):
        places(b"a" * 100 + b"\n", ENDLESS)
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_other_threads_search_too() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(places, b"..word7..", b"word[0-9]").result() == [(2, 5, "raw")]
