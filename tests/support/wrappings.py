"""Text as programs wrap it, and for each wrapping an independent way to undo it."""

from __future__ import annotations

import ast
import base64
import binascii
import html
import json
import quopri
import re
import textwrap
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus, unquote, unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Callable


class Wrapping(NamedTuple):
    """A wrapping of text.

    Attributes:
        wrap: Wraps a text whose lines end with line feeds.
        unwrap: Returns that text again; it shares no code with what is tested, nor with `wrap`.
        name: What it adds to the name of an encoding, in front.
        outside: Characters of its first and its last line that stand around the text, beside a few.
    """

    wrap: Callable[[str], str]
    unwrap: Callable[[str], str]
    name: str = ""
    outside: int = 0


def _json(layers: int) -> Wrapping:
    def wrap(text: str) -> str:
        for _ in range(layers):
            text = json.dumps(text)
        return text

    def unwrap(text: str) -> str:
        for _ in range(layers):
            text = json.loads(text)
        return text

    return Wrapping(wrap, unwrap, "json+" if layers > 2 else "")


class _Lines(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data.replace("\n", "")

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.text += "\n" if tag == "br" else ""

    handle_startendtag = handle_starttag


def _html(text: str) -> str:
    parser = _Lines()
    parser.feed(text)
    return parser.text


def _literal(source: str) -> str:
    """Evaluate string literals of Python, which C's and JavaScript's are too, side by side or added."""

    def value(node: ast.AST) -> str:
        if isinstance(node, ast.BinOp):
            return value(node.left) + value(node.right)
        assert isinstance(node, ast.Constant)
        return str(node.value)

    return value(ast.parse(f"({source})", mode="eval").body)


def _each_line(form: str) -> Callable[[str], str]:
    return lambda text: "\n".join(form.format(line) for line in text.splitlines())


def _numbered(text: str) -> str:
    return "\n".join(f"{number:6}\t{line}" for number, line in enumerate(text.splitlines(), 1))


def _logged(text: str) -> str:
    lines = enumerate(text.splitlines())
    return "\n".join(f"2026-03-0{n % 9 + 1}T10:{n:02}:59.{n * 37:03}Z [worker-{n}] INFO: {line}" for n, line in lines)


def _records(text: str, *, keep_ends: bool, last: bool, more: int = 0) -> str:
    """Each line in an object of JSON, on a line of its own, as the logs of containers have it."""
    records = []
    for n, line in enumerate(text.splitlines(keepends=keep_ends)):
        others = {"stream": "stdout", "time": f"2026-03-0{n % 9 + 1}T10:{n:02}:59.{n * 37:09}Z", "tag": "x" * more}
        records.append({**others, "log": line} if last else {"log": line, **others})
    return "\n".join(map(json.dumps, records))


def _from_records(text: str) -> str:
    lines = [json.loads(record)["log"].removesuffix("\n") for record in text.splitlines()]
    return "\n".join(lines) + "\n"


def _without(pattern: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, "", text, flags=re.MULTILINE) + "\n"


def _visual_basic(text: str) -> str:
    return " & vbCrLf & _\n    ".join(f'"{line}"' for line in text.splitlines())


def _tagged(text: str) -> str:
    return "".join(f"<div>{line}</div>" for line in text.splitlines())


def _cells(text: str) -> str:
    return "\n".join(f"<tr><td>{n}</td><td>{line}</td></tr>" for n, line in enumerate(text.splitlines(), 1))


WRAPPINGS = {
    "json": _json(1),
    "json2": _json(2),
    "json3": _json(3),
    "json4": _json(4),
    "json-records": Wrapping(lambda text: _records(text, keep_ends=True, last=False), _from_records, "json+", 100),
    "json-records-without-ends": Wrapping(
        lambda text: _records(text, keep_ends=False, last=False), _from_records, "json+", 100
    ),
    "json-records-last": Wrapping(lambda text: _records(text, keep_ends=False, last=True), _from_records, "json+", 100),
    "json-records-long": Wrapping(
        lambda text: _records(text, keep_ends=True, last=False, more=600), _from_records, "json+", 700
    ),
    "json-slashes": Wrapping(
        lambda text: json.dumps({"key": text}).replace("/", "\\/").replace("+", "\\u002B"),
        lambda text: json.loads(text)["key"],
        "json+",
    ),
    "json-lines": Wrapping(
        lambda text: json.dumps(text.splitlines(), indent=2), lambda text: "\n".join(json.loads(text)) + "\n", "source+"
    ),
    "url": Wrapping(lambda text: quote(text, safe=""), unquote, "urlencoded+"),
    "url-twice": Wrapping(lambda text: quote(quote(text)), lambda text: unquote(unquote(text)), "urlencoded+"),
    "url-plus": Wrapping(quote_plus, unquote_plus, "urlencoded+"),
    "url-lower-case": Wrapping(
        lambda text: re.sub("%..", lambda match: match[0].lower(), quote_plus(text)), unquote_plus, "urlencoded+"
    ),
    "url-dashes": Wrapping(lambda text: quote(text).replace("-", "%2D"), unquote, "urlencoded+"),
    "url-line-ends": Wrapping(lambda text: text.replace("\n", "%0D%0A"), lambda text: unquote(text).replace("\r", "")),
    "json-in-url": Wrapping(
        lambda text: quote_plus(json.dumps({"k": text})), lambda text: json.loads(unquote_plus(text))["k"]
    ),
    "xml-attribute": Wrapping(
        lambda text: f"<key value={quoteattr(text, {'+': '&#43;', '/': '&#x2F;'})}/>",
        lambda text: ET.fromstring(text).attrib["value"],  # noqa: S314 - it was made here
        "xml+",
    ),
    "xml-carriage-returns": Wrapping(
        lambda text: f"<key>{text}</key>".replace("\n", "&#xD;\n"),
        lambda text: (ET.fromstring(text).text or "").replace("\r", ""),  # noqa: S314 - it was made here
        "xml+",
    ),
    "html": Wrapping(lambda text: text.replace("\n", "<br>\n"), _html, "html+"),
    "html-short": Wrapping(lambda text: text.replace("\n", "<BR/>"), _html, "html+"),
    "html-entities": Wrapping(
        lambda text: text.replace("=", "&equals;").replace("+", "&plus;").replace("/", "&sol;").replace("\n", "&#10;"),
        html.unescape,
        "xml+",
    ),
    "c": Wrapping(_each_line('    "{}\\n"'), _literal, "source+"),
    "c-octal": Wrapping(_each_line('"{}\\012"'), _literal, "source+"),
    "java": Wrapping(lambda text: '"' + text[:-1].replace("\n", '\\n" +\n        "') + '\\n"', _literal, "source+"),
    "java-operators-first": Wrapping(
        lambda text: '"' + text[:-1].replace("\n", '\\r\\n"\n        + "') + '\\n"',
        lambda text: _literal(text).replace("\r", ""),
        "source+",
    ),
    "javascript": Wrapping(lambda text: "'" + text[:-1].replace("\n", "\\n'+\n'") + "\\n'", _literal, "source+"),
    "python": Wrapping(lambda text: repr(text.encode()), lambda text: ast.literal_eval(text).decode()),
    "shell": Wrapping(lambda text: text.replace("\n", "\\\n"), lambda text: text.replace("\\", "")),
    "visual-basic": Wrapping(_visual_basic, lambda text: "\n".join(re.findall('"([^"]*)"', text)) + "\n", "source+"),
    "diff": Wrapping(_each_line("+{}"), _without(r"^\+"), "prefixed+"),
    "diff-removed": Wrapping(_each_line("-{}"), _without(r"^-"), "prefixed+"),
    "mail": Wrapping(_each_line("> > {}"), _without("^> > "), "prefixed+"),
    "commented": Wrapping(_each_line("# {}"), _without("^# "), "prefixed+"),
    "slashes": Wrapping(_each_line("// {}"), _without("^// "), "prefixed+"),
    "javadoc": Wrapping(_each_line("   * {}"), _without(r"^ +\* "), "prefixed+"),
    "numbered": Wrapping(_numbered, _without(r"^ *\d+\t"), "prefixed+"),
    "grep": Wrapping(
        lambda text: "\n".join(f"server.pem:{n}:{line}" for n, line in enumerate(text.splitlines(), 1)),
        _without(r"^server\.pem:\d+:"),
        "prefixed+",
    ),
    "logged": Wrapping(_logged, _without(r"^.*INFO: "), "prefixed+"),
    "table": Wrapping(_each_line("| {}"), _without(r"^\| "), "prefixed+"),
    "indented": Wrapping(lambda text: textwrap.indent(text, "      "), textwrap.dedent),
    "cat -A": Wrapping(lambda text: text.replace("\n", "$\n"), lambda text: text.replace("$", ""), ""),
    "quoted-printable": Wrapping(
        lambda text: quopri.encodestring(text.encode()).decode(), lambda text: quopri.decodestring(text).decode()
    ),
    "vcard": Wrapping(
        lambda text: text.replace("=", "=3D").replace("\n", "=0D=0A"),
        lambda text: quopri.decodestring(text).decode().replace("\r", ""),
        "quoted-printable+",
    ),
    "powershell": Wrapping(
        lambda text: text.replace("\n", "`r`n"), lambda text: text.replace("`r", "").replace("`n", "\n")
    ),
    "terminal": Wrapping(_each_line("\x1b[32m{}\x1b[0m"), _without(r"\x1b\[\d*m"), "ansi+"),
    "lua": Wrapping(lambda text: text.replace("\n", "\\z\n  "), lambda text: text.replace("\\z\n  ", "\n")),
    "rich-text": Wrapping(lambda text: text.replace("\n", "\\line "), lambda text: text.replace("\\line ", "\n")),
    "tags": Wrapping(_tagged, lambda text: "\n".join(re.findall("[^<>]+(?=</div>)", text)) + "\n", "prefixed+"),
    "cells": Wrapping(_cells, lambda text: "\n".join(re.findall("[^<>]+(?=</td></tr>)", text)) + "\n", "prefixed+"),
    "dashes-in-json": Wrapping(lambda text: json.dumps(text).replace("-", "\\u002d"), json.loads, "json+", 20),
    "spaces": Wrapping(lambda text: text.replace("\n", "  "), lambda text: text.replace("  ", "\n")),
}


class Digits(NamedTuple):
    """A way to write bytes as digits.

    Attributes:
        write: Writes them.
        read: Reads them again, by other means.
        name: In the name of an encoding.
    """

    write: Callable[[bytes], str]
    read: Callable[[str], bytes]
    name: str


def _wrapped(data: bytes, width: int, indent: str = "") -> str:
    text = base64.b64encode(data).decode()
    return "\n".join(indent + text[at : at + width] for at in range(0, len(text), width))


def _decode(text: str) -> bytes:
    return binascii.a2b_base64("".join(text.split()))


def _numbers(text: str) -> bytes:
    return bytes(
        int(number, 16) for number in re.findall("[0-9a-fA-F]{2}", text.replace("0x", " ").replace("\\x", " "))
    )


def _registry(data: bytes) -> str:
    """Write a value as `regedit` exports it (REG_BINARY)."""
    numbers = [f"{value:02x}" for value in data]
    lines = [",".join(numbers[at : at + 25]) for at in range(0, len(numbers), 25)]
    return "hex:" + ",\\\r\n  ".join(lines)


DIGITS = {
    "base64": Digits(lambda data: base64.b64encode(data).decode(), _decode, "base64"),
    "base64-64": Digits(lambda data: _wrapped(data, 64), _decode, "base64"),
    "base64-76": Digits(lambda data: base64.encodebytes(data).decode(), _decode, "base64"),
    "base64-odd-lines": Digits(lambda data: _wrapped(data, 61, "\t"), _decode, "base64"),
    "base64url": Digits(
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
        lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)),
        "base64",
    ),
    "hex": Digits(lambda data: data.hex(), bytes.fromhex, "hex"),
    "hex-upper-case": Digits(lambda data: data.hex().upper(), bytes.fromhex, "hex"),
    "hex-lines": Digits(lambda data: textwrap.fill(data.hex(), 60), bytes.fromhex, "hex"),
    "hex-spaces": Digits(lambda data: data.hex(" "), bytes.fromhex, "hex"),
    "hex-colons": Digits(lambda data: data.hex(":"), lambda text: bytes.fromhex(text.replace(":", "")), "hex"),
    "hex-dashes": Digits(lambda data: data.hex("-").upper(), lambda text: bytes.fromhex(text.replace("-", "")), "hex"),
    "hex-registry": Digits(_registry, lambda text: _numbers(text.removeprefix("hex:")), "hex"),
    "hex-array": Digits(
        lambda data: "{" + ", ".join(f"0x{value:02x}" for value in data) + "}",
        lambda text: bytes(ast.literal_eval(text.replace("{", "[").replace("}", "]"))),
        "hex",
    ),
    "hex-array-lines": Digits(
        lambda data: ",\n".join(",".join(f"0x{v:02X}" for v in data[at : at + 12]) for at in range(0, len(data), 12)),
        lambda text: bytes(ast.literal_eval(f"[{text}]")),
        "hex",
    ),
    "hex-literal": Digits(
        lambda data: '"' + "".join(f"\\x{value:02x}" for value in data) + '"',
        lambda text: ast.literal_eval("b" + text),
        "hex",
    ),
}
