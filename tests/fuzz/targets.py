"""What is fuzzed: files that the generator and the samples give, and the commands that read them."""

from __future__ import annotations

import base64
import json
import lzma
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fuzz import mutate
from fuzz.harness import Target
from support import output_samples as samples
from support.case_samples import result, write_case
from support.core_bytes import sample_core
from support.corpus import SAMPLES
from support.kdump_bytes import BLOCK, Kdump, flattened
from support.kernel_images import build_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JSON = ("--format", "json", "--no-progress")


def all_targets(directory: Path) -> list[Target]:
    """Build the seeds in a directory, and return everything that is fuzzed."""
    made = (_minidumps, _cores, _images, _tables, _texts, _cases)
    return [make(directory) for make in made]


def _minidumps(directory: Path) -> Target:
    from dumpscan.synth.minidump.build import build_minidump  # noqa: PLC0415 - heavy

    built, _ = build_minidump(SAMPLES / "tls-server.toml", directory / "minidump")
    return Target(
        name="minidump",
        seeds={"webserver.dmp": (SAMPLES / "webserver.dmp").read_bytes(), "tls-server.dmp": built.read_bytes()},
        mutators=(*mutate.BYTES, mutate.minidump, mutate.minidump, mutate.minidump, mutate.der),
        commands=(("info", "{}", *_JSON), ("scan", "{}", "--format", "csv"), ("envars", "{}"), ("cmdline", "{}")),
    )


def _cores(_directory: Path) -> Target:
    return Target(
        name="core",
        seeds={"small.core": sample_core(), "title.core": sample_core(title=b"served: worker")},
        mutators=(*mutate.BYTES, mutate.elf, mutate.elf, mutate.elf),
        commands=(("info", "{}", *_JSON), ("scan", "{}"), ("envars", "{}"), ("core", "cmdline", "{}")),
    )


def _images(directory: Path) -> Target:
    seeds = {}
    for container in ("lime", "crash", "elf"):
        lab = build_lab(_made(directory / container), container=container)
        seeds[f"{container}{lab.image.suffix}"] = lab.image.read_bytes()
    pages = {frame: bytes([frame]) * BLOCK for frame in range(64)}
    seeds["small.kdump"] = Kdump(pages).write()
    seeds["flat.kdump"] = flattened(Kdump(pages).write())
    return Target(
        name="image",
        seeds=seeds,
        mutators=(*mutate.BYTES, mutate.number, mutate.elf),
        commands=(("info", "{}", *_JSON), ("kernel", "x509", "{}", "--format", "csv")),
    )


def _tables(directory: Path) -> Target:
    lab = build_lab(_made(directory / "tables"))
    return Target(
        name="table",
        seeds={lab.table.name.removesuffix(".xz"): lzma.decompress(lab.table.read_bytes())},
        mutators=(mutate.json_table, mutate.json_table, mutate.json_table, *mutate.BYTES),
        commands=(("kernel", "pslist", str(lab.image), "--symbols", "{}", *_JSON),),
    )


def _texts(_directory: Path) -> Target:
    """Text and DER in memory: they are laid into a core, since a core has no checks of its own on its memory."""
    return Target(
        name="carrier",
        seeds={f"{number}.core": sample_core(extra=text) for number, text in enumerate(_carriers())},
        mutators=(mutate.der, mutate.text, mutate.text, mutate.flip, mutate.repeat, mutate.blank, mutate.insert),
        commands=(("scan", "{}", *_JSON),),
    )


def _carriers() -> Iterator[bytes]:
    key = rsa.generate_private_key(65537, 2048)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    yield der
    yield pem
    yield pem.decode().encode("utf-16-le")
    yield base64.b64encode(pem)
    yield json.dumps({"key": pem.decode()}).encode()
    yield json.dumps(json.dumps({"key": pem.decode()})).encode()
    yield quote(pem.decode()).encode()
    yield der.hex().encode()


def _cases(directory: Path) -> Target:
    path = write_case(
        _made(directory / "case") / "seed.case",
        result("/dumps/one.dmp", *samples.findings()),
        result("/dumps/two.dmp", *samples.findings()[:3]),
    )
    return Target(
        name="case",
        seeds={"seed.case": path.read_bytes()},
        mutators=(),
        is_database=True,
        commands=(
            ("case", "show", "{}"),
            ("case", "show", "{}", "--format", "json"),
            ("case", "export", "{}", "--to", "ecs"),
            ("case", "export", "{}", "--to", "timesketch"),
            ("report", "{}", "-o", "{dir}/report.html", "--force"),
            ("case", "query", "{}", "SELECT * FROM dumps"),
        ),
    )


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
