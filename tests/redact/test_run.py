"""The redaction of one dump: what is gone, what stays, and that there is a whole copy or none."""

from __future__ import annotations

import base64
import gzip
import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import udmp_parser
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dumpscan import open_dump, search
from dumpscan.exceptions import ExportError, InputError, UsageError
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, SymmetricKey
from dumpscan.model.c_minidump import c_minidump
from dumpscan.redact.collect import Changed, Collection, collect
from dumpscan.redact.copying import copy_file
from dumpscan.redact.filling import Fill
from dumpscan.redact.run import MARGIN, RedactOptions, examine, redact
from dumpscan.redact.secret import DEFAULT_KINDS, LeftoverError, Wanted, What
from support.core_bytes import CoreBytes
from support.corpus import SAMPLES
from support.minidump_bytes import MinidumpBytes

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.redact.collect import AnyDump

SAMPLE = SAMPLES / "webserver.dmp"
SECRETS = (PrivateKey, SymmetricKey, EncryptedContainer)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - made and thrown away


def minidump(path: Path, *memory: bytes, comment: bytes = b"", behind: bytes = b"") -> Path:
    """A dump of these ranges, with a comment, and with bytes that belong to nothing behind it all."""
    dump = MinidumpBytes()
    dump.system()
    dump.memory(*((0x10000 * (number + 1), data) for number, data in enumerate(memory)))
    if comment:
        dump.entry(int(c_minidump.MINIDUMP_STREAM_TYPE.CommentStreamA), len(comment), dump.add(comment))
    path.write_bytes(dump.finish() + behind)
    return path


