"""That torture notices what it looks for, and the quick parts of it."""

from __future__ import annotations

import base64
import random
import sys
from typing import TYPE_CHECKING

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals and signals need POSIX", allow_module_level=True)

from fuzz import torture
from fuzz.secrets import found

if TYPE_CHECKING:
    from pathlib import Path

SECRET = random.Random(1).randbytes(32)  # noqa: S311 - any will do


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        SECRET[::-1],
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        SECRET[::-1].hex(":").encode(),
        SECRET.hex().encode("utf-16-le"),
        *(base64.b64encode(b"x" * before + SECRET + b"y" * 5) for before in range(3)),
        *(base64.urlsafe_b64encode(b"x" * before + SECRET) for before in range(3)),
        str(int.from_bytes(SECRET, "big")).encode(),
        str(int.from_bytes(SECRET, "little")).encode(),
        SECRET[:16].hex().encode(),
    ],
)
def test_a_secret_is_found_however_it_is_written(written: bytes) -> None:
    assert found(b"{" + written + b"}", {"d": SECRET})
    assert not found(b"{" + written + b"}", {"d": bytes(range(32))})


def test_a_name_that_reaches_the_terminal_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [sys.executable, "-c", "print('a\\x1b]0;b')"]
    monkeypatch.setattr(torture, "command", lambda *_: shown)
    assert list(torture._on_terminal("info")) == ["info: '\\x1b]' reaches the terminal"]


def test_a_full_disk_and_two_runs_at_once(tmp_path: Path) -> None:
    for way in ("full-disk", "two-at-once"):
        (tmp_path / way).mkdir()
        assert list(torture.WAYS[way](tmp_path / way, random.Random(1))) == []  # noqa: S311 - as above
