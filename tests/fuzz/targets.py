"""What is fuzzed: files that the generator and the samples give, and the commands that read them."""

from __future__ import annotations

import base64
import json
import lzma
import os
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dumpscan.artifacts.registry import EVERYTHING
from dumpscan.exceptions import DumpscanError, ScenarioError
from dumpscan.memory.dump import is_physical
from dumpscan.memory.open import open_dump
from dumpscan.scan.searcher import hits
from dumpscan.scan.signature import Hit
from dumpscan.search.decoding import Decoding
from dumpscan.search.scanner import Scanner
from dumpscan.synth.objects.containers import CONTAINERS, Contents
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.private_keys.writers import WRITERS, write_key
from fuzz import mutate
from fuzz.contents import BASE, NAMES, content
from fuzz.file_targets import file_targets
from fuzz.harness import Target
from support import compact_images
from support import output_samples as samples
from support.artifact_samples import Space, all_keys, certificate_der
from support.case_samples import result, write_case
from support.container_bytes import framed, page, section, sizes, stream
from support.core_bytes import sample_core
from support.corpus import SAMPLES
from support.kdump_bytes import BLOCK, Kdump, flattened
from support.kernel_images import build_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SLOW = ("known", "certificate-of", "numbers", "sec1-", "dh-", "cng-dh", "symcrypt-dl", "ml-")
_JSON = ("--format", "json", "--no-progress")


def all_targets(directory: Path) -> list[Target]:
    """Build the seeds in a directory, and return everything that is fuzzed."""
    made = (_minidumps, _cores, _images, _samples, _tables, _texts, _objects, _contents, _cases)
    targets = [make(directory) for make in made]
    small = targets[0].seeds["small.dmp"]
    return [*targets, *(_read(target, directory) for target in targets[:3]), *file_targets(directory / "files", small)]


def _read(target: Target, directory: Path) -> Target:
    """Return a target with the same mutants, which are read by the library: ten times as many as by the commands."""
    path = directory / "read"

    def read(data: bytes) -> object:
        own = path.with_name(f"{path.name}-{os.getpid()}")
        own.write_bytes(data)
        try:
            with open_dump(own) as dump:
                found = [dump.describe()]
                with suppress(DumpscanError):
                    dump.processes(environment=True)
                if not is_physical(dump):
                    for region in dump.regions[:64]:
                        dump.read(region.start, 256)
                        dump.module_at(region.start)
                return found, [*dump.warnings], [*dump.damage]
        except DumpscanError as error:
            return str(error)

    return Target(name=f"read-{target.name}", seeds=target.seeds, mutators=target.mutators, commands=(), run=read)


_MINIDUMP = (("info", "{}", *_JSON), ("scan", "{}", "--format", "csv"), ("envars", "{}"), ("cmdline", "{}"))
_SELDOM = (
    ("keys", "{}", "-o", "{dir}/out", "--format", "csv"),
    ("x509", "{}", "--deep", "-o", "{dir}/out"),
    ("tls", "{}"),
    ("redact", "--verify", "{}"),
)
_SMALL = """
format = 1
name = "small"
[keys]
a = "ec-p256"
b = "rsa-1024"
[objects]
certificate = { kind = "certificate", key = "a", subject = "CN=a" }
key = { kind = "private_key", key = "a", encoding = "symcrypt-x64" }
pem = { kind = "private_key", key = "b", encoding = "pem" }
[process]
pid = 8
name = "a.exe"
command_line = "a.exe --listen 443"
environment = ["TOKEN=abc"]
threads = [{ id = 12 }]
regions = [{ name = "heap", size = "12 KiB", splits = ["4 KiB"] }]
plants = [{ object = "certificate", across_seam = true, seam_at = 1 }, { object = "key" }, { object = "pem" }]
"""


def _minidumps(directory: Path) -> Target:
    from dumpscan.synth.minidump.build import build_minidump  # noqa: PLC0415 - heavy

    scenario = _made(directory / "minidump") / "small.toml"
    scenario.write_text(_SMALL)
    built, _ = build_minidump(scenario, scenario.parent)
    return Target(
        name="minidump",
        seeds={"small.dmp": built.read_bytes()},
        mutators=(*mutate.BYTES, mutate.minidump, mutate.minidump, mutate.minidump, mutate.der),
        commands=_MINIDUMP,
        seldom=_SELDOM,
    )


def _samples(_directory: Path) -> Target:
    names = ("webserver.dmp", "tls-server.dmp")
    return Target(
        name="sample",
        seeds={name: (SAMPLES / name).read_bytes() for name in names},
        mutators=(*mutate.BYTES, mutate.minidump, mutate.minidump, mutate.minidump, mutate.der),
        commands=_MINIDUMP,
        seldom=_SELDOM,
    )


def _cores(_directory: Path) -> Target:
    return Target(
        name="core",
        seeds={"small.core": sample_core(), "title.core": sample_core(title=b"served: worker")},
        mutators=(*mutate.BYTES, mutate.elf, mutate.elf, mutate.elf),
        commands=(("info", "{}", *_JSON), ("scan", "{}"), ("envars", "{}"), ("core", "cmdline", "{}")),
    )


