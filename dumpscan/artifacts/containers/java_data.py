"""What key stores of Java are written with: `DataOutputStream`, and the serialization of objects.

Sources: the documentation of `java.io.DataOutput`; Java Object Serialization Specification, 6.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dumpscan.artifacts.decoded import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TEXT = 1 << 10
"""Bytes of an alias, or of the name of a class."""
_TIMES = range(788_918_400_000, 4_102_444_800_000)
"""Milliseconds since 1970: 1995, when Java came out, to 2099."""
_FIRST_PRINTABLE = 0x20
_SEQUENCE = b"\x30"
_SHORT, _INT, _LONG = 2, 4, 8

_STREAM_HEADER = bytes.fromhex("aced0005")
_NULL, _REFERENCE, _CLASS, _OBJECT, _TEXT, _ARRAY, _END = b"p", b"q", b"r", b"s", b"t", b"u", b"x"
_MAX_CLASSES = 4
"""A class and those that it extends."""
_MAX_FIELDS = 8


class Cursor:
    """Reads what lies one behind the other.

    Args:
        read: Returns bytes at an offset, fewer where there are no more.
        most: Bytes that may be passed in all.

    Attributes:
        offset: Bytes passed so far.
    """

    def __init__(self, read: Callable[[int, int], bytes], most: int) -> None:
        self._read = read
        self._most = most
        self.offset = 0

    def skip(self, size: int) -> None:
        """Pass `size` bytes without reading them."""
        self.offset += size
        if self.offset > self._most:
            raise RefusedError("larger than such an object can be")

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        begin = self.offset
        self.skip(size)
        data = self._read(begin, size)
        if len(data) < size:
            raise RefusedError("the data ends within the object")
        return data

    def integer(self, *, most: int) -> int:
        """Return the next `int`, which may not be negative or above `most`."""
        value = int.from_bytes(self.take(_INT), "big")
        if value > most:
            raise RefusedError("a number that is too large")
        return value

    def time(self) -> None:
        """Pass a `long` that is a time."""
        if int.from_bytes(self.take(_LONG), "big") not in _TIMES:
            raise RefusedError("a time at which nothing was made")

    def text(self) -> bytes:
        """Return the next string, in Java's own kind of UTF-8."""
        size = int.from_bytes(self.take(_SHORT), "big")
        if size > MAX_TEXT:
            raise RefusedError("a text that is too long")
        text = self.take(size)
        if text and min(text) < _FIRST_PRINTABLE:
            raise RefusedError("no text")
        return text

    def object(self, *, most: int) -> None:
        """Pass an object in DER with its length as an `int` before it, reading nothing but its first byte."""
        size = self.integer(most=most)
        if self.take(1) != _SEQUENCE or not size:
            raise RefusedError("no object")
        self.skip(size - 1)


def take_object(cursor: Cursor, *, most: int) -> list[bytes]:
    """Pass a serialized object whose fields are byte arrays and strings, and return those in their order.

    Args:
        cursor: At the header of the serialization.
        most: Bytes that an array may have.

    Raises:
        RefusedError: If it is none, or has fields of other types.
    """
    if cursor.take(len(_STREAM_HEADER) + 1) != _STREAM_HEADER + _OBJECT:
        raise RefusedError("no serialized object")
    return [_take_value(cursor, most) for _ in range(_take_class(cursor))]


def _take_class(cursor: Cursor) -> int:
    """Pass the description of a class and of those that it extends; return how many fields they have together."""
    count = 0
    for _ in range(_MAX_CLASSES):
        kind = cursor.take(1)
        if kind == _NULL:
            return count
        if kind == _REFERENCE:
            cursor.skip(_INT)
            return count
        if kind != _CLASS:
            break
        cursor.text()
        cursor.skip(_LONG + 1)  # the version of the class, and flags
        fields = int.from_bytes(cursor.take(_SHORT), "big")
        if fields > _MAX_FIELDS:
            break
        for _ in range(fields):
            _take_field(cursor)
        if cursor.take(1) != _END:
            break
        count += fields
    raise RefusedError("no class of those looked for")


def _take_field(cursor: Cursor) -> None:
    if cursor.take(1) not in (b"[", b"L"):
        raise RefusedError("a field that holds no object")
    cursor.text()
    if cursor.take(1) == _TEXT:
        cursor.text()
    else:
        cursor.skip(_INT)


def _take_value(cursor: Cursor, most: int) -> bytes:
    kind = cursor.take(1)
    if kind == _TEXT:
        return cursor.text()
    if kind == _NULL:
        return b""
    if kind == _REFERENCE:
        cursor.skip(_INT)
        return b""
    if kind != _ARRAY:
        raise RefusedError("neither a byte array nor a string")
    _take_class(cursor)
    return cursor.take(cursor.integer(most=most))
