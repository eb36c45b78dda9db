"""Opening files that may be anything at all."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory.formats import recognise
from dumpscan.memory.mapped_file import MappedFile


def test_maps_a_file_without_copying_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with MappedFile(path) as file:
        assert (file.path, file.size, bytes(file.buffer[2:5])) == (path, 10, b"234")
        assert file.buffer.readonly
    with pytest.raises(ValueError, match="released"):
        file.buffer[0]


def test_a_text_path_will_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with MappedFile(str(tmp_path / "file")) as file:
        assert file.size == 1


def test_closing_waits_for_no_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    file = MappedFile(path)
    held = memoryview(file.buffer)[:4]
    file.close()
    assert held == b"0123"


class TestRefused:
    def refuse(self, path: Path | str) -> str:
        with pytest.raises(InputError) as caught:
            MappedFile(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    def test_absent(self, tmp_path: Path) -> None:
        assert "cannot be opened: No such file" in self.refuse(tmp_path / "absent")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        assert "at offset 0x0: is empty" in self.refuse(tmp_path / "empty")

    def test_a_directory(self, tmp_path: Path) -> None:
        assert "is a directory; expected a file" in self.refuse(tmp_path)

    def test_an_impossible_name(self) -> None:
        assert "cannot be opened" in self.refuse("nul\0byte")

    def test_a_name_too_long(self, tmp_path: Path) -> None:
        assert "cannot be opened" in self.refuse(tmp_path / ("x" * 5000))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_named_pipe_without_a_writer(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "is a named pipe" in self.refuse(tmp_path / "pipe")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_named_pipe_put_there_meanwhile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkfifo(tmp_path / "pipe")
        regular = os.stat_result((stat.S_IFREG, *[0] * 9))
        monkeypatch.setattr(Path, "stat", lambda _self: regular)
        assert "is a named pipe" in self.refuse(tmp_path / "pipe")

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
    def test_a_device(self) -> None:
        assert "is a character device" in self.refuse("/dev/zero")

    @pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets here")
    def test_a_socket(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
            assert "is a socket" in self.refuse(Path("socket"))

    @pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
    def test_without_the_right_to(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"x")
        (tmp_path / "secret").chmod(0)
        assert "cannot be opened: Permission denied" in self.refuse(tmp_path / "secret")

    def test_what_cannot_be_mapped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_bytes(b"x")

        def refuse(*_: object, **__: object) -> None:
            raise OSError(12, "Cannot allocate memory")

        monkeypatch.setattr("mmap.mmap", refuse)
        assert "cannot be mapped into memory: Cannot allocate memory" in self.refuse(tmp_path / "file")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"PAGEDU64", "a kernel crash dump: use `dumpscan kernel`"),
        (b"MDMP\x93\xa7", "a minidump: use `dumpscan minidump`"),
        (b"\x1f\x8b\x08", "a gzip archive: unpack it first"),
        (b"\x7fELF\x02", "an ELF file, such as a program or a core dump"),
        (bytes(16), "nothing but zeros at its beginning"),
        (b"", None),
        (b"anything else", None),
    ],
)
def test_recognise(head: bytes, name: str | None) -> None:
    assert recognise(head) == name


def test_holes_of_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as out:
        out.write(b"a" * 65536)
        out.seek(8 << 20)
        out.write(b"b" * 65536)
        out.truncate(16 << 20)
    with MappedFile(path) as file:
        if not file.holes:
            pytest.skip("this file system does not tell holes")
        assert all(not any(file.buffer[begin:end]) for begin, end in file.holes)
        assert sum(end - begin for begin, end in file.holes) > 15 << 20
        assert [end for _, end in file.holes][-1] == file.size
    path.write_bytes(b"a" * 65536)
    with MappedFile(path) as file:
        assert file.holes == ()
