"""What is fuzzed beside dumps: what they are packed in, what is looked for, captures, tables, scenarios, redaction."""

from __future__ import annotations

import os
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

from dumpscan.case.gate import read_allowed
from dumpscan.exceptions import DumpscanError
from dumpscan.memory.formats import OpenOptions
from dumpscan.memory.open import dumps_in, open_dump
from dumpscan.memory.packed.unpack import UnpackOptions
from dumpscan.search.reference import read_references
from fuzz import mutate, mutate_files
from fuzz.harness import Target
from support.archives import seven_zip_of, tar_of, zip_of
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
        "plain.tar": tar_of(files),
        "long.tar": tar_of({f"{'d' * 150}/{name}": content for name, content in files.items()}, tarfile.PAX_FORMAT),
        "nested.tar": tar_of({"inner.zip": zip_of({"one.dmp": small})}),
        "plain.zip": zip_of(files),
        "plain.7z": seven_zip_of(files, pack_header=False),
        "locked.7z": seven_zip_of(files, password=_PASSWORD, pack_header=False),
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
        seeds={"ntkrnlmp.pdb": build_pdb(), "pack.zip": zip_of({"ntkrnlmp.pdb": build_pdb()})},
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