def _images(directory: Path) -> Target:
    lab = build_lab(_made(directory / "lab"), density=0)
    crash = build_lab(_made(directory / "crash"), container="crash-bitmap", density=0)
    pages = compact_images.pages_of(lab.image)
    seeds = {f"lab.{write.__name__}": write(pages) for write in compact_images.WRITERS}
    seeds["lab.dmp"] = compact_images.crash(crash.image.read_bytes())
    few = {frame: bytes([frame]) * BLOCK for frame in range(64)}
    seeds["small.kdump"] = Kdump(few).write()
    seeds["flat.kdump"] = flattened(Kdump(few).write())
    seeds["small.avml"] = framed(0x1000, b"".join(few.values())) + framed(0x100_0000, bytes(BLOCK))
    records = (page(frame * BLOCK, content) for frame, content in few.items())
    seeds["small.qevm"] = stream(section(1, sizes(pc_ram=1 << 20)), section(3, *records))
    symbols = ("--symbols", str(lab.symbols))
    return Target(
        name="image",
        seeds=seeds,
        mutators=(*mutate.BYTES, mutate.number, mutate.elf),
        commands=(("info", "{}", *_JSON), ("kernel", "x509", "{}", "--format", "csv")),
        seldom=(("info", "{}", *symbols, *_JSON), ("kernel", "keys", "{}", *symbols), ("pslist", "{}", *symbols)),
    )


def _tables(directory: Path) -> Target:
    lab = build_lab(_made(directory / "tables"), density=0)
    image = lab.image.with_suffix(".lime")
    image.write_bytes(compact_images.lime(compact_images.pages_of(lab.image)))
    return Target(
        name="table",
        seeds={lab.table.name.removesuffix(".xz"): lzma.decompress(lab.table.read_bytes())},
        mutators=(mutate.json_table, mutate.json_table, mutate.json_table, *mutate.BYTES),
        commands=(("kernel", "pslist", str(image), "--symbols", "{}", *_JSON),),
    )


def _texts(_directory: Path) -> Target:
    """Text and DER in memory: they are laid into a core, since a core has no checks of its own on its memory."""
    return Target(
        name="carrier",
        seeds={f"{number}.core": sample_core(extra=text) for number, text in enumerate(_carriers())},
        mutators=(mutate.der, mutate.text, mutate.text, mutate.flip, mutate.repeat, mutate.blank, mutate.insert),
        commands=(("scan", "{}", *_JSON),),
    )


def _objects(_directory: Path) -> Target:
    """Objects in every form that can be written, in memory and in text, without a file around them."""
    return Target(
        name="object",
        seeds=dict(_written()),
        mutators=(*mutate.BYTES, mutate.der, mutate.der, mutate.text),
        commands=(),
        run=_search(),
    )


def _contents(_directory: Path) -> Target:
    """Hostile contents, a few KiB of each kind."""
    return Target(
        name="content",
        seeds={kind: content(kind, 2048) for kind in NAMES if not kind.startswith(_SLOW)},
        mutators=(*mutate.BYTES, mutate.der, mutate.text, mutate.repeat),
        commands=(),
        run=_search(),
    )


def _search() -> Callable[[bytes], object]:
    """Make a function that searches bytes as a dump's memory is searched, without the threads that take longer."""
    scanner = Scanner(EVERYTHING.detectors)

    def search(data: bytes) -> object:
        decoding = Decoding(scanner.decoders, scanner.contents)
        space = Space({BASE: bytes(64) + data + bytes(64)})
        found = [
            decoding.decode(space, Hit(hit.signature, BASE + hit.address))
            for searcher in scanner.searchers
            for hit in hits(searcher.signatures, searcher.scan_buffer(space.buffer, threads=1))
        ]
        return found, decoding.problems

    return search


def _written() -> Iterator[tuple[str, bytes]]:
    """Yield keys and containers in every form, by name."""
    for algorithm in ("rsa-1024", "ec-p256", "ec-p521", "ed25519", "x25519", "dsa-1024"):
        key = make_key(algorithm, "fuzz")
        for encoding in WRITERS:
            try:
                yield f"{encoding}-{algorithm}", write_key(key, encoding)
            except ScenarioError:
                continue
    contents = Contents(write_key(make_key("rsa-1024", "fuzz"), "pkcs8"), certificate_der("secp256r1"), "name")
    for name, container in CONTAINERS.items():
        yield name, container.write(contents, "password", "seed")
    for kind in all_keys():
        yield f"certificate-{kind}", certificate_der(kind)
    for number, text in enumerate(_carriers()):
        yield f"text-{number}", text


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
            ("case", "export", "{}", "--to", "misp"),
            ("case", "show", "{}", "/dumps/one.dmp"),
            ("find", "{}", "ab" * 32),
        ),
        seldom=(
            ("report", "{}", "-o", "{dir}/report.html", "--force"),
            ("case", "query", "{}", "SELECT * FROM dumps"),
            ("case", "query", "{}", ".schema"),
            ("case", "export", "{}", "--to", "stix"),
            ("redact", "{}", "--dry-run"),
        ),
    )


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
