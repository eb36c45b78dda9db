"""Converts values to what a case file stores, and back. A value is checked once, when it is read.

A case file may be damaged, or made to do harm, and SQLite lets every column hold any value. So nothing that is read is
used before its type and its form have been checked.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, TypeGuard, TypeVar

from dumpscan.case.records import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from enum import StrEnum

    Choice = TypeVar("Choice", bound=StrEnum)

Value = str | int | float | bytes | None
"""A value as SQLite returns it."""
Setting = bool | int | str | list[str] | None
T = TypeVar("T")

MAX_NUMBER_BITS = 4096
"""Bits of the largest number. Python refuses to write integers of more than 4300 decimal digits."""
_MAX_INTEGER = (1 << 63) - 1
_ADDRESS_DIGITS = 16
_ADDRESS = re.compile(rf"0x[0-9a-f]{{{_ADDRESS_DIGITS}}}")
_NUMBER = re.compile(rf"0x[0-9a-f]{{1,{MAX_NUMBER_BITS // 4}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9A-F]{40}")
_ONE_EXTENT = re.compile(r"\[\[([0-9]{1,18}),([0-9]{1,18})\]\]")
_NO_OFFSET = timedelta(0)


# --- Writing ---------------------------------------------------------------------------------------------------------


def stored(value: object) -> object:
    """Return a field's value as its column stores it.

    Times are text that sorts chronologically. Numbers too large for SQLite are text in hex. Tuples and mappings are
    JSON.

    Raises:
        ValueError: The value is a number that `Row.number` would refuse.
    """
    match value:
        case str():
            return str(value)  # of a member of an enumeration, its value
        case bool() | bytes() | None:
            return value
        case int():
            if value < 0 or value.bit_length() > MAX_NUMBER_BITS:
                raise ValueError("a number that no column holds")
            return value if value <= _MAX_INTEGER else hex(value)
        case datetime():
            moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            return moment.replace(tzinfo=None).isoformat() + "Z"
        case _:
            return as_json(value)


as_json = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
"""Returns a value as JSON; `json.dumps` would make an encoder for each."""


def detail(value: object) -> object:
    """Return a field's value as the JSON object `details` stores it."""
    return value if isinstance(value, tuple) else stored(value)


def stored_address(value: int | None) -> str | None:
    """Return an address as text of fixed width, which sorts and compares as numbers do."""
    return None if value is None else f"{value:#0{_ADDRESS_DIGITS + 2}x}"


# --- Reading ---------------------------------------------------------------------------------------------------------


