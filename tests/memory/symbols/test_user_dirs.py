from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dumpscan.memory.symbols.user_dirs import cache_directory, data_directory


def test_what_the_user_set_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    assert cache_directory() == tmp_path / "c" / "dumpscan"
    assert data_directory() == tmp_path / "d" / "dumpscan"


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_what_is_no_absolute_path_does_not(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("XDG_DATA_HOME", value)
    assert cache_directory() == Path.home() / ".cache" / "dumpscan"
    assert data_directory() == Path.home() / ".local" / "share" / "dumpscan"


def test_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_directory() == Path.home() / "Library" / "Caches" / "dumpscan"
    assert data_directory() == Path.home() / "Library" / "Application Support" / "dumpscan"


def test_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_directory() == tmp_path / "dumpscan" / "Cache"
    assert data_directory() == tmp_path / "dumpscan"
