"""The ways in which a secret value may be written, against the standard library's own encoders."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.redact.secret import Value
from dumpscan.redact.values.forms import forms

SECRET = bytes(range(100, 148))


def data_of(value: Value) -> list[bytes]:
    return [form.data for form in forms(value)]


@given(st.binary(min_size=6, max_size=80), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_is_found_in_every_phase(secret: bytes, before: bytes, behind: bytes) -> None:
    text = base64.b64encode(before + secret + behind)

    assert any(form in text for form in data_of(Value(secret, "x")))


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        SECRET[::-1],
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        SECRET[::-1].hex().encode(),
        SECRET.hex().encode("utf-16-le"),
        SECRET.hex().encode("utf-16-be"),
        base64.urlsafe_b64encode(SECRET).rstrip(b"="),
        base64.b64encode(SECRET).decode().encode("utf-16-le"),
    ],
)
def test_a_value_is_found_however_it_is_written(written: bytes) -> None:
    assert any(form in written for form in data_of(Value(SECRET, "x")))


def test_words_of_big_numbers() -> None:
    number = int.from_bytes(SECRET, "big")
    words = [(number >> 32 * index) & 0xFFFFFFFF for index in range(12)]
    java = b"".join(word.to_bytes(4, "little") for word in reversed(words))

    assert java in data_of(Value(SECRET, "x", number=True))
    assert java not in data_of(Value(SECRET, "x"))


def test_a_text_is_found_in_utf16_of_either_order_and_in_base64_of_that() -> None:
    value = Value(b"S3cret-of-mine", "x", text=True, random=False)
    for written in ("utf-16-le", "utf-16-be"):
        assert any(form in "=S3cret-of-mine;".encode(written) for form in data_of(value))
    assert any(form in base64.b64encode("S3cret-of-mine".encode("utf-16-le")) for form in data_of(value))


def test_what_stands_before_a_value_stays() -> None:
    value = Value(b"x", "x", text=True, random=False, before=b"NAME=")

    parts = {form.name: form.data[form.begin :] for form in forms(value)}

    assert parts == {"raw": b"x", "utf-16": b"x"}


def test_a_short_value_alone_is_not_looked_for() -> None:
    assert not data_of(Value(b"short", "x"))
