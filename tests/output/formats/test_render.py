"""JSON and JSON lines: valid for any reader, whatever strings a dump holds."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan import __version__
from dumpscan.findings import SCHEMA_VERSION, InputStatus, Status
from dumpscan.output.formats.registry import make_renderer
from dumpscan.output.formats.render import View
from dumpscan.output.records import Record, finding_record, input_record
from support import output_samples as samples


def rendered(form: str, records: list[Record], inputs: tuple[InputStatus, ...] = (), view: View = View.FINDINGS) -> str:
    stream = io.StringIO()
    renderer = make_renderer(form, command="minidump x509", view=view, stream=stream)
    for record in records:
        renderer.add(record)
    for status in inputs:
        renderer.add_input(status)
    renderer.close()
    return stream.getvalue()


def test_json_is_one_document() -> None:
    records = [finding_record(finding) for finding in samples.findings()]
    damaged = InputStatus(samples.DUMP, 4096, Status.DAMAGED, ("memory list cut short",))
    document = json.loads(rendered("json", records, (damaged,)))
    assert document["dumpscan"] == {"version": __version__, "schema": SCHEMA_VERSION, "command": "minidump x509"}
    assert document["inputs"] == [input_record(damaged)]
    assert document["findings"] == records


def test_json_without_findings_has_an_empty_list() -> None:
    document = json.loads(rendered("json", []))
    assert (document["inputs"], document["findings"]) == ([], [])


def test_json_lines_are_one_record_each() -> None:
    records = [finding_record(finding) for finding in samples.findings()]
    lines = rendered("jsonl", records, (InputStatus("a.dmp"),)).splitlines()
    assert [json.loads(line) for line in lines] == records
    assert all({"schema", "kind"} <= set(json.loads(line)) for line in lines)
    assert rendered("jsonl", []) == ""


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_every_string_comes_through_json(text: str) -> None:
    record: Record = {"schema": 1, "kind": "x", "text": text, "list": [text]}
    for form in ("json", "jsonl"):
        written = rendered(form, [record])
        assert written.isascii()
        assert not any(ord(character) < 0x20 and character != "\n" for character in written)
        found = json.loads(written)["findings"][0] if form == "json" else json.loads(written)
        assert found == record
        assert rendered(form, [record]).count("\n") == rendered(form, [record | {"text": "", "list": [""]}]).count("\n")


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_jq_reads_it(form: str) -> None:
    # A lone high surrogate is left out here: jq before 1.7 refuses its escape, which is valid by RFC 8259, section 8.2.
    records = [finding_record(finding) for finding in samples.findings()]
    records[0]["x509"]["subject"]["distinguished_name"] = "CN=\udc00\x1b[0m\u202e\0"
    path = ".findings[]" if form == "json" else "."
    run = subprocess.run(
        ["jq", "-r", f"{path} | .locations[0].address"],
        input=rendered(form, records),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [record["locations"][0]["address"] for record in records]


def test_there_is_no_other_format() -> None:
    with pytest.raises(ValueError, match="xml"):
        make_renderer("xml", command="", view=View.FINDINGS, stream=io.StringIO())


def test_rich_is_imported_for_tables_only() -> None:
    code = (
        "import io, sys\n"
        "from dumpscan.output.records import Record\n"
        "from dumpscan.output.formats.registry import make_renderer\n"
        "from dumpscan.output.formats.render import View\n"
        "for form in ('json', 'jsonl', 'csv'):\n"
        "    make_renderer(form, command='x', view=View.FINDINGS, stream=io.StringIO()).close()\n"
        "assert not {'rich', 'cryptography', 'numpy'} & set(sys.modules)\n"
        "make_renderer('table', command='x', view=View.FINDINGS, stream=io.StringIO())\n"
        "assert 'rich' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_a_reader_that_has_gone_is_reported_when_closing_at_the_latest(form: str) -> None:
    gone = True

    class Gone(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:  # noqa: ANN401 - anything with bytes in it
            if gone:
                raise BrokenPipeError
            return len(memoryview(data))

    raw = io.BufferedWriter(Gone())
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    renderer = make_renderer(form, command="x", view=View.FINDINGS, stream=stream)
    renderer.add(finding_record(samples.findings()[0]))
    with pytest.raises(BrokenPipeError):
        renderer.close()
    gone = False  # so that the stream can be closed
