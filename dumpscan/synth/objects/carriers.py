"""Carriers: text in which programs keep keys and certificates, such as JSON, base64 or source code.

A carrier turns bytes into other bytes. Carriers are applied in the order of the scenario, so that `["json", "json"]` is
a JSON string in a JSON string and `["base64"]` of a PEM text is what a kubeconfig holds.
"""

from __future__ import annotations

import base64
import json
import textwrap
from typing import TYPE_CHECKING
from urllib.parse import quote

from dumpscan.exceptions import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable

_XML = str.maketrans({"\n": "&#xA;", "\r": "&#xD;", "+": "&#43;", "&": "&amp;", "<": "&lt;", '"': "&quot;"})


def _lines(form: Callable[[str], str]) -> Callable[[str], str]:
    """Return a carrier that writes each line of a text in its own form."""
    return lambda text: "".join(f"{form(line)}\n" for line in text.splitlines())


_BINARY: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64url": lambda content: base64.urlsafe_b64encode(content).rstrip(b"="),
    "base64-lines": base64.encodebytes,
    "hex": lambda content: content.hex().encode(),
}
_TEXT: dict[str, Callable[[str], str]] = {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "json": json.dumps,
    "url": lambda text: quote(text, safe=""),
    "url-newlines": lambda text: text.replace("\n", "%0A"),
    "xml": lambda text: text.translate(_XML),
    "html": lambda text: text.replace("\n", "<br>\n"),
    "quoted": _lines(lambda line: f"> {line}"),
    "commented": _lines(lambda line: f"# {line}"),
    "diff": _lines(lambda line: f"+{line}"),
    "indented": lambda text: textwrap.indent(text, "    "),
    "c-source": _lines(lambda line: f'    "{line}\\n"'),
    "js-source": _lines(lambda line: f"  '{line}\\n' +"),
}
_ENCODINGS = {
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-32le": "utf-32-le",
    "utf-32be": "utf-32-be",
}
CARRIERS = (*_BINARY, *_TEXT, *_ENCODINGS)
"""The carriers by the name that a scenario gives. All except base64 and hex need text."""


def carry(content: bytes, carriers: tuple[str, ...]) -> bytes:
    """Return `content` in one carrier after another.

    Raises:
        ScenarioError: If a carrier is unknown, or needs text and gets binary content.
    """
    for name in carriers:
        if name in _BINARY:
            content = _BINARY[name](content)
            continue
        if name not in CARRIERS:
            raise ScenarioError(f"unknown carrier {name!r}; expected one of {', '.join(CARRIERS)}")
        if not content.isascii() or b"\0" in content:
            raise ScenarioError(f"carrier {name!r} needs text, but the object is binary; put base64 or hex before it")
        text = content.decode("ascii")
        content = text.encode(_ENCODINGS[name]) if name in _ENCODINGS else _TEXT[name](text).encode()
    return content
