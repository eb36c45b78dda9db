"""Bytes that are written one by one: numbers in lists, strings with escapes, dumps in hexadecimal."""

from __future__ import annotations

import ast
import binascii
import json
import re
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.artifacts.text.units import NUMBERS, QUOTED_PRINTABLE, STRING, UNICODE_STRING, URL, UnitRun
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import BASE, Space, all_keys, certificate_der, key_id, pem, pkcs8, traditional

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.artifacts.text.units import Units
    from dumpscan.findings import Finding

SCANNER = Scanner(X509_DETECTORS)
NAMES = ("rsa1024", "rsa2048", "secp256r1", "secp521r1", "ed25519")


def scan(text: str, coding: str = "ascii") -> list[Finding]:
    collector = Collector()
    data = b"\0\0\x01Q" + text.encode(coding) + b"\0" * 40
    assert SCANNER.scan(Space({BASE: data}), collector) == ()
    return collector.findings()


def octal(data: bytes) -> str:
    return '"' + "".join(f"\\{value:03o}" for value in data) + '"'


def octal_where_needed(data: bytes) -> str:
    plain = (chr(value) if 32 <= value < 127 and value not in b'"\\' else f"\\{value:03o}" for value in data)
    return '"' + "".join(plain) + '"'


def lines(data: bytes, width: int, form: Callable[[int, bytes], str]) -> str:
    return "\n".join(form(at, data[at : at + width]) for at in range(0, len(data), width))


def printable(data: bytes) -> str:
    return "".join(chr(value) if 32 <= value < 127 else "." for value in data)


def xxd(data: bytes) -> str:
    return lines(data, 16, lambda at, part: f"{at:08x}: {part.hex(' ', -2):39}  {printable(part)}")


def hexdump(data: bytes) -> str:
    def line(at: int, part: bytes) -> str:
        return f"{at:08x}  {part[:8].hex(' '):23}  {part[8:].hex(' '):23}  |{printable(part)}|"

    return lines(data, 16, line) + f"\n{len(data):08x}\n"


def windbg(data: bytes) -> str:
    return lines(data, 16, lambda at, part: f"0000021f`{at:08x}  {part[:8].hex(' ')}-{part[8:].hex(' ')}  x.y")


def undump(text: str) -> bytes:
    """Read a dump by the columns: the offset, then digits up to two blanks or the characters."""
    found = b""
    for line in text.splitlines():
        columns = re.match(r"[0-9a-f`]+:?\s+((?:[0-9a-f]{2,8}[ -]{0,2})*)", line)
        digits = "".join(columns[1].replace("-", " ").split()) if columns else ""
        found += bytes.fromhex(digits[:32])
    return found


def list_of(text: str) -> bytes:
    return bytes(value & 255 for value in json.loads(text))


FORMS: dict[str, tuple[Callable[[bytes], str], Callable[[str], bytes]]] = {
    "decimal": (lambda data: json.dumps(list(data)), list_of),
    "decimal-compact": (lambda data: json.dumps(list(data), separators=(",", ":")), list_of),
    "decimal-signed": (lambda data: json.dumps([value - 256 * (value > 127) for value in data]), list_of),
    "decimal-map": (
        lambda data: json.dumps({str(at): value for at, value in enumerate(data)}, separators=(",", ":")),
        lambda text: bytes(json.loads(text).values()),
    ),
    "python": (repr, ast.literal_eval),
    "octal": (octal, lambda text: ast.literal_eval("b" + text)),
    "octal-where-needed": (octal_where_needed, lambda text: ast.literal_eval("b" + text)),
    "json": (lambda data: json.dumps(data.decode("latin-1")), lambda text: json.loads(text).encode("latin-1")),
    "url": (lambda data: "k=" + quote(data, safe=""), lambda text: unquote_to_bytes(text[2:])),
    "mail": (lambda data: binascii.b2a_qp(data, istext=False).decode(), binascii.a2b_qp),
    "xxd": (xxd, undump),
    "hexdump": (hexdump, undump),
    "windbg": (windbg, undump),
    "four-bytes": (lambda data: data.hex(" ", -4), bytes.fromhex),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("key", NAMES)
def test_der(name: str, key: str) -> None:
    write, read = FORMS[name]
    objects = {
        pkcs8(all_keys()[key]): ("private_key", key_id(all_keys()[key])),
        certificate_der(key): ("certificate", sha256(certificate_der(key)).hexdigest()),
    }
    if key != "ed25519":
        objects[traditional(all_keys()[key])] = ("private_key", key_id(all_keys()[key]))
    for data, identity in objects.items():
        text = write(data)
        assert read(text) == data
        (finding,) = scan(text)
        assert finding.identity == identity
        (place,) = finding.locations
        begin = (place.virtual_address or 0) - BASE - 4
        assert place.sha256 == sha256(text.encode()[begin : begin + place.length]).hexdigest()
        assert begin < 24
        assert len(text) - begin - place.length < 64


@pytest.mark.parametrize("name", ["decimal", "decimal-compact", "decimal-signed", "decimal-map"])
def test_pem(name: str) -> None:
    data = pem(pkcs8(all_keys()["secp256r1"]), "PRIVATE KEY")
    (finding,) = scan(FORMS[name][0](data))
    assert finding.identity == ("private_key", key_id(all_keys()["secp256r1"]))
    assert finding.locations[0].encoding == "decimal+pem"


@pytest.mark.parametrize("name", ["hexdump", "windbg"])
def test_dumps_in_utf_16(name: str) -> None:
    (finding,) = scan(FORMS[name][0](pkcs8(all_keys()["rsa2048"])), "utf-16-le")
    assert finding.locations[0].encoding == "dump+hex-utf16"


@given(st.binary(min_size=1, max_size=80), st.sampled_from(["url", "python", "octal-where-needed", "json", "decimal"]))
def test_every_byte_and_its_place(data: bytes, name: str) -> None:
    units: dict[str, tuple[Units, int]] = {
        "url": (URL, 2), "python": (STRING, 2), "octal-where-needed": (STRING, 1), "json": (UNICODE_STRING, 1),
        "decimal": (NUMBERS, 1),
    }  # fmt: skip
    text = FORMS[name][0](data).encode()
    notation, begin = units[name]
    run = notation.behind(text[:begin]).read(text, begin)
    assert run.data[: len(data)] == data
    assert run.stop >= len(text) - 1
    places = [run.place(at, at + 1) for at in range(len(data))]
    assert all(first < last for first, last in places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))


def test_where_a_run_ends() -> None:
    assert UnitRun(NUMBERS, b"1, 255, 256, 3", 0).data == b"\x01\xff"
    assert UnitRun(NUMBERS, b"-128, -129", 0).data == b"\x80"
    assert UnitRun(NUMBERS, b"1, 2.5", 0).data == b"\x01"
    assert UnitRun(QUOTED_PRINTABLE, b"0=82=\r\n=01\r\n", 0).data == b"0\x82\x01"
    assert UnitRun(URL, b"0%82&x=1", 0).data == b"0\x82"
    with pytest.raises(RefusedError):
        UnitRun(NUMBERS, b"x", 0)


def test_a_string_ends_at_its_quotation_mark() -> None:
    text = b"'\"a\\'b' + 'c', 'd'"
    assert STRING.behind(b"k = '").read(text, 1).data == b"\"a'bc"
