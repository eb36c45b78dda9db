from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.artifacts.symcrypt.detectors import DETECTORS, INT, WRAPPER, decode_int, decode_wrapper
from dumpscan.findings import Finding, PrivateKey, PublicKey
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.memory.space import Region
from dumpscan.model.c_symcrypt import MODULUS_TAG, MODULUS_TAGS, X64, X86, Abi
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.symcrypt import structures as symcrypt
from support.symcrypt_samples import (
    ABI_NAMES,
    BASE,
    CURVE,
    GROUP,
    Patches,
    ec_memory,
    public_point,
    rsa_memory,
)

if TYPE_CHECKING:
    from dumpscan.scan.signature import Signature

EVERY_ABI = pytest.mark.parametrize("abi", ABI_NAMES.values(), ids=ABI_NAMES)
WRAPPER_AT = GROUP


class Space(Patches):
    """The pieces as regions of one file, in an order of their own."""

    path = Path("synthetic.dmp")
    process = None

    def __init__(self, memory: Patches, pointer_size: int | None = None) -> None:
        super().__init__(memory.pieces, pointer_size or memory.pointer_size)
        file, self.regions = b"", list[Region]()
        for start in sorted(self.pieces, reverse=True):
            self.regions.insert(0, Region(start, len(self.pieces[start]), len(file)))
            file += self.pieces[start] + bytes(7)
        self.buffer = memoryview(file)

    def extents(self, address: int, size: int) -> tuple[tuple[int, int], ...]:
        return ((address, size),)

    def module_at(self, address: int) -> str | None:  # noqa: ARG002 - the Protocol's
        return None


def scan(space: Space) -> list[Finding]:
    collector = Collector()
    assert Scanner(DETECTORS).scan(space, collector) == ()
    return collector.findings()


def matches(signature: Signature, data: bytes) -> list[int]:
    pattern = re.compile(b"(?=" + signature.expression + b")", re.DOTALL)
    return [found.start() - signature.lead for found in pattern.finditer(data)]


@EVERY_ABI
def test_signatures_match_the_numbers_of_every_build(abi: Abi) -> None:
    for bits in (256, 384, 521, 1024, 2048, 4096):
        digits = abi.digits(bits)
        assert matches(INT, b"\0" * 16 + symcrypt.integer(abi, 3, digits)) == [16]
    for bits in (1024, 2048, 3072, 4096):
        data = symcrypt.modulus(abi, BASE, (1 << bits) - 1, abi.digits(bits), flags=1)
        assert matches(INT, data) == [abi.modulus_divisor + abi.divisor_int]
    assert matches(WRAPPER, symcrypt.rsa_wrapper(abi, BASE, 2048)) == [0]


@EVERY_ABI
@pytest.mark.parametrize("tag", MODULUS_TAGS)
def test_a_key_is_found_whatever_tag_its_moduli_have(abi: Abi, tag: bytes) -> None:
    pieces = {at: data.replace(MODULUS_TAG, tag) for at, data in rsa_memory(abi).pieces.items()}
    (finding,) = scan(Space(Patches(pieces, abi.pointer_size)))
    assert isinstance(finding, PrivateKey)
    assert finding.locations[0].virtual_address == BASE


def test_nothing_but_the_keys_of_the_dump_and_each_with_its_wrapper(
    wine_dump: Path, wine_truth: dict[str, Any]
) -> None:
    collector = Collector()
    with Minidump(wine_dump) as dump:
        Scanner(DETECTORS).scan(dump, collector)
    found: dict[int | None, int | None] = {}
    for finding in collector.findings():
        assert isinstance(finding, PrivateKey | PublicKey)
        (location,) = finding.locations
        assert location.key_object is not None
        assert location.sha256 == finding.sha256
        found[location.virtual_address] = location.key_object.wrapper
        assert location.key_object.wrapper_algorithm == (0xA400 if location.key_object.wrapper else None)
    truth = {entry["va"]: entry.get("wrapper") or None for entry in wine_truth["rsa"] + wine_truth["ec"]}
    assert found == truth


