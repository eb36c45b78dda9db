"""Files for their owner alone, whole or not at all, never over another, never through a link."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from dumpscan import files
from dumpscan.exceptions import ExportError
from dumpscan.output.exports.directory import PrivateDirectory

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="permission bits and links are those of POSIX")


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir(mode=0o700)
    return path


@posix
def test_what_is_made_is_for_the_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with PrivateDirectory(tmp_path / "deep" / "out") as target:
            assert target.create("key.pem", b"secret")
            target.replace("manifest", b"line")
            assert target.warnings == []
    finally:
        os.umask(before)
    out = tmp_path / "deep" / "out"
    assert mode(out) == 0o700
    assert {path.name: mode(path) for path in out.iterdir()} == {"key.pem": 0o600, "manifest": 0o600}


@posix
@pytest.mark.parametrize(("bits", "word"), [(0o755, "list"), (0o770, "write"), (0o777, "write")])
def test_a_directory_that_others_have_a_part_in_is_used_with_a_warning(out: Path, bits: int, word: str) -> None:
    out.chmod(bits)
    with PrivateDirectory(out) as target:
        assert len(target.warnings) == 1
        assert word in target.warnings[0]
    assert mode(out) == bits


def test_nothing_is_written_over_what_is_there(out: Path) -> None:
    (out / "a").write_bytes(b"first")
    with PrivateDirectory(out) as target:
        assert not target.create("a", b"second")
        assert target.read("a", 100) == b"first"
        assert target.read("b", 100) is None
        with pytest.raises(ExportError, match="more than 4 bytes"):
            target.read("a", 4)
    assert listed(out) == ["a"]


@posix
@pytest.mark.parametrize("target_exists", [True, False])
def test_a_planted_link_is_neither_followed_nor_read(out: Path, tmp_path: Path, *, target_exists: bool) -> None:
    victim = tmp_path / "victim"
    if target_exists:
        victim.write_bytes(b"precious")
    (out / "key.pem").symlink_to(victim)
    with PrivateDirectory(out) as target:
        assert not target.create("key.pem", b"secret")
        with pytest.raises(ExportError, match=r"key\.pem: is a symbolic link"):
            target.read("key.pem", 100)
    assert victim.exists() == target_exists
    assert not target_exists or victim.read_bytes() == b"precious"


@posix
def test_a_file_replaced_through_a_link_replaces_the_link(out: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (out / "manifest").symlink_to(victim)
    with PrivateDirectory(out) as target:
        target.replace("manifest", b"ours")
    assert victim.read_bytes() == b"precious"
    assert not (out / "manifest").is_symlink()


@posix
def test_a_directory_swapped_for_a_link_while_we_write_gains_the_attacker_nothing(out: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with PrivateDirectory(out) as target:
        out.rename(tmp_path / "moved")
        out.symlink_to(elsewhere)
        target.create("key.pem", b"secret")
    assert listed(elsewhere) == []
    assert listed(tmp_path / "moved") == ["key.pem"]


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_link_that_another_user_made_is_no_directory_of_ours(out: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(out)
    with PrivateDirectory(link):
        pass
    os.lchown(link, 12345, 12345)
    with pytest.raises(ExportError, match="another user"):
        PrivateDirectory(link)
    os.chown(out, 12345, 12345)
    with PrivateDirectory(out) as target:
        assert "belongs to another user" in target.warnings[0]


@posix
@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_what_is_no_ordinary_file_is_not_read(out: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(out / "a")  # a plain open() would wait here for ever
    else:
        (out / "a").mkdir()
    with PrivateDirectory(out) as target:
        assert not target.create("a", b"x")
        with pytest.raises(ExportError, match="not an ordinary file"):
            target.read("a", 100)


@pytest.mark.parametrize("path", ["file", "file/below", "nul\0nul"])
def test_what_cannot_be_a_directory_is_said_so(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportError, match="cannot be used as an output directory"):
        PrivateDirectory(tmp_path / path)


@posix
def test_a_full_disk_leaves_nothing_half_written(out: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    (out / "manifest").write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with PrivateDirectory(out) as target:
            with pytest.raises(ExportError, match=r"key\.pem: could not be written"):
                target.create("key.pem", bytes(5000))
            with pytest.raises(ExportError, match="manifest: could not be written"):
                target.replace("manifest", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert listed(out) == ["manifest"]
    assert (out / "manifest").read_bytes() == b"old"


def test_an_interrupt_leaves_nothing_half_written(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with PrivateDirectory(out) as target, pytest.raises(KeyboardInterrupt):
        target.create("key.pem", b"secret")
    assert listed(out) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_does_as_well(out: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def no_links(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", no_links)
    with PrivateDirectory(out) as target:
        assert target.create("a", b"first")
        assert not target.create("a", b"second")
        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(ExportError, match="No space left"):
            target.create("b", b"third")
    assert listed(out) == ["a"]
    assert (out / "a").read_bytes() == b"first"


def test_without_descriptors_of_directories_paths_do(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BY_DESCRIPTOR", False)  # as on Windows
    with PrivateDirectory(out) as target:
        assert target.create("a", b"first")
        assert not target.create("a", b"second")
        target.replace("m", b"x")
        assert target.read("a", 100) == b"first"
    assert listed(out) == ["a", "m"]
    (out.parent / "file").write_bytes(b"")
    with pytest.raises(ExportError, match="output directory"):
        PrivateDirectory(out.parent / "file")
