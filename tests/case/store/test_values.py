"""Values of a case file are checked when they are read, and named when they are wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import pytest

from dumpscan.case.records import CaseError
from dumpscan.case.store.values import MAX_NUMBER_BITS, Row, stored, stored_address


class Colour(StrEnum):
    RED = "red"


def row(value: object) -> Row:
    return Row({"size": value}, "/a.db: dumps")


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        ("text", "\ud800\x00", "\ud800\x00"),
        ("blob", b"\xff", b"\xff"),
        ("integer", -(1 << 63) + 1, -(1 << 63) + 1),
        ("number", 0, 0),
        ("number", "0x" + "f" * (MAX_NUMBER_BITS // 4), (1 << MAX_NUMBER_BITS) - 1),
        ("flag", 1, True),
        ("flag", True, True),
        ("address", "0xffffffffffffffff", (1 << 64) - 1),
        ("digest", "ab" * 32, "ab" * 32),
        ("thumbprint", "AB" * 20, "AB" * 20),
        ("time", "2025-06-01T08:00:00.5Z", datetime(2025, 6, 1, 8, 0, 0, 500000, tzinfo=UTC)),
        ("texts", '["a", "b"]', ("a", "b")),
        ("texts", "[]", ()),
        ("pairs", '[["p", "17"]]', (("p", "17"),)),
        ("extents", "[[0, 9223372036854775807]]", ((0, (1 << 63) - 1),)),
        ("settings", '{"aes": true, "symbols": ["/a"]}', {"aes": True, "symbols": ["/a"]}),
    ],
)
def test_what_is_as_it_should_be(method: str, value: object, expected: object) -> None:
    assert getattr(row(value), method)("size") == expected


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("text", [1, b"a", None, 1.0]),
        ("blob", ["a", 1, None]),
        ("integer", ["1", 1.0, True, 1 << 63]),
        ("number", [-1, 1.0, "1", "0x", "-0x1", "0x" + "f" * (MAX_NUMBER_BITS // 4 + 1), 1 << MAX_NUMBER_BITS, True]),
        ("flag", [2, -1, "1", 1.0, [], None]),
        ("address", [1, "0x1", "0x00000000000000001", "0X0000000000000001", "-0x0000000000000001"]),
        ("digest", ["ab" * 31, "AB" * 32, "zz" * 32, b"ab" * 32, 1]),
        ("thumbprint", ["ab" * 20, "AB" * 21]),
        ("time", ["2025-06-01", "2025-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "Z", 1748764800, ""]),
        ("texts", ['"a"', "[1]", "{}", "[", "[" * 100_000, "[" + "9" * 5000 + "]", b"[]", 1]),
        ("pairs", ['["ab"]', '[["a"]]', '[["a", 1]]', '{"a": "b"}']),
        ("extents", ["[[0]]", "[[-1, 0]]", "[[0, 9223372036854775808]]", "[[0, 1.5]]", "[[true, 1]]", "[[0, 1e999]]"]),
        ("settings", ["[]", '{"a": {}}', '{"a": 1.5}', '{"a": [1]}', "null"]),
        ("nested", ["[]", "null", "1"]),
    ],
)
def test_what_is_not(method: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(CaseError, match=r"^/a\.db: dumps\.size is damaged: expected .*, found "):
            getattr(row(value), method)("size")


def test_a_choice_and_what_may_be_missing() -> None:
    assert row("red").choice("size", Colour) is Colour.RED
    for value in ("blue", b"red", None, 1, []):
        with pytest.raises(CaseError, match="one of red"):
            row(value).choice("size", Colour)
    assert row(None).optional(row(None).text, "size") is None
    with pytest.raises(CaseError, match=r"dumps\.colour is damaged: expected a value, found nothing"):
        row(1).text("colour")


def test_the_value_itself_is_not_shown() -> None:
    with pytest.raises(CaseError) as caught:
        row("secret\x1b[31m").number("size")
    assert "secret" not in str(caught.value)


def test_an_object_within_json() -> None:
    inner = row('{"size": {"kind": "a"}}').nested("size").nested("size")
    assert inner.text("kind") == "a"
    assert "kind" in inner
    with pytest.raises(CaseError, match=r"dumps\.size\.size\.kind is damaged"):
        inner.number("kind")


@pytest.mark.parametrize("number", [0, 1, (1 << 63) - 1, 1 << 63, (1 << MAX_NUMBER_BITS) - 1])
def test_numbers_come_back(number: int) -> None:
    assert row(stored(number)).number("size") == number


@pytest.mark.parametrize("number", [-1, 1 << MAX_NUMBER_BITS])
def test_numbers_that_would_not_come_back_are_not_stored(number: int) -> None:
    with pytest.raises(ValueError, match="no column"):
        stored(number)


def test_times_come_back_in_utc_and_sort_as_text() -> None:
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(2025, 6, 1, 8, tzinfo=timezone(timedelta(hours=2))),
        datetime(2025, 6, 1, 7),  # noqa: DTZ001 - without a zone it is taken as UTC
        datetime(9999, 12, 31, tzinfo=UTC),
    ]
    texts = [str(stored(moment)) for moment in moments]
    assert texts == sorted(texts)
    assert [row(text).time("size").hour for text in texts] == [0, 6, 7, 0]


def test_addresses_sort_as_numbers() -> None:
    addresses = [0, 9, 10, 1 << 63, (1 << 64) - 1]
    texts = [str(stored_address(address)) for address in addresses]
    assert texts == sorted(texts)
    assert [row(text).address("size") for text in texts] == addresses
    assert stored_address(None) is None
