"""A format or export is one line of its registry, from which the command line takes its choices."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest

from dumpscan.output.exports.registry import Target
from dumpscan.output.formats.registry import Format, make_renderer, write_rows
from dumpscan.output.formats.render import View
from dumpscan.output.registry import Registered


def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dumpscan", *command, "--help"], capture_output=True, text=True, check=True
    )
    return re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize("output_format", list(Format))
def test_every_format_writes_what_its_interface_promises(output_format: str) -> None:
    stream = io.StringIO()
    for view in View:
        make_renderer(output_format, command="x", view=view, stream=stream).close()
    write_rows(stream, output_format, ("a", "b"), [(1, "x")])
    assert "x" in stream.getvalue()


@pytest.mark.parametrize("target", list(Target))
def test_every_export_has_its_function(target: Target) -> None:
    if target is Target.STIX:
        pytest.importorskip("stix2")
    assert callable(target.load())


def test_the_command_line_offers_what_is_registered() -> None:
    assert "|".join(Format) in help_of("minidump", "x509")
    assert "|".join(Target) in help_of("case", "export")


def test_a_registry_imports_nothing_until_it_is_asked() -> None:
    class Tools(Registered):
        NONE = "none", "no_such_module:thing"
        JOIN = "join", "posixpath:join"

    assert list(Tools) == ["none", "join"]
    assert Tools("join").load()("a", "b") == "a/b"
    with pytest.raises(ModuleNotFoundError):
        Tools.NONE.load()
