"""Packed dumps: read as what they hold, named by what they lay in, bombs refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import lz4.frame
import pytest
import zstandard

from dumpscan.exceptions import BombError, InputError
from dumpscan.memory.formats import KERNEL, NoDumpError
from dumpscan.memory.formats import OpenOptions as Options
from dumpscan.memory.open import StillPackedError, dumps_in, open_dump
from dumpscan.memory.packed import bounds, unpack
from dumpscan.memory.packed.unpack import UnpackOptions
from support.archives import seven_zip_of, tar_of, zip_of
from support.corpus import SAMPLES

SAMPLE = (SAMPLES / "webserver.dmp").read_bytes()
STREAMS = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.compress,
    "lz4": lz4.frame.compress,
}


ARCHIVES = {
    "tar": tar_of,
    "zip": zip_of,
    "7z": seven_zip_of,
    "tar.gz": lambda files: gzip.compress(tar_of(files)),
    "tar.zst": lambda files: zstandard.compress(tar_of(files)),
}
FILES = {"one/lsass.dmp": SAMPLE, "notes.txt": b"nothing", "two.dmp": SAMPLE[:-1]}


def write(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", STREAMS)
def test_a_compressed_dump_is_read_under_its_own_name(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, f"crash.dmp.{kind}", STREAMS[kind](SAMPLE))
    with open_dump(path) as dump:
        assert (dump.path, dump.kind) == (path, "minidump")
        assert dump.processes()[0].pid == 5120
    assert dumps_in(path, UnpackOptions()) == ([path], 0)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_the_dumps_in_an_archive(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, f"dumps.{kind}", ARCHIVES[kind](FILES))
    dumps, others = dumps_in(path, UnpackOptions())
    names = {each.name.rpartition("!")[2] if "!" in each.name else str(each) for each in dumps}
    assert {"lsass.dmp", "two.dmp"} <= {name.rpartition("/")[2] for name in names}
    assert len(dumps) + others == 3
    first = next(each for each in dumps if str(each).endswith("lsass.dmp"))
    assert str(first) == f"{path}!one/lsass.dmp"
    with open_dump(first) as dump:
        assert dump.path == first
        assert dump.processes()[0].pid == 5120


def test_one_file_of_many_is_opened_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of thousands of dumps would take hours otherwise: each of them is opened by itself."""
    path = tmp_path / "dumps.zip"
    path.write_bytes(zip_of({"a.dmp": SAMPLE, "b.dmp": SAMPLE + b"b", "c.dmp": SAMPLE}))
    opened, read = [], []
    real_open, real_init = zipfile.ZipFile.open, zipfile.ZipFile.__init__

    def noted_open(self: zipfile.ZipFile, info: zipfile.ZipInfo, *args: Any, **options: Any) -> IO[bytes]:  # noqa: ANN401
        opened.append(info.filename)
        return real_open(self, info, *args, **options)

    def noted_init(self: zipfile.ZipFile, file: Path, *args: Any) -> None:  # noqa: ANN401
        read.append(file)
        real_init(self, file, *args)

    monkeypatch.setattr(zipfile.ZipFile, "open", noted_open)
    monkeypatch.setattr(zipfile.ZipFile, "__init__", noted_init)
    for name in ("b.dmp", "c.dmp", "b.dmp"):
        with unpack.unpacked(path, name, UnpackOptions()) as content:
            assert content.read_bytes() == SAMPLE + b"b" * (name == "b.dmp")
    assert set(opened) == {"b.dmp", "c.dmp"}
    assert len(read) == 1


def test_an_archive_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "dumps.zip"
    for content in (b"first", b"the second"):
        path.write_bytes(zip_of({"a": content}))
        with unpack.unpacked(path, "a", UnpackOptions()) as unpacked:
            assert unpacked.read_bytes() == content


def test_scratch_space_is_left_empty(tmp_path: Path) -> None:
    path = write(tmp_path, "crash.zst", zstandard.compress(SAMPLE))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    options = Options(unpacking=UnpackOptions(scratch=scratch))
    with open_dump(path, options=options) as dump:
        assert dump.processes()[0].pid == 5120
    assert list(scratch.iterdir()) == []


def test_packed_twice_but_not_for_ever(tmp_path: Path) -> None:
    path = write(tmp_path, "a.zip", zip_of({"crash.dmp.gz": gzip.compress(SAMPLE)}))
    with open_dump(path) as dump:
        assert dump.path == path
    thrice = write(tmp_path, "b.zip", zip_of({"c.gz": gzip.compress(gzip.compress(SAMPLE))}))
    with pytest.raises(NoDumpError):
        open_dump(thrice)


def test_zeros_take_no_space(tmp_path: Path) -> None:
    path = write(tmp_path, "image.raw.gz", gzip.compress(b"\x01" * 4096 + bytes(32 << 20)))
    with unpack.unpacked(path, None, UnpackOptions()) as content:
        assert content.stat().st_size == 4096 + (32 << 20)
        assert content.stat().st_blocks * 512 < 1 << 20


