"""Archives of many files: read once from the first to the last, as far as they are whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import tarfile
from typing import TYPE_CHECKING, Any

import lz4.frame
import pytest
import zstandard

from dumpscan.exceptions import BombError, PasswordError, UnpackError
from dumpscan.memory.formats import OpenOptions
from dumpscan.memory.open import StillPackedError, dumps_in, open_dump
from dumpscan.memory.packed import tar_archive, unpack
from dumpscan.memory.packed.archive import Names
from dumpscan.memory.packed.seven_zip import _Folder
from dumpscan.memory.packed.unpack import UnpackOptions
from support.archives import seven_zip_of, tar_of, zip_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 40
FILES = {
    f"{number:02}.dmp": random.Random(number).randbytes(40_000 + number)  # noqa: S311 - a test's
    for number in range(COUNT)
}


COMPRESSIONS = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.compress,
    "lz4": lz4.frame.compress,
}
SOLID: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "tar": tar_of,
    "7z": seven_zip_of,
    **{f"tar.{name}": (lambda files, pack=pack: pack(tar_of(files))) for name, pack in COMPRESSIONS.items()},
}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often reading begins at the beginning of an archive: once in the list for each time."""
    begun: list[int] = []
    real_tar, real_folder = tar_archive.TarArchive.members, _Folder._rewind

    def tar(self: tar_archive.TarArchive) -> Any:  # noqa: ANN401 - of the class
        begun.append(1)
        return real_tar(self)

    def folder(self: _Folder) -> None:
        begun.append(1)
        real_folder(self)

    monkeypatch.setattr(tar_archive.TarArchive, "members", tar)
    monkeypatch.setattr(_Folder, "_rewind", folder)
    return begun