class Row(dict[str, object]):
    """The values of a row by column, or those of a JSON object by name. The methods check and convert them.

    Every method takes the name of a column, and raises `CaseError` if its value is not of the expected type and form.

    Args:
        values: The values by column.
        where: The case file and the table, for messages.
    """

    __slots__ = ("_where",)

    def __init__(self, values: Mapping[str, object] | Iterable[tuple[str, object]], where: str) -> None:
        super().__init__(values)
        self._where = where

    def __missing__(self, column: str) -> NoReturn:
        self.refuse(column, "a value")

    def optional(self, read: Callable[[str], T], column: str) -> T | None:
        """Return None for NULL, and otherwise what `read` returns for the column."""
        return None if self[column] is None else read(column)

    def text(self, column: str) -> str:
        """Return text."""
        value = self[column]
        return value if isinstance(value, str) else self.refuse(column, "text")

    def blob(self, column: str) -> bytes:
        """Return bytes."""
        value = self[column]
        return value if isinstance(value, bytes) else self.refuse(column, "bytes")

    def integer(self, column: str) -> int:
        """Return an integer of 64 bits with sign."""
        value = self[column]
        if type(value) is int and -_MAX_INTEGER <= value <= _MAX_INTEGER:
            return value
        return self.refuse(column, "an integer of 64 bits")

    def number(self, column: str) -> int:
        """Return an integer from 0. Large ones are stored as text in hex."""
        value = self[column]
        if type(value) is int and value >= 0 and value.bit_length() <= MAX_NUMBER_BITS:
            return value
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return int(value, 16)
        return self.refuse(column, "an integer from 0, or a larger one in hex")

    def flag(self, column: str) -> bool:
        """Return a truth value."""
        value = self[column]
        return bool(value) if isinstance(value, int) and value in {0, 1} else self.refuse(column, "0 or 1")

    def address(self, column: str) -> int:
        """Return an address, 0 to 2^64 - 1."""
        value = self[column]
        if isinstance(value, str) and _ADDRESS.fullmatch(value):
            return int(value, 16)
        return self.refuse(column, f"an address as 0x and {_ADDRESS_DIGITS} hex digits")

    def digest(self, column: str) -> str:
        """Return a SHA-256 as 64 hex digits."""
        value = self[column]
        if isinstance(value, str) and _SHA256.fullmatch(value):
            return value
        return self.refuse(column, "64 hex digits")

    def thumbprint(self, column: str) -> str:
        """Return a SHA-1 as 40 hex digits."""
        value = self[column]
        if isinstance(value, str) and _SHA1.fullmatch(value):
            return value
        return self.refuse(column, "40 hex digits")

    def time(self, column: str) -> datetime:
        """Return a time in UTC."""
        value = self[column]
        if isinstance(value, str) and value.endswith("Z"):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                pass
            else:
                if moment.utcoffset() == _NO_OFFSET:
                    return moment
        return self.refuse(column, "a time such as 2025-06-01T08:00:00Z")

    def choice(self, column: str, choices: type[Choice]) -> Choice:
        """Return a member of an enumeration."""
        value = self[column]
        found = next((choice for choice in choices if choice == value), None)
        return self.refuse(column, f"one of {', '.join(choices)}") if found is None else found

    def texts(self, column: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self.json(column)
        if isinstance(values, list) and all(map(_is_text, values)):
            return tuple(values)
        return self.refuse(column, "a JSON list of texts")

    def numbers(self, column: str) -> tuple[int, ...]:
        """Return a list of numbers."""
        values = self.json(column)
        if isinstance(values, list) and all(type(value) is int for value in values):
            return tuple(values)
        return self.refuse(column, "a JSON list of numbers")

    def pairs(self, column: str) -> tuple[tuple[str, str], ...]:
        """Return a list of pairs of texts."""
        values = self.json(column)
        if isinstance(values, list) and all(_is_pair(value) and all(map(_is_text, value)) for value in values):
            return tuple((first, second) for first, second in values)
        return self.refuse(column, "a JSON list of pairs of texts")

    def extents(self, column: str) -> tuple[tuple[int, int], ...]:
        """Return a list of pairs of an offset and a length in bytes."""
        text = self[column]
        if isinstance(text, str) and (one := _ONE_EXTENT.fullmatch(text)):  # as most are: a tenth of JSON's time
            return ((int(one[1]), int(one[2])),)
        values = self.json(column)
        if isinstance(values, list) and all(_is_pair(value) and all(map(_is_size, value)) for value in values):
            return tuple((offset, length) for offset, length in values)
        return self.refuse(column, "a JSON list of pairs of an offset and a length")

    def nested(self, column: str) -> Row:
        """Return a JSON object."""
        value = self.json(column)
        if isinstance(value, dict):
            return Row(value, f"{self._where}.{column}")
        return self.refuse(column, "a JSON object")

    def settings(self, column: str) -> dict[str, Setting]:
        """Return a JSON object of plain values and lists of texts."""
        values = self.json(column)
        if isinstance(values, dict) and all(map(_is_setting, values.values())):
            return values
        return self.refuse(column, "a JSON object of settings")

    def json(self, column: str) -> object:
        """Return a value parsed from JSON; within a JSON object, the value itself."""
        value = self[column]
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return self.refuse(column, "JSON")

    def refuse(self, column: str, expected: str) -> NoReturn:
        """Report that a value is not what it should be. The message does not contain the value.

        Raises:
            CaseError: Always.
        """
        found = _KINDS.get(type(self.get(column)), "something else")
        raise CaseError(f"{self._where}.{column} is damaged: expected {expected}, found {found}")


_KINDS: Mapping[type, str] = {
    type(None): "nothing",
    str: "other text",
    bytes: "bytes",
    int: "another number",
    float: "a fraction",
}


def _is_pair(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list) and len(value) == 2  # noqa: PLR2004 - a pair


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_setting(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_text, value))
    return value is None or isinstance(value, bool | str) or _is_size(value)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_INTEGER