class TestRefused:
    def said(self, path: Path, options: UnpackOptions | None = None) -> str:
        with pytest.raises(StillPackedError) as caught:
            open_dump(path, options=Options(unpacking=options or UnpackOptions()))
        return str(caught.value)

    def test_a_bomb(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bounds, "FREE_SIZE", 1 << 20)
        bomb = write(tmp_path, "bomb.gz", gzip.compress(b"MDMP" + bytes(64 << 20)))
        assert "taken for a bomb" in self.said(bomb)

    def test_a_bomb_within_an_archive_in_an_archive_is_not_taken_for_no_dump(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "FREE_SIZE", 1 << 20)
        bomb = zip_of({"a.dmp": b"MDMP" + bytes(8 << 20)})
        assert "taken for a bomb" in self.said(write(tmp_path, "nest.zip", zip_of({"inner.zip": bomb})))

    def test_a_bomb_is_not_unpacked_where_the_archive_claims_its_size(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "FREE_SIZE", 1 << 20)
        monkeypatch.setattr(unpack._Sink, "write", lambda *_: pytest.fail("it is unpacked"))
        assert "taken for a bomb" in self.said(write(tmp_path, "bomb.zip", zip_of({"a.dmp": bytes(8 << 20)})))

    def test_a_file_behind_a_bomb_in_a_solid_archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bounds, "FREE_SIZE", 1 << 20)
        path = write(tmp_path, "bomb.7z", seven_zip_of({"zeros": bytes(8 << 20), "a.dmp": b"MDMP"}))
        assert "taken for a bomb" in self.said(Path(f"{path}!a.dmp"))

    @pytest.mark.parametrize("kind", STREAMS)
    def test_no_more_of_a_compressed_archive_is_listed_than_is_plausible(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        monkeypatch.setattr(bounds, "FREE_SIZE", 1 << 20)
        monkeypatch.setattr(bounds, "MAX_RATIO", 10)
        path = write(tmp_path, f"bomb.tar.{kind}", STREAMS[kind](tar_of({"zeros": bytes(8 << 20), "a.dmp": SAMPLE})))
        with pytest.raises(BombError):
            unpack.list_members(path, UnpackOptions())
        assert "taken for a bomb" in self.said(path)

    def test_more_than_the_limit(self, tmp_path: Path) -> None:
        path = write(tmp_path, "crash.gz", gzip.compress(SAMPLE))
        assert "--scratch-limit" in self.said(path, UnpackOptions(limit=1000))

    @pytest.mark.parametrize("kind", STREAMS)
    def test_one_that_is_cut_off(self, tmp_path: Path, kind: str) -> None:
        path = write(tmp_path, f"cut.{kind}", STREAMS[kind](SAMPLE)[:5000])
        assert "unpack it first" in self.said(path)

    @pytest.mark.parametrize("library", ["isal", "Python's own"])
    def test_a_damaged_gzip(self, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if library != "isal":
            monkeypatch.setitem(sys.modules, "isal.igzip", None)
        packed = gzip.compress(SAMPLE)
        with open_dump(write(tmp_path, "whole.gz", packed)) as dump:
            assert dump.processes()[0].pid == 5120
        data = bytearray(packed)
        data[200:300] = bytes(each ^ 0x5A for each in data[200:300])
        assert "is packed and damaged" in self.said(write(tmp_path, "damaged.gz", bytes(data)))

    @pytest.mark.parametrize("kind", ["zip", "7z"])
    def test_a_damaged_archive(self, tmp_path: Path, kind: str) -> None:
        data = bytearray(ARCHIVES[kind]({"a.dmp": SAMPLE}))
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        assert "unpack it first" in self.said(write(tmp_path, f"damaged.{kind}", bytes(data)))

    def test_a_missing_and_a_wrong_password(self, tmp_path: Path) -> None:
        path = write(tmp_path, "secret.7z", seven_zip_of({"a.dmp": SAMPLE}, password="right"))  # noqa: S106 - a test's
        assert "needs a password" in self.said(path)
        assert "unpack it first" not in self.said(path)
        wrong = self.said(path, UnpackOptions(password="wrong"))  # noqa: S106
        assert "unpack it first" in wrong
        assert "or needs another password" in wrong
        options = Options(unpacking=UnpackOptions(password="right"))  # noqa: S106 - a test's  # noqa: S106
        with open_dump(path, options=options) as dump:
            assert dump.processes()[0].pid == 5120

    def test_several_files_and_none_named(self, tmp_path: Path) -> None:
        path = write(tmp_path, "dumps.zip", zip_of(FILES))
        assert f"name one as {path}!FILE" in self.said(path)

    def test_a_name_that_is_not_in_it(self, tmp_path: Path) -> None:
        path = write(tmp_path, "dumps.zip", zip_of(FILES))
        said = self.said(tmp_path / "dumps.zip!other.dmp")
        assert "has no file other.dmp" in said
        assert f"it has {', '.join(FILES)}" in said
        assert "unpack it first" not in said
        assert path.exists()

    def test_no_room(self, tmp_path: Path) -> None:
        path = write(tmp_path, "crash.gz", gzip.compress(SAMPLE))
        assert "cannot be unpacked" in self.said(path, UnpackOptions(scratch=tmp_path / "absent"))


def test_where_a_kind_is_asked_for_it_is_an_error_of_the_input(tmp_path: Path) -> None:
    path = write(tmp_path, "crash.dmp.gz", gzip.compress(SAMPLE))
    with pytest.raises(InputError, match="is a minidump: use `dumpscan minidump`") as caught:
        open_dump(path, kind=KERNEL)
    assert str(path) in str(caught.value)
    with pytest.raises(NoDumpError, match="is a gzip archive, and its content no dump"):
        open_dump(write(tmp_path, "text.gz", gzip.compress(b"just a few words")))


def test_a_file_whose_own_name_has_the_mark(tmp_path: Path) -> None:
    path = write(tmp_path, "really!odd.dmp", SAMPLE)
    with open_dump(path) as dump:
        assert dump.path == path