def written(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", SOLID)
def test_files_that_are_asked_for_in_order_take_one_pass(tmp_path: Path, kind: str, passes: list[int]) -> None:
    path = written(tmp_path, f"dumps.{kind}", SOLID[kind](FILES))
    for name in list(FILES)[::3]:  # the others are for another process
        with unpack.unpacked(path, name, UnpackOptions()) as content:
            assert content.read_bytes() == FILES[name]
    assert len(passes) == 1


@pytest.mark.parametrize("kind", SOLID)
def test_files_can_be_asked_for_in_any_order(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, f"dumps.{kind}", SOLID[kind](FILES))
    for name in ("20.dmp", "03.dmp", "03.dmp", "39.dmp", "00.dmp"):
        with unpack.unpacked(path, name, UnpackOptions()) as content:
            assert content.read_bytes() == FILES[name]
    for _ in range(2):
        with (
            pytest.raises(UnpackError, match=r"has no file 77\.dmp; it has 00\.dmp, "),
            unpack.unpacked(path, "77.dmp", UnpackOptions()),
        ):
            pass


@pytest.mark.parametrize("kind", SOLID)
def test_a_file_that_is_refused_hides_none_behind_it(tmp_path: Path, kind: str, passes: list[int]) -> None:
    path = written(tmp_path, f"dumps.{kind}", SOLID[kind]({"large": bytes(190_000), **FILES}))
    with (
        pytest.raises(UnpackError, match="--scratch-limit"),
        unpack.unpacked(path, "large", UnpackOptions(limit=90_000)),
    ):
        pass
    with unpack.unpacked(path, "07.dmp", UnpackOptions()) as content:
        assert content.read_bytes() == FILES["07.dmp"]
    assert len(passes) == 1


class TestDamaged:
    """What lies before the damage is read; that there may be more is said."""

    def listed(self, path: Path) -> list[str]:
        dumps, others = dumps_in(path, UnpackOptions())
        assert others == 0
        return [str(each).removeprefix(f"{path}!") for each in dumps]

    def said(self, path: Path) -> str:
        with pytest.raises(StillPackedError) as caught:
            open_dump(path)
        return str(caught.value)

    @pytest.mark.parametrize("kind", [each for each in SOLID if each != "7z"])
    def test_cut_off(self, tmp_path: Path, kind: str) -> None:
        files = {name: b"MDMP" + content for name, content in FILES.items()}
        packed = SOLID[kind](files)
        path = written(tmp_path, f"dumps.{kind}", packed[: len(packed) * 2 // 3])
        *names, last = self.listed(path)
        assert last == str(path)
        assert names == list(files)[: len(names)]
        assert len(names) >= COUNT // 2  # of two thirds: bzip2 unpacks 900 KB or nothing
        for name in names[:-1]:
            with unpack.unpacked(path, name, UnpackOptions()) as content:
                assert content.read_bytes() == files[name]
        if names:
            assert f"files are read up to {names[-1]}, and no further" in self.said(path)

    def test_a_damaged_header_is_not_taken_for_the_end(self, tmp_path: Path) -> None:
        files = {name: b"MDMP" + content for name, content in FILES.items()}
        data = bytearray(tar_of(files))
        at = data.index(b"25.dmp")
        data[at + 150] ^= 1
        path = written(tmp_path, "dumps.tar", bytes(data))
        assert self.listed(path) == [*list(files)[:25], str(path)]
        assert "expected the header of a file, or the end of the archive: bad checksum" in self.said(path)
        with (
            pytest.raises(UnpackError, match="bad checksum"),
            unpack.unpacked(path, "30.dmp", UnpackOptions()),
        ):
            pass
        with (
            pytest.raises(UnpackError, match="damaged behind 25 files"),
            unpack.unpacked(path, "31.dmp", UnpackOptions()),
        ):
            pass

    def test_an_archive_that_ends_between_two_files(self, tmp_path: Path) -> None:
        data = tar_of({"a.dmp": b"MDMP", "b.dmp": b"MDMP"})
        path = written(tmp_path, "dumps.tar", data[:1024])
        assert self.listed(path) == ["a.dmp", str(path)]
        assert "or the end of the archive: empty header" in self.said(path)

    def test_damage_that_only_the_checksum_shows(self, tmp_path: Path) -> None:
        packed = bytearray(gzip.compress(tar_of({"a.dmp": b"MDMP" + FILES["00.dmp"]})))
        packed[len(packed) // 2] ^= 1  # random bytes are stored as they are
        path = written(tmp_path, "dumps.tar.gz", bytes(packed))
        assert self.listed(path) == ["a.dmp", str(path)]
        assert "CRC" in self.said(path) or "checksum" in self.said(path)

    def test_an_archive_behind_another(self, tmp_path: Path) -> None:
        path = written(tmp_path, "dumps.tar", tar_of({"a.dmp": b"MDMP"}) + tar_of({"b.dmp": b"MDMP"}))
        assert self.listed(path) == ["a.dmp", str(path)]
        assert "something lies behind the archive's end" in self.said(path)

    def test_what_a_damaged_stream_yields_later_is_not_read(self, tmp_path: Path) -> None:
        packed = bytearray(lzma.compress(tar_of(FILES)))
        middle = len(packed) // 2
        packed[middle : middle + 64] = bytes(64)
        path = written(tmp_path, "dumps.tar.xz", bytes(packed))
        whole = 0
        for name, expected in FILES.items():
            try:
                with unpack.unpacked(path, name, UnpackOptions()) as content:
                    whole += content.read_bytes() == expected
            except UnpackError:
                break
        assert COUNT // 2 - 2 <= whole <= COUNT // 2
        for name in list(FILES)[whole + 1 :]:
            with pytest.raises(UnpackError, match="damaged"), unpack.unpacked(path, name, UnpackOptions()):
                pass

    @pytest.mark.parametrize("kind", COMPRESSIONS)
    def test_every_compression_says_so(self, tmp_path: Path, kind: str) -> None:
        text = b" ".join(b"%d" % number**3 for number in range(9000))
        for content in (tar_of({"a.dmp": b"MDMP" + text}), b"MDMP" + text):
            packed = bytearray(COMPRESSIONS[kind](content))
            for at in (len(packed) // 8, len(packed) // 2):
                packed[at : at + 64] = bytes(64)
            said = self.said(written(tmp_path, f"dumps.{kind}", bytes(packed)))
            assert "damaged" in said
            assert "password" not in said

    def test_one_folder_of_a_7_zip_archive(self, tmp_path: Path, passes: list[int]) -> None:
        packed = bytearray(seven_zip_of(FILES))
        packed[len(packed) // 2] ^= 0xFF
        path = written(tmp_path, "dumps.7z", bytes(packed))
        read = []
        for name, expected in FILES.items():
            try:
                with unpack.unpacked(path, name, UnpackOptions()) as content:
                    read.append(name)
                    assert content.read_bytes() == expected
            except UnpackError as error:
                assert "damaged" in error.problem  # noqa: PT017 - some of them
        assert read[: COUNT // 2 - 2] == list(FILES)[: COUNT // 2 - 2]
        assert len(passes) <= 2  # a damaged piece is unpacked again, as far as it goes

    def test_files_of_a_7_zip_archive_that_are_packed_small(self, tmp_path: Path) -> None:
        """All of them are unpacked by one call, which fails."""
        files = {name: b" ".join(b"%d" % each**3 for each in content[:2000]) for name, content in FILES.items()}
        packed = bytearray(seven_zip_of(files))
        middle = len(packed) // 2
        packed[middle : middle + 8] = b"\xff" * 8
        path = written(tmp_path, "dumps.7z", bytes(packed))
        read = 0
        for name, expected in files.items():
            try:
                with unpack.unpacked(path, name, UnpackOptions()) as content:
                    assert content.read_bytes() == expected
                    read += 1
            except UnpackError:
                break
        assert COUNT // 4 <= read < COUNT

    def test_one_file_of_a_zip_archive(self, tmp_path: Path) -> None:
        files = {name: b"MDMP" + content for name, content in FILES.items()}
        packed = bytearray(zip_of(files))
        packed[packed.index(b"PK\x03\x04", 1)] ^= 0xFF  # the second file's header
        path = written(tmp_path, "dumps.zip", bytes(packed))
        assert self.listed(path) == list(files)
        with pytest.raises(StillPackedError, match="is packed and damaged"):
            open_dump(path.with_name("dumps.zip!01.dmp"))
        with unpack.unpacked(path, "02.dmp", UnpackOptions()) as content:
            assert content.read_bytes() == files["02.dmp"]


def two_of_one_name(kind: str) -> bytes:
    files = {"a.dmp": b"MDMP first", "b.dmp": b"MDMP second"}
    if kind == "zip":
        return zip_of(files).replace(b"b.dmp", b"a.dmp")
    plain = tar_of(files)
    header = tarfile.TarInfo("a.dmp")
    header.size = len(files["b.dmp"])
    plain = plain[:1024] + header.tobuf() + plain[1536:]
    return gzip.compress(plain) if kind == "tar.gz" else plain


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_two_files_of_one_name_are_both_read(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, f"two.{kind}", two_of_one_name(kind))
    dumps, _ = dumps_in(path, UnpackOptions())
    assert [each.name for each in dumps] == [f"two.{kind}!a.dmp", f"two.{kind}!a.dmp (2)"]
    for name, content in (("a.dmp", b"MDMP first"), ("a.dmp (2)", b"MDMP second")):
        with unpack.unpacked(path, name, UnpackOptions()) as unpacked:
            assert unpacked.read_bytes() == content


def test_names_of_files() -> None:
    names = Names()
    given = ["a", "a (2)", "a", "b", "a", "a (2)"]
    assert [names.own(each) for each in given] == ["a", "a (2)", "a (3)", "b", "a (4)", "a (2) (2)"]


@pytest.mark.parametrize("kind", [*SOLID, "zip"])
def test_more_files_than_are_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("archive", "tar_archive", "seven_zip", "zip_archive"):
        monkeypatch.setattr(f"dumpscan.memory.packed.{module}.MAX_MEMBERS", 10)
    files = {name: b"MDMP" + content for name, content in FILES.items()}
    path = written(tmp_path, f"dumps.{kind}", zip_of(files) if kind == "zip" else SOLID[kind](files))
    dumps, _ = dumps_in(path, UnpackOptions())
    assert dumps == [*(path.with_name(f"{path.name}!{name}") for name in list(FILES)[:10]), path]
    with pytest.raises(StillPackedError, match=r"has more than 10 files; files are read up to 09\.dmp, and no further"):
        open_dump(path)


def test_a_header_that_claims_to_be_long(tmp_path: Path) -> None:
    """tarfile reads a name's header into memory, whatever its size."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 200 << 20
    path = written(tmp_path, "long.tar.gz", gzip.compress(header.tobuf() + bytes(4096)))
    with pytest.raises(StillPackedError, match="a header of 209,715,200 bytes; no more than"):
        open_dump(path)


@pytest.mark.parametrize("size", [b"\x80" + bytes(7) + b"\x7f\xff\xff\xff", b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7])
def test_a_file_that_claims_to_be_larger_than_anything(tmp_path: Path, size: bytes) -> None:
    """tarfile reads on at the end of the archive, for as long as the claim goes."""
    header = bytearray(tarfile.TarInfo("a.dmp").tobuf())
    header[124:136] = size
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
    path = written(tmp_path, "huge.tar", bytes(header[:512]) + b"MDMP" + bytes(40_000))
    assert dumps_in(path, UnpackOptions())[0] == [path.with_name("huge.tar!a.dmp"), path]
    with pytest.raises(StillPackedError, match=r"it ends within a file|taken for a bomb"):
        open_dump(path)


def test_a_bomb_among_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.packed.bounds.FREE_SIZE", 1 << 20)
    monkeypatch.setattr("dumpscan.memory.packed.bounds.MAX_RATIO", 10)
    for kind, pack in {"zip": zip_of, "7z": seven_zip_of}.items():
        path = written(tmp_path, f"bomb.{kind}", pack({"a.dmp": b"MDMP", "zeros": bytes(8 << 20), "b.dmp": b"MDMP"}))
        with unpack.unpacked(path, "a.dmp", UnpackOptions()) as content:
            assert content.read_bytes() == b"MDMP"
        for name in ("zeros", "b.dmp"):
            with pytest.raises(BombError), unpack.unpacked(path, name, UnpackOptions()):
                pass


def test_many_bombs_of_which_each_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an archive unpacks to is bounded too, not only what each of its files does."""
    monkeypatch.setattr("dumpscan.memory.packed.bounds.FREE_SIZE", 1 << 20)
    monkeypatch.setattr("dumpscan.memory.packed.bounds.MAX_RATIO", 10)
    path = written(tmp_path, "bombs.zip", zip_of({f"{number}.dmp": bytes(1 << 19) for number in range(9)}))
    with unpack.unpacked(path, "1.dmp", UnpackOptions()) as content:
        assert content.stat().st_size == 1 << 19
    with pytest.raises(BombError), unpack.unpacked(path, "2.dmp", UnpackOptions()):
        pass


def test_a_wrong_password_is_tried_once(tmp_path: Path, passes: list[int]) -> None:
    path = written(tmp_path, "secret.7z", seven_zip_of(FILES, password="right"))  # noqa: S106 - a test's
    for name in list(FILES)[:3]:
        with pytest.raises(PasswordError), unpack.unpacked(path, name, UnpackOptions()):
            pass
        with (
            pytest.raises(UnpackError, match="another password"),
            unpack.unpacked(
                path,
                name,
                UnpackOptions(password="wrong"),  # noqa: S106 - a test's
            ),
        ):
            pass
    passes.clear()
    for name, expected in FILES.items():
        with unpack.unpacked(path, name, UnpackOptions(password="right")) as content:  # noqa: S106 - a test's
            assert content.read_bytes() == expected
    assert len(passes) == 1


def test_an_archive_with_several_files_in_another(tmp_path: Path) -> None:
    path = written(tmp_path, "outer.zip", zip_of({"inner.tar": tar_of({"a.dmp": b"MDMP", "b.dmp": b"MDMP"})}))
    with pytest.raises(StillPackedError, match="its content is a tar archive with several files: unpack it first"):
        open_dump(path, options=OpenOptions())
