"""Limits on JSON text, checked before it is parsed: a few KiB of packed text can become gigabytes of objects.

Parsed values take up to 70 bytes for every bracket, comma and colon, so these are counted, outside of strings.
"""

from __future__ import annotations

import re

import numpy as np

MAX_DEPTH = 64
"""Levels of brackets. The tables of real kernels have 12."""
MAX_VALUES = 8 << 20
"""Opening brackets, commas and colons. Tables of Windows kernels have up to 390 000."""

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_QUOTE = ord('"')
_OTHERS = bytes(byte for byte in range(256) if byte not in b'"[]{},:')
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_COUNTED = np.zeros(256, np.bool_)
_COUNTED[list(b"[{,:")] = True


class JsonLimits:
    """Watches a text that is read in chunks. It says nothing about text that is not JSON; a parser refuses that."""

    def __init__(self) -> None:
        self._depth = 0
        self._values = 0
        self._in_string = False
        self._escape = b""

    def exceeded_by(self, chunk: bytes) -> str | None:
        """Add the next chunk of the text; return which limit it exceeds, in words, or None."""
        data = self._escape + chunk
        cut = len(data) - len(data.rstrip(b"\\"))
        self._escape = b"\\" if cut % 2 else b""
        if cut % 2:
            data = data[:-1]
        if b"\\" in data:
            data = _ESCAPE.sub(b"  ", data)
        text = np.frombuffer(data.translate(None, _OTHERS), np.uint8)
        if not len(text):
            return None
        # The number of quotes before a byte, modulo 256, is odd inside a string.
        quotes = np.cumsum(text == _QUOTE, dtype=np.uint8) + np.uint8(self._in_string)
        self._in_string = bool(quotes[-1] & 1)
        outside = text[quotes & 1 == 0]
        self._values += int(np.count_nonzero(_COUNTED[outside]))
        if self._values > MAX_VALUES:
            return f"more than {MAX_VALUES} values"
        depths = self._depth + np.cumsum(_STEPS[outside], dtype=np.int32)
        if len(depths):
            self._depth = int(depths[-1])
            if int(depths.max()) > MAX_DEPTH:
                return f"more than {MAX_DEPTH} levels of brackets"
        return None
