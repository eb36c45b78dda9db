"""A case as one HTML file for people: self-contained, without scripts, the worst first.

The page fetches nothing: its policy (CSP) forbids everything but its own style sheet, named by its hash. Every string
passes through `printable` and is escaped, whatever expression of the template it comes from.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dumpscan._version import __version__
from dumpscan.case.moments import At
from dumpscan.output.report.model import build
from dumpscan.output.report.rows import MAX_COMMAND_LINE, MAX_PROBLEMS
from dumpscan.output.report.texts import MAX_NAMES, minute, shorten
from dumpscan.output.text import printable, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from typing import TextIO

    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding

_TEMPLATES = "templates"
_BUFFERED = 256
"""Pieces of the page (expressions, stretches of the template) that are written together."""


def write_report(
    dumps: Iterable[DumpRecord],
    findings: Iterable[Finding],
    stream: TextIO,
    *,
    title: str,
    generated: datetime,
    at: At | None = None,
    version: str = __version__,
    settings: Mapping[str, object] | None = None,
) -> None:
    """Write the report. The same arguments give the same bytes.

    Args:
        dumps: The inputs of the case.
        findings: Every finding once, in any order; pairs need not be made.
        stream: Where to write, UTF-8.
        title: The heading, e.g. the name of the case.
        generated: The time of the report. Without a zone it is UTC.
        at: By which moments certificates are judged; by default, that time and when the dumps were made.
        version: Version of dumpscan.
        settings: Further settings, for the record; those of the dumps are added.

    Raises:
        OSError: The stream cannot take it.
    """
    moment = generated.astimezone(UTC) if generated.tzinfo else generated.replace(tzinfo=UTC)
    report = build(
        dumps, findings, title=title, at=at or At(moment), generated=moment, version=version, settings=settings or {}
    )
    style = resources.files("dumpscan.output.report").joinpath(_TEMPLATES, "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    page = (
        _environment(report.shown)
        .get_template("report.html.j2")
        .stream(
            report=report,
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=f"sha256-{digest}",
        )
    )
    page.enable_buffering(_BUFFERED)
    for piece in page:
        write_text(stream, piece)


def _environment(shown: Callable[[str], str]) -> Environment:
    environment = Environment(
        loader=PackageLoader("dumpscan.output.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"minute": minute, "shorten": shorten, "shown": shown}
    environment.globals |= {
        "MAX_COMMAND_LINE": MAX_COMMAND_LINE,
        "MAX_NAMES": MAX_NAMES,
        "MAX_PROBLEMS": MAX_PROBLEMS,
    }
    return environment


def _shown(value: object) -> object:
    """Return what an expression of the template shows: markup as it is, anything else as printable text."""
    return value if isinstance(value, Markup) else printable(str(value))
