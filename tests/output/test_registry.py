"""A format or export is one line of its registry, from which the command line takes its choices."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import subprocess
import sys

import pytest

from dumpscan.findings import Process
from dumpscan.output.exports.registry import Target, export_case
from dumpscan.output.formats.registry import Format, make_renderer, write_rows
from dumpscan.output.formats.render import View
from dumpscan.output.records import finding_record, info_record, process_record
from dumpscan.output.registry import Registered
from support import record_samples as samples
from support import report_samples as cases


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


INFINITE = float("1e999")


@pytest.mark.parametrize("output_format", list(Format))
@pytest.mark.parametrize("view", [View.FINDINGS, View.INFO, View.PSLIST])
def test_infinity_is_written_by_every_format(output_format: str, view: View) -> None:
    endless = dataclasses.replace(
        samples.CERTIFICATE, public_key_size=INFINITE, public_key_curve=None, public_key_exponent=INFINITE
    )
    record = {
        View.FINDINGS: lambda: finding_record(endless),
        View.INFO: lambda: info_record("minidump", "a.dmp", {"size": INFINITE, "list": [INFINITE], "base": -INFINITE}),
        View.PSLIST: lambda: process_record(Process(pid=INFINITE, session=-INFINITE), "a.dmp", environment=False),
    }[view]()
    stream = io.StringIO()
    renderer = make_renderer(output_format, command="x", view=view, stream=stream)
    renderer.add(record)
    renderer.close()
    write_rows(stream, output_format, ("a",), [(INFINITE,)])
    assert stream.getvalue().count("inf") >= 2


@pytest.mark.parametrize("target", list(Target))
def test_infinity_is_exported(target: Target) -> None:
    if target is Target.STIX:
        pytest.importorskip("stix2")
    dump = cases.dump("/a.dmp", size=INFINITE, processes=(Process(pid=INFINITE, created=cases.dump().started),))
    found = dataclasses.replace(samples.CERTIFICATE, sha256="33" * 32, location_count=INFINITE)
    stream = io.StringIO()
    assert export_case([dump], [found], target, stream)
    whole = target in {Target.STIX, Target.MISP}
    for line in [stream.getvalue()] if whole else stream.getvalue().splitlines():
        json.loads(line, parse_constant=pytest.fail)