def der(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_the_sample_has_no_secret_left_and_is_read_as_before(tmp_path: Path) -> None:
    target = tmp_path / "clean.dmp"

    report = redact(SAMPLE, target, RedactOptions())

    assert target.stat().st_size == SAMPLE.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with open_dump(SAMPLE) as before, open_dump(target) as after:
        secrets = [finding for finding in search(before) if isinstance(finding, SECRETS)]
        assert len(secrets) == 4
        kept = search(after)
        assert not [finding for finding in kept if isinstance(finding, SECRETS)]
        certificates = [finding for finding in search(before) if isinstance(finding, Certificate)]
        assert [each.thumbprint for each in kept if isinstance(each, Certificate)] == [
            each.thumbprint for each in certificates
        ]
        names = [entry.split("=")[0] for entry in before.processes()[0].environment]
        assert [entry.split("=")[0] for entry in after.processes()[0].environment] == names
        assert before.describe() | {"file": ""} == after.describe() | {"file": ""}
    assert {each.key_id for each in report.removed if each.key_id} == {
        each.key_id for each in secrets if isinstance(each, PrivateKey)
    }
    assert report.output is not None
    assert report.output.sha256 != report.source.sha256


def test_an_independent_parser_reads_the_copy_as_before(tmp_path: Path) -> None:
    target = tmp_path / "clean.dmp"
    redact(SAMPLE, target, RedactOptions())
    seen = []
    for path in (SAMPLE, target):
        parser = udmp_parser.UserDumpParser()
        assert parser.Parse(str(path))
        seen.append(
            (
                {number: (thread.Teb, thread.Context.Rip) for number, thread in parser.Threads().items()},
                {(each.BaseOfImage, each.SizeOfImage, each.ModuleName) for each in parser.Modules().values()},
                parser.ForegroundThreadId(),
                set(parser.Memory()),
            )
        )

    assert seen[0] == seen[1]


def test_a_known_key_goes_wherever_it_lies_in_the_file(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    p = key.private_numbers().p.to_bytes(64, "big")
    source = minidump(
        tmp_path / "a.dmp",
        b"\x55" * 100 + der(key) + b"\x55" * 100,
        b"\x55" * 33 + p[::-1] + b"\x55" * 10,
        comment=b"p is " + p.hex().encode(),
        behind=b"behind" + p,
    )
    target = tmp_path / "clean.dmp"

    redact(source, target, RedactOptions())

    data = target.read_bytes()
    assert not [form for form in (p, p[::-1], p.hex().encode()) if form in data]
    assert b"p is REDACTED" in data
    before = source.read_bytes()
    changed = [offset for offset in range(len(data)) if data[offset] != before[offset]]
    assert len(changed) <= len(der(key)) + 2 * len(p) + 2 * len(p)


def test_zeros_instead_of_the_pattern(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    source = minidump(tmp_path / "a.dmp", b"\x55" * 16 + der(key) + b"\x55" * 16)
    target = tmp_path / "clean.dmp"

    redact(source, target, RedactOptions(fill=Fill.ZERO))

    assert b"\x55" * 16 + bytes(len(der(key))) + b"\x55" * 16 in target.read_bytes()


def test_what_is_not_wanted_stays(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    source = minidump(tmp_path / "a.dmp", der(key), b"\0DB_PASSWORD=pw-123456\0")
    target = tmp_path / "clean.dmp"

    report = redact(source, target, RedactOptions(wanted=Wanted(kinds=DEFAULT_KINDS - {What.PRIVATE_KEYS})))

    assert der(key) in target.read_bytes()
    assert b"pw-123456" not in target.read_bytes()
    assert [(kept.kind, kept.count) for kept in report.kept] == [("private_key", 1)]


def test_own_values_and_expressions(tmp_path: Path) -> None:
    source = minidump(tmp_path / "a.dmp", b"\1Gandalf the Grey\1" + "id-12345".encode("utf-16-le") + b"\1 id-99999")
    target = tmp_path / "clean.dmp"

    redact(source, target, RedactOptions(wanted=Wanted(expressions=(rb"id-\d{5}",), values=(b"Gandalf",))))

    data = target.read_bytes()
    assert b"\1REDACTE the Grey\1" in data
    assert "id-12345".encode("utf-16-le") not in data
    assert b"id-99999" not in data


def test_a_second_run_finds_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "1.dmp", tmp_path / "2.dmp"
    redact(SAMPLE, first, RedactOptions())

    report = redact(first, second, RedactOptions())

    assert not report.removed
    assert first.read_bytes() == second.read_bytes()


def test_to_examine_writes_nothing(tmp_path: Path) -> None:
    report = examine(SAMPLE, RedactOptions())

    assert report.output is None
    assert len(report.removed) == 8
    assert not list(tmp_path.iterdir())


def test_a_packed_dump_gives_an_unpacked_copy(tmp_path: Path) -> None:
    packed, target = tmp_path / "a.dmp.gz", tmp_path / "clean.dmp"
    packed.write_bytes(gzip.compress(SAMPLE.read_bytes(), 1))

    redact(packed, target, RedactOptions())

    assert target.stat().st_size == SAMPLE.stat().st_size
    assert not examine(target, RedactOptions()).removed


def test_nothing_is_written_over(tmp_path: Path) -> None:
    target = tmp_path / "clean.dmp"
    target.write_bytes(b"mine")

    with pytest.raises(ExportError, match="is there already"):
        redact(SAMPLE, target, RedactOptions())
    assert target.read_bytes() == b"mine"

    redact(SAMPLE, target, RedactOptions(force=True))
    assert not examine(target, RedactOptions()).removed
    assert list(tmp_path.iterdir()) == [target]


def test_the_dump_itself_is_never_written_over(tmp_path: Path) -> None:
    source = tmp_path / "a.dmp"
    source.write_bytes(SAMPLE.read_bytes())

    with pytest.raises(UsageError, match="never written over"):
        redact(source, tmp_path / "." / "a.dmp", RedactOptions(force=True))

    assert source.read_bytes() == SAMPLE.read_bytes()


def test_what_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.dmp"
    source.write_bytes(b"MDMP\x93\xa7\0\0" + bytes(24))

    with pytest.raises(InputError):
        redact(source, tmp_path / "clean.dmp", RedactOptions())

    assert list(tmp_path.iterdir()) == [source]


def test_leftovers_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.redact.run.overwrite", lambda *_: 0)

    with pytest.raises(LeftoverError, match="still holds secrets"):
        redact(SAMPLE, tmp_path / "clean.dmp", RedactOptions())

    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes are POSIX's")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    import resource  # noqa: PLC0415 - not on Windows

    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));"
        "from dumpscan.cli import main; sys.argv[1:1] = ['redact']; main()"
    )
    assert resource.RLIMIT_FSIZE >= 0
    arguments = [SAMPLE, "-o", tmp_path / "clean.dmp"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "cannot be written: File too large" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux has files without names")
@pytest.mark.parametrize("delay", [0.3, 0.6, 0.9])
def test_killed_at_any_moment_there_is_a_whole_copy_or_nothing(tmp_path: Path, delay: float) -> None:
    target = tmp_path / "clean.dmp"
    command = [sys.executable, "-m", "dumpscan", "redact", str(SAMPLE), "-o", str(target)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)

    assert list(tmp_path.iterdir()) in ([], [target])
    if target.exists():
        assert not examine(target, RedactOptions()).removed


@pytest.mark.parametrize(("most", "whole"), [(1 << 18, False), (1, True)])
def test_the_copy_is_searched_around_what_changed_or_everywhere_if_places_were_not_listed(
    tmp_path: Path, key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch, most: int, *, whole: bool
) -> None:
    source = minidump(tmp_path / "a.dmp", der(key) + bytes(300_000) + der(key), b"\x55" * 300_000)
    spans: list[object] = []

    def noted(dump: AnyDump, wanted: Wanted, **options: Any) -> Collection:  # noqa: ANN401 - those of `collect`
        spans.append(options.get("changed"))
        return collect(dump, wanted, **options)

    monkeypatch.setattr("dumpscan.redact.collect.MOST_LOCATIONS", most)
    monkeypatch.setattr("dumpscan.redact.run.collect", noted)

    redact(source, tmp_path / "clean.dmp", RedactOptions())

    assert not examine(tmp_path / "clean.dmp", RedactOptions()).removed
    before, after = spans[0], spans[1]
    assert before is None
    if whole:
        assert after is None
    else:
        assert isinstance(after, Changed)
        assert len(after.spans) == 2
        assert sum(end - begin for begin, end in after.spans) < 5 * MARGIN


def test_a_secret_near_what_was_overwritten_is_found_in_the_copy(
    tmp_path: Path, key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = rsa.generate_private_key(65537, 1024)  # noqa: S505 - made and thrown away
    source = minidump(tmp_path / "a.dmp", der(key) + b"\x55" * 1000 + der(other))
    missed = other.private_numbers().p.to_bytes(64, "big")
    calls = []

    def without_the_second(dump: AnyDump, wanted: Wanted, **options: Any) -> Collection:  # noqa: ANN401 - those of `collect`
        found = collect(dump, wanted, **options)
        calls.append(len(found.places))
        if len(calls) == 1:  # as if the first search had not seen it
            for secret in [each for each in found.secrets if any(value.data == missed for value in each.values)]:
                del found.places[secret]
            options["copies"].__init__()
            for secret in found.secrets:
                options["copies"].add(secret)
        return found

    monkeypatch.setattr("dumpscan.redact.run.collect", without_the_second)

    report = redact(source, tmp_path / "clean.dmp", RedactOptions())

    assert report.rounds == 2
    assert missed not in (tmp_path / "clean.dmp").read_bytes()


@pytest.mark.parametrize(
    ("encoding", "size", "left"), [(Encoding.DER, 450, b""), (Encoding.PEM, 600, b"-----BEGIN RSA PRIVATE KEY-----\n")]
)
def test_what_is_left_of_a_key_that_is_cut_short_goes(
    tmp_path: Path, encoding: Encoding, size: int, left: bytes
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    first = key.private_bytes(encoding, PrivateFormat.TraditionalOpenSSL, NoEncryption())[:size]
    source = minidump(tmp_path / "a.dmp", b"\x01" * 100 + first)
    target = tmp_path / "clean.dmp"

    redact(source, target, RedactOptions())

    data = target.read_bytes()
    assert b"\x01" * 100 + left + b"REDACTED" in data
    assert first[-32:] not in data
    assert not examine(target, RedactOptions()).removed


@pytest.mark.parametrize("form", ["raw", "hex", "c", "base64"])
def test_what_is_left_of_a_key_goes_in_every_notation(tmp_path: Path, key: rsa.RSAPrivateKey, form: str) -> None:
    whole = der(key)
    first = whole[: len(whole) * 9 // 20]  # nearly all of the private exponent
    written = {
        "raw": first,
        "hex": first.hex().encode(),
        "c": b"{\n" + b"".join(b"0x%02x,%s" % (byte, b" " if at % 12 else b"\n") for at, byte in enumerate(first, 1)),
        "base64": base64.encodebytes(first),
    }[form]
    source = minidump(tmp_path / "a.dmp", bytes(5000) + written + bytes(5000))
    target = tmp_path / "clean.dmp"

    redact(source, target, RedactOptions())

    assert written[-60:-20] not in target.read_bytes()
    assert not examine(target, RedactOptions()).removed


def test_a_core_keeps_the_names_of_its_modules(tmp_path: Path) -> None:
    device = "C7B1A2E4-BA57-4D2B-9CE4"
    environment = f"\0PATH=/bin\0DEVICE_ID={device}\0HOME=/root\0".encode()
    core = CoreBytes().process(7, "app").thread(7, [0] * 27).files((0x40_0000, 0x40_1000, 0, f"/dev/{device}/app"))
    core.memory(0x40_0000, b"\x7fELF\x02\x01\x01".ljust(4096, b"\0")).memory(0x7FF_0000, environment)
    source, target = tmp_path / "a.core", tmp_path / "clean.core"
    source.write_bytes(core.finish())

    redact(source, target, RedactOptions())

    data = target.read_bytes()
    assert f"/dev/{device}/app".encode() in data
    assert f"DEVICE_ID={device}".encode() not in data


def test_a_dump_that_is_changed_while_it_is_read_leaves_nothing(
    tmp_path: Path, key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = minidump(tmp_path / "a.dmp", der(key) + bytes(300_000) + b"\x55" * 1000)
    folder = tmp_path / "copies"
    folder.mkdir()

    def copy_and_change(path: Path, data: memoryview, descriptor: int) -> None:
        copy_file(path, data, descriptor)
        at = path.read_bytes().rindex(b"\x55")
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"\x56")

    monkeypatch.setattr("dumpscan.redact.run.copy_file", copy_and_change)

    with pytest.raises(InputError, match="changed while it was read"):
        redact(source, folder / "clean.dmp", RedactOptions())

    assert not list(folder.iterdir())


def test_without_digests_the_copy_is_compared_with_the_dump_all_the_same(
    tmp_path: Path, key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = minidump(tmp_path / "crash.dmp", bytes(4096) + der(key), bytes(range(256)) * 64)

    report = redact(source, tmp_path / "clean.dmp", RedactOptions(digests=False))

    assert report.output is not None
    assert (report.source.sha256, report.output.sha256) == (None, None)
    assert report.output.size == source.stat().st_size

    def copy_changed(path: Path, data: memoryview, descriptor: int) -> None:
        copy_file(path, data, descriptor)
        os.pwrite(descriptor, b"?", source.stat().st_size - 1000)

    monkeypatch.setattr("dumpscan.redact.run.copy_file", copy_changed)
    with pytest.raises(InputError, match="changed while"):
        redact(source, tmp_path / "other.dmp", RedactOptions(digests=False))
    assert not (tmp_path / "other.dmp").exists()
