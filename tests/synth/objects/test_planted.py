"""The truth about a planted object at its address, with and without holes."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.objects.spec import ObjectSpec

AT = 0x10_0000
PLAIN = make(ObjectSpec(kind="private_key", algorithm="ec-p256"), "seed")
RSA = make(ObjectSpec(kind="private_key", algorithm="rsa-1024", encoding="symcrypt-x64", wrapped=True), "seed")
CURVE = make(ObjectSpec(kind="private_key", algorithm="ec-p256", encoding="symcrypt-x64"), "seed")
AES = ObjectSpec(kind="symmetric_key", algorithm="aes-256", encoding="symcrypt-x64")


def test_a_plain_object_is_the_same_anywhere() -> None:
    assert PLAIN.at(AT) == PLAIN.at(AT + 1) == PLAIN.data
    assert PLAIN.size == PLAIN.length == len(PLAIN.data)
    assert PLAIN.alignment == 1
    assert PLAIN.truth_at(AT) == {}
    assert PLAIN.truth_at(AT, [(3, 8), (100, 4000)]) == {"missing": 5 + len(PLAIN.data) - 100}


def test_the_truth_of_an_object_with_pointers_depends_on_its_address() -> None:
    data = RSA.at(AT)
    assert data != RSA.at(AT + 32)
    assert len(data) == RSA.size > RSA.length
    assert "sha256" not in RSA.truth()
    assert RSA.truth()["length"] == RSA.length
    assert (RSA.truth()["layout"], RSA.truth()["architecture"]) == ("102+", "x64")
    wrapper = AT + data.index(b"KRSM") - 4
    assert RSA.truth_at(AT) == {"sha256": sha256(data[: RSA.length]).hexdigest(), "wrapper": wrapper}
    with pytest.raises(ScenarioError, match="cannot lie"):
        RSA.at(AT + RSA.alignment // 2)


def test_holes_take_bytes_parts_and_handles() -> None:
    data = RSA.at(AT)
    told = RSA.truth_at(AT, [(0, 32), (RSA.length - 96, RSA.size + 4096)])
    assert told == {
        "sha256": sha256(data[32 : RSA.length - 96]).hexdigest(),
        "missing": 128,
        "missing_parts": ["key structure", "public exponent", "CRT exponent 2"],
    }


def test_a_hole_behind_the_key_takes_only_what_belongs_to_it() -> None:
    told = CURVE.truth_at(AT, [(CURVE.length, CURVE.size)])
    assert told == {"sha256": sha256(CURVE.at(AT)[: CURVE.length]).hexdigest(), "missing_parts": ["curve"]}


def test_symmetric_keys_of_one_name_are_one() -> None:
    object_, old = make(AES, "seed"), make(replace(AES, encoding="symcrypt-x86-old"), "seed")
    bare = make(replace(AES, encoding="aes-schedule"), "seed")
    assert object_.key_id == old.key_id == bare.key_id
    assert object_.key_id != make(AES, "other").key_id
    assert (object_.encoding, bare.encoding) == ("symcrypt", "aes-schedule")
    assert (object_.architecture, old.architecture, bare.architecture) == (None, "x86", None)
    assert object_.at(AT).startswith(bare.data)


def test_no_key_material_is_shown() -> None:
    for planted in (RSA, CURVE, make(AES, "seed")):
        data = planted.at(AT)
        shown = repr(planted) + repr(planted.truth_at(AT))
        for at in range(0, len(data) - 16, 16):
            part = data[at : at + 16]
            assert part == bytes(16) or (part.hex() not in shown and repr(part)[2:-1] not in shown)
