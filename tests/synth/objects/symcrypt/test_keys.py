from __future__ import annotations

import pytest

from dumpscan.artifacts.aes.schedule import find
from dumpscan.artifacts.symcrypt.detectors import decode_int, decode_modulus, decode_wrapper
from dumpscan.exceptions import ScenarioError
from dumpscan.model.c_symcrypt import INT_TAG, MODULUS_TAG
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.symcrypt.keys import BUILDS, SymcryptObject, garbled, make_aes, make_symcrypt
from support.symcrypt_samples import Patches, tags

AT = 0x00AB_CD20 // 32 * 32
EVERY_BUILD = pytest.mark.parametrize("build", BUILDS)


def found_in(made: SymcryptObject, address: int) -> set[tuple[str, str, int, int]]:
    """Identity, address and length of every key that the tags in an object lead to."""
    memory = Patches({address: made.at(address)}, made.abi.pointer_size)
    decoded = [decode_modulus(memory, at) for at in tags(memory, MODULUS_TAG)]
    decoded += [decode_int(memory, at) for at in tags(memory, INT_TAG)]
    return {(*one.finding.identity, one.address, one.length) for one in decoded if one is not None}


@EVERY_BUILD
@pytest.mark.parametrize("algorithm", ["rsa-1024", "ec-p256", "ec-p384", "ec-p521", "x25519", "dsa-1024"])
def test_a_key_of_every_build_is_found_where_it_is_put(build: str, algorithm: str) -> None:
    key = make_key(algorithm, "objects")
    made = make_symcrypt(key, build, seed="objects")
    for address in (AT, AT + 0x12340):
        assert found_in(made, address) == {("private_key", key.key_id, address, made.key_size)}
    assert len(made.at(AT)) == made.size
    assert made.at(AT) == make_symcrypt(key, build, seed="objects").at(AT)


@EVERY_BUILD
@pytest.mark.parametrize("algorithm", ["rsa-1024", "ec-p256", "x25519"])
def test_a_public_key_of_every_build(build: str, algorithm: str) -> None:
    key = make_key(algorithm, "objects")
    made = make_symcrypt(key, build, public_only=True)
    assert found_in(made, AT) == {("public_key", key.key_id, AT, made.key_size)}


@EVERY_BUILD
def test_a_handle_points_to_its_key(build: str) -> None:
    made = make_symcrypt(make_key("rsa-1024", "objects"), build, wrapped=True)
    assert made.wrapper is not None
    decoded = decode_wrapper(Patches({AT: made.at(AT)}, made.abi.pointer_size), AT + made.wrapper)
    assert decoded is not None
    assert decoded.address == AT
    assert decoded.key_object is not None
    assert decoded.key_object.wrapper == AT + made.wrapper


@EVERY_BUILD
@pytest.mark.parametrize("size", [16, 24, 32])
def test_an_aes_key_of_every_build(build: str, size: int) -> None:
    """Its schedules of encryption and decryption share a round key."""
    key = bytes(range(size))
    last_round_key = 16 * (size // 4 + 6)
    found = [(schedule.address, schedule.key) for schedule in find(make_aes(key, build).at(AT))]
    assert found == [(0, key), (last_round_key, key)]


@EVERY_BUILD
@pytest.mark.parametrize("algorithm", ["rsa-1024", "ec-p256", "x25519"])
def test_a_garbled_key_has_the_tags_of_a_key_and_is_not_found(build: str, algorithm: str) -> None:
    made = make_symcrypt(make_key(algorithm, "objects"), build)
    noise = garbled(made, "seed")
    memory = [Patches({AT: which.at(AT)}, made.abi.pointer_size) for which in (made, noise)]
    for tag in (INT_TAG, MODULUS_TAG):
        assert set(tags(memory[0], tag)) <= set(tags(memory[1], tag))
    assert found_in(noise, AT) == set()
    assert noise.at(AT) == garbled(made, "seed").at(AT) != garbled(made, "other").at(AT)


@EVERY_BUILD
def test_the_parts_of_a_key_follow_one_another_and_are_named_where_they_are_cut(build: str) -> None:
    made = make_symcrypt(make_key("rsa-1024", "objects"), build)
    parts = {part.name: part for part in made.parts}
    names = (
        "key structure, modulus, public exponent, prime 1, prime 2, private exponent, CRT exponent 1, CRT exponent 2"
    )
    assert ", ".join(parts) == names
    numbers = [part for part in made.parts if part.value is not None]
    assert [part.name for part in sorted(numbers, key=lambda part: part.start)] == [part.name for part in numbers]
    data = made.at(AT)
    read = {part.name: int.from_bytes(data[part.value : part.end], "little") for part in numbers}
    assert read["modulus"] == read["prime 1"] * read["prime 2"]
    assert read["private exponent"] % (read["prime 1"] - 1) == read["CRT exponent 1"]
    prime = parts["prime 1"]
    assert made.parts_in([(prime.end - 1, prime.end)]) == ("prime 1",)
    assert made.parts_in([(0, 1)]) == ("key structure", "public exponent")
    assert made.parts_in([(prime.end, prime.end), (made.key_size, made.size)]) == ()


def test_objects_that_cannot_be_made_are_refused() -> None:
    rsa_key, curve_key = make_key("rsa-1024", "objects"), make_key("ec-p256", "objects")
    with pytest.raises(ScenarioError, match="unknown build"):
        make_symcrypt(rsa_key, "symcrypt-mips")
    with pytest.raises(ScenarioError, match="handle"):
        make_symcrypt(curve_key, "symcrypt-x64", wrapped=True)
    with pytest.raises(ScenarioError, match="no such Ed25519"):
        make_symcrypt(make_key("ed25519", "objects"), "symcrypt-x64")
    with pytest.raises(ScenarioError, match="120 bits"):
        make_aes(bytes(15), "symcrypt-x64")
    for address in (AT + 8, 1 << 32, -32):
        with pytest.raises(ScenarioError, match="cannot lie"):
            make_symcrypt(rsa_key, "symcrypt-x86").at(address)