@EVERY_ABI
@pytest.mark.parametrize("before", [True, False])
def test_a_wrapper_in_another_region_is_tied_to_its_key(abi: Abi, before: bool) -> None:  # noqa: FBT001 - a parameter
    at = BASE - 0x100000 if before else BASE + 0x100000
    pieces = {**rsa_memory(abi).pieces, at: symcrypt.rsa_wrapper(abi, BASE, 1024, algorithm=0x2400)}
    (finding,) = scan(Space(Patches(pieces, abi.pointer_size)))
    (location,) = finding.locations
    assert location.key_object is not None
    assert (location.virtual_address, location.key_object.wrapper) == (BASE, at)
    assert location.key_object.wrapper_algorithm == 0x2400


@EVERY_ABI
def test_a_wrapper_that_points_nowhere_is_nothing(abi: Abi) -> None:
    for target in (0, 0x1000, (1 << 8 * abi.pointer_size) - 1, WRAPPER_AT):
        memory = Patches({WRAPPER_AT: symcrypt.rsa_wrapper(abi, target, 2048)}, abi.pointer_size)
        assert decode_wrapper(memory, WRAPPER_AT) is None


def test_the_handle_of_a_key_in_two_wrappers_is_the_first() -> None:
    wrappers = {at: symcrypt.rsa_wrapper(X64, BASE, 1024) for at in (0x10000, 0x20000)}
    (finding,) = scan(Space(Patches({**rsa_memory(X64).pieces, **wrappers})))
    assert finding.locations[0].key_object is not None
    assert finding.locations[0].key_object.wrapper == 0x10000


@pytest.mark.parametrize("split", [0x40, 0xC1, 0xC3, 0xC9, 0x120, 0x300, 0x9A0 - 1])
def test_a_key_across_regions_that_are_apart_in_the_file(split: int) -> None:
    data = rsa_memory(X64).pieces[BASE]
    (finding,) = scan(Space(Patches({BASE: data[:split], BASE + split: data[split:]})))
    assert finding.identity == ("private_key", make_key("rsa-1024", "symcrypt").key_id)
    assert [(location.virtual_address, location.missing) for location in finding.locations] == [(BASE, 0)]


def test_a_32_bit_process_in_a_64_bit_dump() -> None:
    at = 0x0050_0000
    numbers = rsa_memory(X86).pieces
    memory = ec_memory(X86, "secp256r1", public_point("secp256r1"))
    curve = memory.pieces.pop(CURVE)
    moved = Patches({at: symcrypt.rsa_wrapper(X86, BASE, 1024), **numbers, CURVE: curve}, 4)
    (finding,) = scan(Space(moved, pointer_size=8))
    assert finding.locations[0].key_object is not None
    assert (finding.locations[0].key_object.architecture, finding.locations[0].key_object.wrapper) == ("x86", at)


def test_a_copy_of_a_key_is_another_place_of_the_same_finding() -> None:
    data = rsa_memory(X64).pieces[BASE]
    (finding,) = scan(Space(Patches({BASE: data, BASE + 0x100000: data})))
    assert [location.virtual_address for location in finding.locations] == [BASE, BASE + 0x100000]


def test_hits_that_no_number_can_have_are_not_looked_into() -> None:
    memory = ec_memory(X64, "secp256r1", public_point("secp256r1"))
    data = memory.pieces[BASE]
    assert decode_int(memory, BASE + 0x120) is not None
    assert decode_int(Patches({BASE + 4: data, CURVE: memory.pieces[CURVE]}), BASE + 0x124) is None


@EVERY_ABI
def test_a_file_full_of_tags_is_gone_through(abi: Abi) -> None:
    head = symcrypt.modulus(abi, BASE, (1 << 1024) - 105, abi.digits(1024), flags=1)[: abi.modulus_value]
    assert scan(Space(Patches({BASE: head * 500}, abi.pointer_size))) == []
