"""Scenarios with SymCrypt's keys for tests, what is true of them, and what a scan said, in one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.symcrypt.keys import BUILDS, make_symcrypt

if TYPE_CHECKING:
    from dumpscan.findings import Finding, Location

SEED = "symcrypt"
PAGE = 4096
BUILDS_OF = {
    architecture: [name for name, abi in BUILDS.items() if abi.architecture == architecture]
    for architecture in ("x64", "x86", "arm64")
}
ALGORITHMS = {
    "rsa": "rsa-1024",
    "large": "rsa-2048",
    "p256": "ec-p256",
    "p384": "ec-p384",
    "p521": "ec-p521",
    "curve25519": "x25519",
    "dsa": "dsa-1024",
    "aes128": "aes-128",
    "aes192": "aes-192",
    "aes256": "aes-256",
}
PAIRS = ("rsa", "large", "p256", "p384", "p521", "curve25519", "dsa")
KEYS = "\n".join(["[keys]", *(f'{name} = "{algorithm}"' for name, algorithm in ALGORITHMS.items()), 'ca = "ed25519"'])


class Told(NamedTuple):
    """What there is to say of one key at one place."""

    place: tuple[int | None, int | None]
    kind: str
    encoding: str
    algorithm: str
    bits: int
    curve: str | None
    key_id: str
    layout: str | None
    architecture: str | None
    wrapper: int | None
    length: int
    sha256: str
    missing: int
    missing_parts: tuple[str, ...]


def told_of(entry: dict[str, Any], place: dict[str, Any], pid: int | None = None) -> Told:
    """Bring an entry of the truth into that form; `place` is what it says of one of its places."""
    values = entry | place
    return Told(
        (pid, place["virtual_address"]),
        entry["kind"],
        entry["encoding"],
        entry["algorithm"],
        entry["bits"],
        entry.get("curve"),
        entry["key_id"],
        entry.get("layout"),
        entry.get("architecture"),
        values.get("wrapper"),
        entry["length"],
        values["sha256"],
        values.get("missing", 0),
        tuple(values.get("missing_parts", ())),
    )


def told_by(finding: Finding, location: Location, pid: int | None = None) -> Told:
    """Bring a place of a finding into that form."""
    key: Any = finding
    said = location.key_object
    return Told(
        (pid, location.virtual_address),
        finding.kind,
        location.encoding,
        key.algorithm,
        key.bits,
        getattr(key, "curve", None),
        key.key_id,
        said.layout if said else None,
        said.architecture if said else None,
        said.wrapper if said else None,
        location.length,
        location.sha256,
        location.missing,
        said.missing_parts if said else (),
    )


def key_objects(build: str, *, bare: bool = False) -> str:
    """Write tables of a key of every kind in one build, and of decoys; `bare` adds schedules without an object.

    Their names end with the build's.
    """
    tables = [
        f'[objects.{name}-{build}]\nkind = "private_key"\nkey = "{name}"\nencoding = "{build}"\n'
        + ("wrapped = true\n" if name == "rsa" else "")
        for name in PAIRS
    ]
    tables += [
        f'[objects.public-{name}-{build}]\nkind = "public_key"\nkey = "public-{name}"\nencoding = "{build}"\n'
        + ("wrapped = true\n" if name == "rsa" else "")
        for name in ("rsa", "p384", "curve25519")
    ]
    for name in ("aes128", "aes192", "aes256"):
        tables.append(f'[objects.{name}-{build}]\nkind = "symmetric_key"\nkey = "{name}"\nencoding = "{build}"\n')
        if bare:
            tables.append(f'[objects.bare-{name}]\nkind = "symmetric_key"\nkey = "{name}"\nencoding = "aes-schedule"\n')
    tables += [
        f'[objects.noise-{name}-{build}]\nkind = "decoy"\nkey = "{name}"\nflaw = "garbled-{build}"\n'
        for name in ("rsa", "p256", "curve25519")
    ]
    return "\n".join(tables)


def names_of(objects: str) -> list[str]:
    """Return the names of the objects in some tables."""
    return [line[len("[objects.") : -1] for line in objects.splitlines() if line.startswith("[objects.")]


def part_span(algorithm: str, build: str, name: str, seed: str = SEED) -> tuple[int, int]:
    """Return the first offset and the one past the last of a part of a key."""
    made = make_symcrypt(make_key(ALGORITHMS[algorithm], f"{seed}/{algorithm}"), build, seed=seed)
    return next((part.start, part.end) for part in made.parts if part.name == name)
