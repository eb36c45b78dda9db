"""Every copy of a known secret, whole or in fragments."""

from __future__ import annotations

import base64
import random
import textwrap

import pytest

from dumpscan.redact.copies.search import Copies
from dumpscan.redact.secret import Place, Secret, Value, What, merged

SECRET = random.Random(16).randbytes(128)  # noqa: S311 - a test is to be repeatable
FILLER = random.Random(17).randbytes(4096)  # noqa: S311 - as above


def places(data: bytes, *values: Value) -> list[tuple[int, int]]:
    copies = Copies()
    copies.add(Secret(What.PRIVATE_KEYS, "key", values=values))
    found = merged(place for _, place in copies.find(memoryview(data)))
    return [(place.offset, place.length) for place in found]


def test_a_whole_copy() -> None:
    assert places(FILLER + SECRET + FILLER, Value(SECRET, "x")) == [(len(FILLER), len(SECRET))]


@pytest.mark.parametrize("lost", [1, 15, 64, 97])
@pytest.mark.parametrize("at_end", [False, True])
def test_a_copy_of_which_a_part_is_overwritten(lost: int, at_end: bool) -> None:  # noqa: FBT001 - a parameter
    rest = SECRET[:-lost] if at_end else SECRET[lost:]
    data = FILLER + rest + b"\0" * 200

    found = places(data, Value(SECRET, "x"))

    assert found == [(len(FILLER), len(rest))]


def test_base64_in_lines_is_one_place() -> None:
    text = "\r\n".join(textwrap.wrap(base64.b64encode(SECRET).decode(), 64)).encode()

    ((offset, length),) = places(FILLER + text + FILLER, Value(SECRET, "x"))

    # The last characters before the padding hold bits of nothing else but the padding.
    assert offset == len(FILLER)
    assert length >= len(text) - 4


def test_copies_at_both_ends_of_the_file() -> None:
    assert places(SECRET + FILLER + SECRET, Value(SECRET, "x")) == [
        (0, len(SECRET)),
        (len(SECRET) + len(FILLER), len(SECRET)),
    ]


def test_a_copy_across_two_blocks_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.redact.copies.fragments._BLOCK", len(FILLER) + 40)

    assert places(FILLER + SECRET + FILLER, Value(SECRET, "x")) == [(len(FILLER), len(SECRET))]


def test_tables_and_zeros_are_no_copies() -> None:
    value = bytes(64) + bytes(range(64)) + b"\xff" * 64

    assert not places(bytes(range(256)) * 4 + bytes(1000), Value(value, "x"))


def test_a_text_must_be_whole() -> None:
    value = Value(b"correct horse battery staple", "x", random=False, text=True)

    assert not places(b"correct horse battery stable" + FILLER, value)
    assert places(b"the correct horse battery staple!", value) == [(4, 28)]


def test_secrets_added_later_are_found_too() -> None:
    other = SECRET[::-1][:64]
    copies = Copies()
    copies.add(Secret(None, "one", values=(Value(b"password-one", "x", random=False, text=True),)))
    assert [secret.label for secret, _ in copies.find(memoryview(b"..password-one.."))] == ["one"]
    copies.add(Secret(None, "two", values=(Value(other, "x"),)))

    found = {secret.label for secret, _ in copies.find(memoryview(b"..password-one.." + other))}

    assert found == {"one", "two"}


def test_places_that_overlap_are_joined() -> None:
    joined = merged([Place(10, 5, "b"), Place(0, 12, "a"), Place(20, 1, "c"), Place(0, 3, "d")])

    assert [(place.offset, place.length) for place in joined] == [(0, 15), (20, 1)]


def test_of_a_changed_file_only_new_secrets_are_looked_for_everywhere() -> None:
    old, new = SECRET[:32], SECRET[64:96]
    first = bytes(1000) + old + bytes(1000)
    copies = Copies()
    copies.add(Secret(What.PRIVATE_KEYS, "old", values=(Value(old, "key"),)))
    assert len(list(copies.find(memoryview(first)))) >= 1

    # The file is changed at 3000: a copy that has a part there is found; one elsewhere was overwritten before.
    changed = bytes(1000) + old + bytes(1968) + old + bytes(1000) + new
    copies.add(Secret(What.PRIVATE_KEYS, "new", values=(Value(new, "key"),)))
    found = list(copies.find(memoryview(changed), None, [(3020, 3030)]))

    assert {(secret.label, place.offset) for secret, place in found} == {("old", 3000), ("new", 4032)}
