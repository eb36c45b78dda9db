"""SymCrypt's keys of every build in minidumps: exactly what was planted is found, and said of it what is true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.artifacts.registry import SYMCRYPT, X509_DETECTORS
from dumpscan.artifacts.symcrypt.aes import search_aes
from dumpscan.exceptions import ScenarioError
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.search.merge import Collector
from dumpscan.search.pairs import with_pairs
from dumpscan.search.scanner import Scanner, source_of
from dumpscan.synth.minidump.build import build_minidump
from support.symcrypt_scenarios import (
    BUILDS_OF,
    KEYS,
    PAGE,
    PAIRS,
    SEED,
    Told,
    key_objects,
    names_of,
    part_span,
    told_by,
    told_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Finding

HOLES_AT = 0x0C00_0000
"""Address of the region with pages missing: one that pointers of 4 bytes can hold."""
PUBLIC = 'public-rsa = "rsa-1024"\npublic-p384 = "ec-p384"\npublic-curve25519 = "x25519"\n'
CERTIFICATES = "".join(
    f'[objects.{name}-certificate]\nkind = "certificate"\nkey = "{name}"\nsubject = "CN={name}"\nissuer = "ca"\n'
    for name in (*PAIRS, "public-rsa")
)
CERTIFICATES += '[objects.ca]\nkind = "certificate"\nkey = "ca"\nsubject = "CN=ca"\nca = true\n'
ENCODED = "".join(f'[objects.{name}-key]\nkind = "private_key"\nkey = "{name}"\n' for name in PAIRS)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(SYMCRYPT.detectors)


def scenario(
    objects: str, plants: str, *, architecture: str = "x64", wow64: bool = False, regions: str = "", extra: str = ""
) -> str:
    return f"""
format = 1
name = "keys"
seed = "{SEED}"
{KEYS}
{PUBLIC}
{objects}
[dump]
architecture = "{architecture}"
{extra}
[process]
pid = 788
name = "lsass.exe"
wow64 = {str(wow64).lower()}
[[process.regions]]
name = "heap"
address = 0x0A00_0000
size = "512 KiB"
splits = [{", ".join(str(at) for at in range(8192, 512 << 10, 8192))}]
{regions}
{plants}
"""


def plants_of(objects: str, **how: object) -> str:
    keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in how.items())
    return "".join(f'[[process.plants]]\nobject = "{name}"\n{keys}' for name in names_of(objects))


def built(directory: Path, text: str) -> tuple[Path, dict[str, Any]]:
    path = directory / "keys.toml"
    path.write_text(text)
    dump, truth = build_minidump(path, directory)
    return dump, json.loads(truth.read_text())


def scan(path: Path, scanner: Scanner) -> list[Finding]:
    collector = Collector()
    with Minidump(path) as dump:
        assert dump.damage == ()
        assert scanner.scan(dump, collector) == ()
        source = source_of(dump)
        for decoded in search_aes(dump):
            collector.add(decoded, source)
    return with_pairs(collector.findings())


def found(findings: list[Finding]) -> dict[Told, tuple[tuple[int, int], ...]]:
    return {
        told_by(finding, location): location.extents
        for finding in findings
        if not isinstance(finding, Certificate)
        for location in finding.locations
    }


def planted(truth: dict[str, Any]) -> dict[Told, tuple[tuple[int, int], ...]]:
    return {
        told_of(entry, place): tuple((offset, length) for offset, length in place["extents"])
        for entry in truth["objects"]
        if entry["kind"] != "certificate"
        for place in entry["locations"]
    }


def missing_parts(truth: dict[str, Any], name: str) -> list[list[str]]:
    (entry,) = (entry for entry in truth["objects"] if entry["name"] == name)
    return [place.get("missing_parts", []) for place in entry["locations"]]


@pytest.mark.parametrize("architecture", BUILDS_OF)
def test_keys_of_every_kind_in_both_layouts(scanner: Scanner, tmp_path: Path, architecture: str) -> None:
    objects = "".join(key_objects(build, bare=not index) for index, build in enumerate(BUILDS_OF[architecture]))
    dump, truth = built(tmp_path, scenario(objects, plants_of(objects), architecture=architecture))
    told = planted(truth)
    assert len(told) == 2 * 13 + 3
    assert len(truth["decoys"]) == 6
    assert {entry.layout for entry in told if entry.algorithm != "AES"} == {"pre-102", "102+"}
    assert sum(entry.wrapper is not None for entry in told) == 4
    assert found(scan(dump, scanner)) == told


@pytest.mark.parametrize("memory_list", ["memory", "memory64"])
@pytest.mark.parametrize("architecture", BUILDS_OF)
def test_keys_across_ranges(scanner: Scanner, tmp_path: Path, architecture: str, memory_list: str) -> None:
    objects = "".join(key_objects(build) for build in BUILDS_OF[architecture])
    how = f'memory_list = "{memory_list}"\nscatter = {str(memory_list == "memory").lower()}'
    text = scenario(objects, plants_of(objects, across_seam=True), architecture=architecture, extra=how)
    dump, truth = built(tmp_path, text)
    told = planted(truth)
    assert all(entry.missing == 0 for entry in told)
    if memory_list == "memory":
        assert all(len(extents) == 2 for extents in told.values())
    assert found(scan(dump, scanner)) == told


@pytest.mark.parametrize("build", [build for builds in BUILDS_OF.values() for build in builds])
def test_keys_with_a_page_missing(scanner: Scanner, tmp_path: Path, build: str) -> None:
    """Holes begin behind a first prime and where a curve does, and end behind a structure and behind a modulus."""
    objects = f"""
