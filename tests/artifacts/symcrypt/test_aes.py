from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.artifacts.aes.cipher import expand, invert, swap
from dumpscan.artifacts.aes.schedule import Schedule
from dumpscan.artifacts.symcrypt.aes import decode_schedule, search_aes
from dumpscan.findings import SymmetricKey
from dumpscan.memory.minidump.dump import Minidump
from dumpscan.model.c_symcrypt import ABIS, X64, Abi
from dumpscan.synth.objects.symcrypt.aes import aes_key
from support.symcrypt_samples import BASE, Patches

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.artifacts.decoded import Decoded

KEYS = [bytes(range(size)) for size in (16, 24, 32)]


def decode(memory: Patches, key: bytes, *, swapped: bool = False) -> Decoded:
    return decode_schedule(memory, Schedule(BASE, key, swapped))


def test_every_key_of_the_dump_and_no_other(wine_dump: Path, wine_truth: dict[str, Any]) -> None:
    with Minidump(wine_dump) as dump:
        found = {}
        for decoded in search_aes(dump):
            assert isinstance(decoded.finding, SymmetricKey)
            assert decoded.key_object is not None
            assert decoded.key_object.structure == "SYMCRYPT_AES_EXPANDED_KEY"
            assert decoded.length == 0x1F0
            found[decoded.address] = decoded.finding.key.hex()
    assert found == {entry["va"]: entry["key"] for entry in wine_truth["aes"]}


@pytest.mark.parametrize("abi", ABIS, ids=lambda abi: f"{abi.architecture}-{abi.layout}")
@pytest.mark.parametrize("key", KEYS, ids=len)
def test_an_object_of_every_build(abi: Abi, key: bytes) -> None:
    data = aes_key(abi, BASE, key)
    decoded = decode(Patches({BASE: data}), key)
    assert (decoded.length, decoded.encoding) == (len(data), "symcrypt")
    assert decoded.key_object is not None
    assert decoded.key_object.consistent
    assert decoded.key_object.architecture == ("x86" if abi.pointer_size == 4 else None)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_bare_schedule_is_one_too(swapped: bool) -> None:  # noqa: FBT001 - a parameter
    schedule = expand(KEYS[0])
    data = swap(schedule) if swapped else schedule
    decoded = decode(Patches({BASE: data + bytes(512)}), KEYS[0], swapped=swapped)
    assert (decoded.length, decoded.encoding) == (176, "aes-schedule")
    assert decoded.key_object is not None
    assert decoded.key_object.library is None


def test_pointers_of_another_place_make_no_object() -> None:
    data = aes_key(X64, BASE + 0x1000, KEYS[0])
    assert decode(Patches({BASE: data}), KEYS[0]).encoding == "aes-schedule"


def test_a_damaged_schedule_for_decryption_is_named() -> None:
    data = bytearray(aes_key(X64, BASE, KEYS[0]))
    data[0x140] ^= 1
    decoded = decode(Patches({BASE: bytes(data)}), KEYS[0])
    assert decoded.key_object is not None
    assert decoded.key_object.wrong_parts == ("decryption schedule",)


def test_one_key_has_one_id_wherever_it_lies_and_the_id_is_not_its_plain_hash() -> None:
    object_ = decode(Patches({BASE: aes_key(X64, BASE, KEYS[2])}), KEYS[2])
    bare = decode(Patches({BASE: expand(KEYS[2])}), KEYS[2])
    assert object_.finding.identity == bare.finding.identity
    assert bare.finding.identity[1] != sha256(KEYS[2]).hexdigest()
    other = decode(Patches({BASE: expand(KEYS[0])}), KEYS[0])
    assert other.finding.identity != bare.finding.identity


def test_the_key_is_not_shown() -> None:
    decoded = decode(Patches({BASE: expand(KEYS[0])}), KEYS[0])
    assert repr(KEYS[0]) not in repr(decoded)
    assert KEYS[0].hex() not in repr(decoded)


def decode_decryption(memory: Patches, key: bytes, address: int) -> Decoded:
    return decode_schedule(memory, Schedule(address, key, swapped=False, decryption=True))


def test_a_bare_schedule_for_decryption() -> None:
    decoded = decode_decryption(Patches({BASE: invert(expand(KEYS[1])) + bytes(512)}), KEYS[1], BASE)
    assert (decoded.address, decoded.length, decoded.encoding) == (BASE, 208, "aes-decryption-schedule")
    assert isinstance(decoded.finding, SymmetricKey)
    assert decoded.finding.proof == ("the whole schedule for decryption follows from the key",)
    assert decoded.finding.identity == decode(Patches({BASE: expand(KEYS[1])}), KEYS[1]).finding.identity


@pytest.mark.parametrize("abi", ABIS, ids=lambda abi: f"{abi.architecture}-{abi.layout}")
@pytest.mark.parametrize("key", KEYS, ids=len)
def test_the_object_around_its_schedule_for_decryption(abi: Abi, key: bytes) -> None:
    data = aes_key(abi, BASE, key)
    begin = len(expand(key)) - 16
    assert data[begin : begin + len(expand(key))] == invert(expand(key))
    whole = decode_decryption(Patches({BASE: data}), key, BASE + begin)
    assert whole == decode(Patches({BASE: data}), key)
    damaged = b"\xdd" * 16 + data[16:]
    found = decode_decryption(Patches({BASE: damaged}), key, BASE + begin)
    assert (found.address, found.length, found.encoding) == (BASE, len(data), "symcrypt")
    assert found.key_object is not None
    assert found.key_object.wrong_parts == ("encryption schedule",)
    cut = decode_decryption(Patches({BASE + 64: data[64:]}), key, BASE + begin)
    assert cut.key_object is not None
    assert (cut.key_object.missing_parts, cut.key_object.wrong_parts) == (("encryption schedule",), ())
    assert cut.missing == 64
