"""What is fuzzed beside dumps: what they are packed in, what is looked for, captures, tables, scenarios, redaction."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

import py7zr

from dumpscan.case.gate import read_allowed
from dumpscan.exceptions import DumpscanError
from dumpscan.memory.formats import OpenOptions
from dumpscan.memory.open import dumps_in, open_dump
from dumpscan.memory.packed.unpack import UnpackOptions
from dumpscan.search.reference import read_references
from fuzz import mutate, mutate_files
from fuzz.harness import Target
from support.artifact_samples import certificate_der
from support.core_bytes import sample_core
from support.corpus import SAMPLES
from support.pdb_bytes import build_pdb
from support.tls_live import connect, contexts, pcap, server_pem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PASSWORD = "secret"  # noqa: S105 - of the seeds
_PACKED = UnpackOptions(password=_PASSWORD, limit=1 << 26)


def file_targets(directory: Path, small: bytes) -> Iterator[Target]:
    """Build the seeds in a directory, and yield the targets.

    Args:
        directory: Where they are built.
        small: A small minidump.
    """
    files = {"a/one.dmp": small, "two.core": sample_core(), "words.txt": b"nothing\n" * 9, "three.dmp": small[:-9]}
    seeds = {
        "plain.tar": _tar(files),
        "long.tar": _tar({f"{'d' * 150}/{name}": content for name, content in files.items()}, tarfile.PAX_FORMAT),
        "nested.tar": _tar({"inner.zip": _zip({"one.dmp": small})}),
        "plain.zip": _zip(files),
        "plain.7z": _seven_zip(files),
        "locked.7z": _seven_zip(files, password=_PASSWORD),
    }
    mutators = (
        *(mutate_files.tar, mutate_files.tar, mutate_files.zip_archive, mutate_files.zip_archive),
        *(mutate_files.seven_zip, mutate_files.seven_zip, mutate_files.compressed, *mutate.BYTES, mutate.minidump),
    )
    password = ("--archive-password", _PASSWORD)
    commands = (
        ("info", "{}", *password, "--format", "json", "--no-progress"),
        ("x509", "{}", *password),
        ("minidump", "scan", "{}", "--format", "csv"),
        ("info", "-"),
    )
    yield Target(name="archive", seeds=seeds, mutators=mutators, commands=commands)

    path = _own(directory, "unpacked")

    def unpack(data: bytes) -> object:
        own = path.with_name(f"{path.name}-{os.getpid()}")
        own.write_bytes(data)
        for each in dumps_in(own, _PACKED)[0]:
            with suppress(DumpscanError), open_dump(each, options=OpenOptions(unpacking=_PACKED)) as dump:
                dump.describe()
        return None

    yield Target(name="read-archive", seeds=seeds, mutators=mutators, commands=(), run=unpack)
    yield _references(directory)
    yield _captures(directory)
    yield from _redactions(directory, small)
    yield _added()
    yield _scenarios()


def _own(directory: Path, name: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory / name


def _references(directory: Path) -> Target:
    """Files of what is looked for, or allowed."""
    pem = server_pem()
    lines = b"".join(b"%s  # a key\n" % (digit * 64) for digit in (b"a", b"B", b"0"))
    ssh = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + b"A" * 43 + b" me@host\n"
    seeds = {
        "server.cer": certificate_der("secp256r1"),
        "server.pem": pem,
        "list.txt": lines + b"sha1:" + b"AB:" * 19 + b"AB\n\n# nothing\n",
        "id.pub": ssh * 2,
        "known_hosts": b"|1|abc=|def= " + ssh + b"@cert-authority *.example " + ssh,
        "wide.txt": lines.decode().encode("utf-16"),
    }
    path = _own(directory, "reference")

    def read(data: bytes) -> object:
        own = path.with_name(f"{path.name}-{os.getpid()}")
        own.write_bytes(data)
        found: list[object] = []
        for reader in (read_allowed, read_references):
            with suppress(DumpscanError):
                found += reader(own)
        return found

    mutators = (*mutate.BYTES, mutate.der, mutate.der, mutate.text, mutate_files.words)
    return Target(name="reference", seeds=seeds, mutators=mutators, commands=(), run=read)


def _captures(directory: Path) -> Target:
    certificate = _own(directory, "server.pem")
    certificate.write_bytes(server_pem())
    dump = directory / "small.core"
    dump.write_bytes(sample_core())
    seeds = {}
    for version in ("TLSv1_2", "TLSv1_3"):
        _, turns = connect(*contexts(str(certificate), version, ""))
        for link in (1, 101):
            seeds[f"{version}-{link}.pcap"] = pcap(turns, link)
    mutators = (*(mutate_files.capture,) * 6, *mutate.BYTES)
    return Target(
        name="capture", seeds=seeds, mutators=mutators, commands=(("tls", str(dump), "--capture", "{}", "-f", "json"),)
    )


def _redactions(directory: Path, small: bytes) -> Iterator[Target]:
    """Dumps that are redacted; and lists of values that are to go."""
    commands = (
        ("redact", "--dry-run", "{}", "--format", "json"),
        ("redact", "--verify", "{}"),
        ("redact", "{}", "-o", "{dir}/copy", "--force", "--report", "{dir}/report.json"),
        ("redact", "{}", "-o", "{dir}/copy", "--force", "--only-stacks"),
        (
            "redact",
            "{}",
            "-o",
            "{dir}/copy",
            "--force",
            "--keep-unknown",
            "--regex",
            "[0-9a-f]{{16}}",
            "--fill",
            "zero",
        ),
    )
    seeds = {"small.dmp": small, "small.core": sample_core(), "webserver.dmp": (SAMPLES / "webserver.dmp").read_bytes()}
    mutators = (*mutate.BYTES, mutate.minidump, mutate.minidump, mutate.elf, mutate.der, mutate.text)
    yield Target(name="redact", seeds=seeds, mutators=mutators, commands=commands)

    dump = _own(directory, "small.dmp")
    dump.write_bytes(small)
    yield Target(
        name="values",
        seeds={"values.txt": b"hunter2hunter2\nabc=\xff\xfe\x00word\n" + b"long" * 2000 + b"\n"},
        mutators=(*mutate.BYTES, mutate.text, mutate_files.words),
        commands=(("redact", "--dry-run", str(dump), "--value-file", "{}"),),
    )


def _added() -> Target:
    """Files of symbol tables that are added."""
    return Target(
        name="pdb",
        seeds={"ntkrnlmp.pdb": build_pdb(), "pack.zip": _zip({"ntkrnlmp.pdb": build_pdb()})},
        mutators=(*mutate.BYTES, mutate.number, mutate_files.zip_archive),
        commands=(("symbols", "add", "{}"),),
    )


def _scenarios() -> Target:
    names = ("webserver", "nginx", "workstation-x86", "linux-server")
    return Target(
        name="scenario",
        seeds={f"{name}.toml": (SAMPLES / f"{name}.toml").read_bytes() for name in names},
        mutators=(mutate_files.words, mutate_files.words, mutate.flip, mutate.repeat, mutate.insert),
        commands=(
            ("synth", "minidump", "{}", "-o", "{dir}/made", "-q"),
            ("synth", "core", "{}", "-o", "{dir}/made", "-q"),
        ),
    )


def _tar(files: dict[str, bytes], kind: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _seven_zip(files: dict[str, bytes], password: str | None = None) -> bytes:
    """Pack files; the header is not packed, so that it can be changed."""
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", password=password) as archive:
        archive.set_encoded_header_mode(False)
        for name, content in files.items():
            archive.writestr(content, name)
    return out.getvalue()
