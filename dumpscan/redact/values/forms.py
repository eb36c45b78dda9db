"""The ways in which a secret value may be written: bytes in either order, hex, base64, UTF-16, words of big numbers."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dumpscan.redact.secret import Value

MIN_ALONE = 6
"""Bytes of the shortest value that is looked for without what stands before it."""
_WORDS = (4, 8)
_REVERSED = "reversed"
_IN_UTF_16 = "+utf-16"


@dataclass(frozen=True, slots=True)
class Form:
    """A value as it may be written.

    Attributes:
        name: E.g. `reversed`, `hex`, `base64+utf-16`.
        data: The bytes.
        begin: Bytes of these that stand before the value, and stay.
        wide: Whether it is UTF-16.
        lines: Whether it is text that may be cut into lines.
        fragments: Whether any part of it gives the value away.
        rare: Whether so few write it so that it is enough to find copies of which one end is whole.
    """

    name: str
    data: bytes = field(repr=False)
    begin: int = 0
    wide: bool = False
    lines: bool = False
    fragments: bool = False
    rare: bool = False


def forms(value: Value) -> Iterator[Form]:
    """Yield every way in which a value may be written, each once."""
    seen: set[tuple[bytes, int]] = set()
    for form in _all_forms(value):
        if (form.data, form.begin) not in seen:
            seen.add((form.data, form.begin))
            yield form


def with_wide(found: Iterable[Form]) -> Iterator[tuple[Form, Form | None]]:
    """Yield forms, each with the same in UTF-16 if `forms` yields that next, as it does of hex and base64."""
    last: Form | None = None
    for form in found:
        if last is not None and form.name == last.name + _IN_UTF_16:
            yield last, form
            last = None
            continue
        if last is not None:
            yield last, None
        last = form
    if last is not None:
        yield last, None


def _all_forms(value: Value) -> Iterator[Form]:
    if value.before:
        whole = value.before + value.data
        yield Form("raw", whole, len(value.before))
        yield Form("utf-16", _wide(whole), len(_wide(value.before)) + 1, wide=True)
        return
    data = value.data
    if len(data) < MIN_ALONE:
        return
    yield Form("raw", data, fragments=value.random)
    yield Form(_REVERSED, data[::-1], fragments=value.random)
    if value.number:
        for size in _WORDS:
            if len(data) % size == 0:
                words = b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))
                yield Form(f"words of {8 * size} bits", words, fragments=True)
    if value.derived:
        return
    if value.text:
        yield Form("utf-16", _wide(data), wide=True)
        yield from _text_forms("utf-16", _wide(data) + b"\0", value)
    yield from _text_forms("", data, value)
    yield from _text_forms(_REVERSED, data[::-1], value)


def _text_forms(prefix: str, data: bytes, value: Value) -> Iterator[Form]:
    """Yield hex and base64 of bytes, and UTF-16 of these."""
    for name, text in _texts(data):
        full = f"{prefix}+{name}" if prefix else name
        if len(text) >= MIN_ALONE:
            rare = prefix == _REVERSED
            yield Form(full, text, lines=True, fragments=value.random, rare=rare)
            yield Form(full + _IN_UTF_16, _wide(text), wide=True, lines=True, fragments=value.random, rare=rare)


def _texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    digits = data.hex().encode()
    yield "hex", digits
    yield "hex", digits.upper()
    for phase in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(bytes(phase) + data)
            # The first characters hold bits of what stands before, the last one bits of what follows.
            yield "base64", text[-(-8 * phase // 6) : 8 * (phase + len(data)) // 6]


def _wide(text: bytes) -> bytes:
    """Return UTF-16 (little-endian) of UTF-8; of what is not UTF-8, each byte with a zero.

    The last byte is left out if it is zero: without it, the same bytes are within big-endian UTF-16 too.
    """
    try:
        wide = text.decode().encode("utf-16-le")
    except UnicodeDecodeError:
        wide = b"".join(bytes((byte, 0)) for byte in text)
    return wide.removesuffix(b"\0")
