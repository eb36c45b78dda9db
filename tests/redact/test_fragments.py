"""Fragments of random values, at every alignment, in hex, base64 and UTF-16."""

from __future__ import annotations

import base64
import random

import pytest

from dumpscan.redact.copies.fragments import MIN_FRAGMENT, MIN_TEXT, STEP
from dumpscan.redact.copies.search import Copies
from dumpscan.redact.secret import Secret, Value, What

SECRET = random.Random(31).randbytes(96)  # noqa: S311 - a test is to be repeatable
FILLER = random.Random(32).randbytes(512)  # noqa: S311 - as above


def found(data: bytes, *secrets: bytes) -> list[tuple[int, int, str]]:
    copies = Copies()
    for number, secret in enumerate(secrets or (SECRET,)):
        copies.add(Secret(What.PRIVATE_KEYS, f"key {number}", values=(Value(secret, "key", number=True),)))
    return sorted({(place.offset, place.length, place.form) for _, place in copies.find(memoryview(data))})


@pytest.mark.parametrize("shift", range(STEP))
def test_the_shortest_fragment_at_every_alignment(shift: int) -> None:
    begin = len(FILLER) + shift
    data = FILLER + bytes(shift) + SECRET[37 : 37 + MIN_FRAGMENT] + bytes(40)

    assert (begin, MIN_FRAGMENT, "raw") in found(data)


@pytest.mark.parametrize("shift", range(2 * STEP))
@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("form", ["hex", "upper", "base64"])
def test_the_shortest_fragment_of_text_at_every_alignment(form: str, encoding: str, shift: int) -> None:
    text = {"hex": SECRET.hex(), "upper": SECRET.hex().upper(), "base64": base64.b64encode(SECRET).decode()}[form]
    part = text[40 : 40 + MIN_TEXT].encode(encoding)
    data = bytes(3) + b"\xff" * (61 + shift) + part + b"\xff" * 40
    zeros = encoding != "ascii"  # that of the first or the last character is left

    ((offset, length, name),) = found(data)

    assert 64 + shift <= offset <= 64 + shift + zeros
    assert len(part) - zeros <= length <= len(part)
    assert name.startswith("base64" if form == "base64" else "hex")
    assert name.endswith("+utf-16") == zeros


def test_shorter_fragments_are_no_copies() -> None:
    assert not found(FILLER + SECRET[:15] + FILLER)
    assert not found(FILLER + SECRET.hex()[: MIN_TEXT - 1].encode() + FILLER)


def test_one_place_of_two_secrets_is_told_for_both() -> None:
    copies = Copies()
    for name, value in (("long", SECRET), ("short", SECRET[16:64])):
        copies.add(Secret(What.PRIVATE_KEYS, name, values=(Value(value, "key"),)))

    both = {(secret.label, place.offset, place.length) for secret, place in copies.find(memoryview(FILLER + SECRET))}

    assert both == {("long", len(FILLER), 96), ("short", len(FILLER) + 16, 48)}


def test_words_of_big_numbers_in_both_sizes() -> None:
    for size in (4, 8):
        words = b"".join(SECRET[at : at + size][::-1] for at in range(0, len(SECRET), size))
        assert (len(FILLER), len(SECRET), f"words of {8 * size} bits") in found(FILLER + words)


@pytest.mark.parametrize("size", range(STEP + 8))
def test_a_file_that_ends_anywhere_behind_a_copy(size: int) -> None:
    assert (5, len(SECRET), "raw") in found(bytes(5) + SECRET + bytes(size))


def test_what_counts_or_repeats_is_not_looked_up() -> None:
    value = bytes(range(64)) + b"\x11\x22" * 32 + bytes(64)

    assert not found(bytes(range(256)) * 8 + b"\x11\x22" * 500 + bytes(500), value)