[objects.second-prime]
kind = "private_key"
key = "large"
encoding = "{build}"
[objects.structure]
kind = "private_key"
key = "rsa"
encoding = "{build}"
[objects.modulus]
kind = "private_key"
key = "large"
encoding = "{build}"
[objects.curve]
kind = "private_key"
key = "p256"
encoding = "{build}"
"""
    starts = [16 * PAGE, 24 * PAGE, 32 * PAGE, 48 * PAGE]
    prime_end, modulus = part_span("large", build, "prime 1")[1], part_span("rsa", build, "modulus")[0]
    addresses = [
        HOLES_AT + starts[0] - -(-prime_end // 32) * 32,
        HOLES_AT + starts[1] + PAGE - modulus // 32 * 32,
        HOLES_AT + starts[2] + PAGE - part_span("large", build, "prime 1")[0] // 32 * 32,
        HOLES_AT + starts[3] - part_span("p256", build, "curve")[0],
    ]
    holes = ", ".join(f"{{ start = {start}, size = {PAGE} }}" for start in starts)
    regions = f'[[process.regions]]\nname = "holes"\naddress = {HOLES_AT}\nsize = "256 KiB"\nholes = [{holes}]\n'
    plants = "".join(
        f'[[process.plants]]\nobject = "{name}"\naddress = {address}\n'
        for name, address in zip(names_of(objects), addresses, strict=True)
    )
    architecture = next(name for name, builds in BUILDS_OF.items() if build in builds)
    dump, truth = built(tmp_path, scenario(objects, plants, architecture=architecture, regions=regions))
    assert "prime 2" in missing_parts(truth, "second-prime")[0]
    assert "prime 1" not in missing_parts(truth, "second-prime")[0]
    assert missing_parts(truth, "structure") == [["key structure", "public exponent"]]
    assert missing_parts(truth, "modulus") == [["key structure", "modulus", "public exponent"]]
    assert missing_parts(truth, "curve") == [["curve"]]
    told = planted(truth)
    findings = scan(dump, scanner)
    # Without its structure a key does not say in which layout it is, nor whether it has a handle.
    assert {said._replace(layout=None) for said in found(findings)} == {said._replace(layout=None) for said in told}
    assert all(place.key_object and place.key_object.whole for finding in findings for place in finding.locations)


def test_a_wow64_process_has_keys_of_both_widths(scanner: Scanner, tmp_path: Path) -> None:
    objects = "".join(key_objects(build) for build in ("symcrypt-x86", "symcrypt-x86-old", "symcrypt-x64"))
    dump, truth = built(tmp_path, scenario(objects, plants_of(objects), wow64=True))
    told = planted(truth)
    assert {entry.architecture for entry in told if entry.algorithm == "RSA"} == {"x64", "x86"}
    assert found(scan(dump, scanner)) == told


def test_pairs_are_those_of_x509(scanner: Scanner, tmp_path: Path) -> None:
    objects = key_objects("symcrypt-x64")
    plants = plants_of(objects + CERTIFICATES)
    only_symcrypt, truth = built(tmp_path, scenario(objects + CERTIFICATES, plants))
    (tmp_path / "other").mkdir()
    only_encoded, _ = built(tmp_path / "other", scenario(CERTIFICATES + ENCODED, plants_of(CERTIFICATES + ENCODED)))
    wanted = {(pair["key_id"], thumbprint) for pair in truth["pairs"] for thumbprint in pair["certificates"]}
    assert len(wanted) == len(PAIRS)
    assert pairs(scan(only_symcrypt, scanner)) == wanted
    collector = Collector()
    with Minidump(only_encoded) as dump:
        Scanner(X509_DETECTORS).scan(dump, collector)
    assert pairs(with_pairs(collector.findings())) == wanted


def pairs(findings: list[Finding]) -> set[tuple[str, str]]:
    return {
        (finding.key_id, certificate.thumbprint)
        for finding in findings
        if isinstance(finding, PrivateKey)
        for certificate in finding.certificates
    }


def test_same_scenario_same_bytes(tmp_path: Path) -> None:
    objects = key_objects("symcrypt-x86-old", bare=True)
    text = scenario(objects, plants_of(objects, copies=2))
    first, again = [built(tmp_path, text)[0].read_bytes() for _ in range(2)]
    assert first == again


@pytest.mark.parametrize("name", ["rsa", "p256", "aes256"])
def test_no_key_material_in_the_truth(tmp_path: Path, name: str) -> None:
    objects = key_objects("symcrypt-x64")
    plants = f'[[process.plants]]\nobject = "{name}-symcrypt-x64"\n'
    dump, truth = built(tmp_path, scenario(objects, plants))
    (place,) = truth["objects"][0]["locations"]
    offset, length = place["extents"][0]
    data = dump.read_bytes()[offset : offset + length]
    text = json.dumps(truth)
    for at in range(0, len(data) - 16, 16):
        part = data[at : at + 16]
        assert part == bytes(16) or (part.hex() not in text and part[::-1].hex() not in text)


HOLE = '[[process.regions]]\nname = "holes"\nsize = "64 KiB"\nholes = [{}]\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('key = "rsa"\nencoding', 'key = "aes128"\nencoding', r"\[objects.rsa-.*\] key: expected one of rsa, large"),
        ('key = "aes128"', 'key = "rsa"', r"\[objects.aes128-.*\] key: expected one of aes128, aes192"),
        ('encoding = "symcrypt-x64"', 'encoding = "symcrypt-mips"', "encoding: expected one of"),
        (
            'key = "p256"\n',
            'key = "p256"\nwrapped = true\n',
            r"\[process.plants #3\] object: only an RSA key has a provider's handle",
        ),
        ('key = "p256"\n', 'key = "ca"\n', r"\[process.plants #3\] object: SymCrypt has no such Ed25519 key"),
        ('object = "rsa-symcrypt-x64"', 'object = "rsa-symcrypt-x64"\naddress = 0xA000010', "cannot lie at 0xa000010"),
        (
            'object = "rsa-symcrypt-x64"',
            'object = "rsa-symcrypt-x64"\nacross_seam = true\nseam_at = 40',
            r"\[process.plants #1\]: a SymCrypt key of x64 cannot lie at",
        ),
        ("[[process.plants]]", HOLE.format("{ start = 5, size = 4096 }") + "[[process.plants]]", "whole pages within"),
        (
            "[[process.plants]]",
            HOLE.format('{ start = "60 KiB", size = "8 KiB" }') + "[[process.plants]]",
            r"\[process.regions #2.holes #1\] start: expected whole pages within the region's 65536 bytes",
        ),
        (
            "[[process.plants]]",
            HOLE.format("{ start = 8192, size = 8192 }, { start = 4096, size = 8192 }") + "[[process.plants]]",
            r"holes: expected holes in ascending order",
        ),
    ],
)
def test_mistakes_are_said(tmp_path: Path, old: str, new: str, message: str) -> None:
    objects = key_objects("symcrypt-x64")
    text = scenario(objects, plants_of(objects))
    assert old in text
    with pytest.raises(ScenarioError, match=message):
        built(tmp_path, text.replace(old, new, 1))
