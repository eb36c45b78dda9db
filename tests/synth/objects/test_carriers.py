"""Carriers, undone by readers of the standard library."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects.carriers import CARRIERS, carry
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.private_keys.writers import write_key

if TYPE_CHECKING:
    from collections.abc import Callable

PEM = write_key(make_key("ec-p256", "carried"), "pem")
TEXT = PEM.decode()


def without(prefix: str, suffix: str = "") -> Callable[[bytes], str]:
    def undo(carried: bytes) -> str:
        lines = carried.decode().splitlines()
        assert all(line.startswith(prefix) and line.endswith(suffix) for line in lines)
        return "".join(f"{line[len(prefix) : len(line) - len(suffix)]}\n" for line in lines)

    return undo


UNDO: dict[str, Callable[[bytes], str]] = {
    "base64": lambda carried: base64.b64decode(carried.strip(), validate=True).decode(),
    "base64url": lambda carried: base64.urlsafe_b64decode(carried.strip() + b"==").decode(),
    "base64-lines": lambda carried: base64.b64decode(carried).decode(),
    "hex": lambda carried: bytes.fromhex(carried.decode()).decode(),
    "crlf": lambda carried: carried.decode().replace("\r\n", "\n"),
    "json": lambda carried: str(json.loads(carried)),
    "url": lambda carried: unquote(carried.decode()),
    "url-newlines": lambda carried: carried.decode().replace("%0A", "\n"),
    "xml": lambda carried: html.unescape(carried.decode()),
    "html": lambda carried: carried.decode().replace("<br>\n", "\n"),
    "quoted": without("> "),
    "commented": without("# "),
    "diff": without("+"),
    "indented": without("    "),
    "c-source": without('    "', '\\n"'),
    "js-source": without("  '", "\\n' +"),
    "utf-16le": lambda carried: carried.decode("utf-16-le"),
    "utf-16be": lambda carried: carried.decode("utf-16-be"),
    "utf-32le": lambda carried: carried.decode("utf-32-le"),
    "utf-32be": lambda carried: carried.decode("utf-32-be"),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_each_carrier_changes_a_text_and_gives_it_back(name: str) -> None:
    carried = carry(PEM, (name,))
    assert carried != PEM
    assert UNDO[name](carried) == TEXT


@given(st.lists(st.sampled_from(["base64", "base64url", "hex", "json", "url", "xml"]), max_size=4))
def test_carriers_lie_one_in_the_other(names: list[str]) -> None:
    carried = carry(PEM, tuple(names))
    for name in reversed(names):
        carried = UNDO[name](carried).encode()
    assert carried == PEM


def test_binary_content_needs_a_binary_carrier_first() -> None:
    content = bytes(range(256))
    assert bytes.fromhex(json.loads(carry(content, ("hex", "json")))) == content
    for carriers in (("json",), ("utf-16le",), ("hex", "utf-16le", "json")):
        with pytest.raises(ScenarioError, match="needs text"):
            carry(content, carriers)
