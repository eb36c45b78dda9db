"""A search of one dump as a whole: what it reads memory for, and what it knows already."""

from __future__ import annotations

from hashlib import sha512
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.artifacts.registry import X509
from dumpscan.memory.open import open_dump
from dumpscan.search import support
from dumpscan.search.merge import Collector
from dumpscan.search.pairs import SUPPORTED, with_pairs
from dumpscan.search.run import search, search_size
from dumpscan.synth.minidump.builder import MEM_IMAGE, PAGE_EXECUTE_READ, PAGE_READWRITE, MinidumpBuilder
from support import number_samples as samples
from support.artifact_samples import all_keys, certificate_of, key_id, pkcs8, rsa_key
from support.number_samples import HEAP, SIZE, Heap

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import PrivateKey


@pytest.mark.parametrize("bearer", ["certificate", "public key", "nothing"])
def test_memory_is_read_for_public_values_only_where_nothing_found_bears_them(
    bearer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = all_keys()["ed25519"]
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    beside = {"certificate": certificate_of(key).public_bytes(Encoding.DER), "public key": public, "nothing": b""}[
        bearer
    ]
    builder = MinidumpBuilder("x64")
    builder.add_memory(0x10000, pkcs8(key) + bytes(64) + beside + bytes(64))
    builder.write(tmp_path / "a.dmp")
    read: list[list[str]] = []
    found_by_reading = support.supported_keys

    def supported_keys(keys: list[PrivateKey], *given: object, **named: object) -> set[str]:
        read.append([each.key_id for each in keys])
        return found_by_reading(keys, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(support, "supported_keys", supported_keys)
    collector = Collector()
    with open_dump(tmp_path / "a.dmp") as dump:
        assert search(dump, X509, collector) == ()

    (found,) = (each for each in with_pairs(collector.findings()) if each.kind == "private_key")
    assert found.proof == (() if bearer == "nothing" else (SUPPORTED,))  # type: ignore[attr-defined]
    assert read == ([[key_id(key)]] if bearer == "nothing" else [])


@pytest.mark.parametrize("protect", [PAGE_READWRITE, PAGE_EXECUTE_READ])
def test_numbers_are_looked_for_in_memory_that_the_program_could_write(protect: int, tmp_path: Path) -> None:
    heap = Heap()
    numbers = rsa_key(2048).private_numbers()
    for value in (numbers.public_numbers.n, numbers.d, numbers.p, numbers.q):
        heap.number(value, samples.bignum)
    builder = MinidumpBuilder("x64")
    builder.add_memory(HEAP, bytes(heap.data), kind=MEM_IMAGE, protect=protect)
    builder.add_memory(HEAP + SIZE, bytes(SIZE))
    builder.write(tmp_path / "a.dmp")
    passed: list[int] = []
    collector = Collector()
    with open_dump(tmp_path / "a.dmp") as dump:
        assert search(dump, X509, collector, progress=passed.append) == ()
        assert sum(passed) == search_size(dump, X509)

    assert [each.kind for each in collector.findings()] == (["private_key"] if protect == PAGE_READWRITE else [])


@pytest.mark.parametrize("bearer", ["certificate", "nothing"])
def test_a_key_of_a_file_is_placed_where_ring_holds_it_if_something_bears_its_public_value(
    bearer: str, tmp_path: Path
) -> None:
    key = all_keys()["ed25519"]
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    digest = int.from_bytes(sha512(seed).digest(), "little")
    expanded = (digest % (1 << 254) & ~7 | 1 << 254).to_bytes(32, "little") + (digest >> 256).to_bytes(32, "little")
    beside = certificate_of(key).public_bytes(Encoding.DER) if bearer == "certificate" else b""
    builder = MinidumpBuilder("x64")
    builder.add_memory(0x10000, expanded + bytes(64) + pkcs8(key) + bytes(64) + beside + bytes(64))
    builder.write(tmp_path / "a.dmp")
    collector = Collector()
    with open_dump(tmp_path / "a.dmp") as dump:
        assert search(dump, X509, collector) == ()

    (found,) = (each for each in with_pairs(collector.findings()) if each.kind == "private_key")
    held = [place.virtual_address for place in found.locations if place.key_object is not None]
    assert held == ([0x10000] if bearer == "certificate" else [])
