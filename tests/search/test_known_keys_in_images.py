"""The search for known keys in physical memory: through each process's own pages, in any order of frames."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.findings import PrivateKey
from dumpscan.memory.physical.own_memory import OwnMemory
from dumpscan.memory.physical.page_map import PageMap
from dumpscan.search import known_keys
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.physical import search_physical
from dumpscan.search.scanner import Scanner
from support.artifact_samples import key_id, raw_key, rsa_key
from support.number_samples import limbs
from support.page_table_images import PAGE, MappedDump, TableImage, owner

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

BASE = 0x7F12_3000_0000
FRAMES = (22, 20, 18)
"""Frames of three pages that follow one another in virtual memory."""
PRIVATE = {
    "rsa": rsa_key(2048),
    "ec": ec.derive_private_key(int.from_bytes(sha256(b"scalar").digest()[1:], "big"), ec.SECP256R1()),
    "ed25519": raw_key("ed25519"),
}


def _image(sharers: int = 1) -> tuple[TableImage, list[int]]:
    """Return memory in which a prime and a scalar lie across borders of pages, and the roots of those who map it."""
    memory = bytearray(len(FRAMES) * PAGE)
    prime = limbs(PRIVATE["rsa"].private_numbers().q)[::-1]
    memory[PAGE - 40 : PAGE - 40 + len(prime)] = prime
    memory[2 * PAGE - 16 : 2 * PAGE + 16] = PRIVATE["ec"].private_numbers().private_value.to_bytes(32, "big")
    memory[64:72] = struct.pack("<Q", BASE + 2 * PAGE - 16)
    seed = PRIVATE["ed25519"].private_bytes_raw() + PRIVATE["ed25519"].public_key().public_bytes_raw()
    memory[512 : 512 + len(seed)] = seed
    image = TableImage()
    roots = [image.root() for _ in range(sharers)]
    for page, frame in enumerate(FRAMES):
        image.write(frame * PAGE, bytes(memory[page * PAGE : (page + 1) * PAGE]))
        for root in roots:
            image.map(root, BASE + page * PAGE, frame)
    return image, roots


def _info(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _found(directory: Path, sharers: int, options: SearchOptions) -> tuple[list[PrivateKey], tuple[str, ...]]:
    image, roots = _image(sharers)
    with image.open(directory) as physical:
        owners = [owner(root, 8 + 4 * number) for number, root in enumerate(roots)]
        collector = Collector()
        known = known_keys.KnownKeys(collector, (0,), options, physical.size)
        dump = cast("Any", MappedDump(PageMap(physical, owners)))
        assert not search_physical(dump, Scanner(()), collector, options=options, afterwards=known.search)
    return [each for each in collector.findings() if isinstance(each, PrivateKey)], known.left_out


def test_named_keys_are_found_in_each_process_across_borders_of_pages(tmp_path: Path) -> None:
    infos = tuple(_info(key.public_key()) for key in PRIVATE.values())
    found, left_out = _found(tmp_path, 2, SearchOptions(public_keys=infos))
    assert not left_out
    assert {each.key_id for each in found} == {key_id(key) for key in PRIVATE.values()}
    places = {
        (place.process.pid, place.virtual_address, place.encoding)
        for each in found
        for place in each.locations
        if place.process
    }
    assert places == {
        (pid, address, encoding)
        for pid in (8, 12)
        for address, encoding in (
            (BASE + PAGE - 40, "rsa-prime-be"),
            (BASE + 2 * PAGE - 16, "ec-scalar-be"),
            (BASE + 512, "ed25519-seed"),
        )
    }


def test_named_keys_are_found_in_memory_of_nobody(tmp_path: Path) -> None:
    info = _info(PRIVATE["ed25519"].public_key())
    ((found,), left_out) = _found(tmp_path, 0, SearchOptions(public_keys=[info]))
    assert not left_out
    (place,) = found.locations
    assert (place.process, place.virtual_address, place.physical_address) == (None, None, FRAMES[0] * PAGE + 512)


def test_keys_that_nobody_named_are_not_looked_for(tmp_path: Path) -> None:
    assert _found(tmp_path, 1, SearchOptions()) == ([], ())


def test_own_memory_leaves_out_what_many_share(tmp_path: Path) -> None:
    image, roots = _image(3)
    with image.open(tmp_path) as physical:
        page_map = PageMap(physical, [owner(root, number) for number, root in enumerate(roots)])
        shared, alone = OwnMemory(page_map, 1, 3), OwnMemory(page_map, 1, 2)
        assert [(region.start, region.size) for region in shared.regions] == [
            (BASE + page * PAGE, PAGE) for page in range(3)
        ]
        assert not len(alone.regions)
        assert alone.read(BASE + PAGE - 4, 8) == shared.read(BASE + PAGE - 4, 8) != b""
