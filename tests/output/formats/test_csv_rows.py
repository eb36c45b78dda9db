"""CSV: one row a place, quoted as RFC 4180 says, with nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.output.formats.csv_rows import COLUMNS, CsvRenderer, cell, fields
from dumpscan.output.formats.render import View
from dumpscan.output.records import Record, finding_record, info_record, process_record
from dumpscan.output.text import printable
from support import output_samples as samples


def rows(view: View, *records: Record) -> list[dict[str, str]]:
    stream = io.StringIO(newline="")
    renderer = CsvRenderer(stream, view)
    for record in records:
        renderer.add(record)
    renderer.close()
    text = stream.getvalue()
    assert "\r" not in text
    found = list(csv.DictReader(io.StringIO(text), strict=True))
    assert text.count("\n") == len(found) + 1  # a row is a line
    return found


def test_a_finding_has_a_row_for_each_place() -> None:
    records = [finding_record(finding) for finding in samples.findings()]
    found = rows(View.FINDINGS, *records)
    assert len(found) == sum(len(record["locations"]) for record in records)
    web = found[0]
    assert web["kind"] == "certificate"
    assert web["x509.subject.distinguished_name"] == "CN=www.contoso.example,O=Contoso,C=NL"
    assert web["x509.subject.common_name"] == "www.contoso.example"
    assert web["x509.not_after"] == "2027-03-01T00:00:00Z"
    assert web["file.hash.sha256"] == records[0]["sha256"]
    assert int(web["location.virtual_address"]) == int(web["location.address"], 16) == 0x1D3A4B21340
    assert web["location.process.pid"] == "5120"
    assert web["location.extents.length"] == str(records[0]["size"])
    key = [row for row in found if row["kind"] == "private_key"][:3]
    assert [row["location.encoding"] for row in key] == ["pkcs8", "pkcs1", "cng"]
    assert {row["key.proof"] for row in key} == {"n = p*q; e*d = 1 mod lcm(p-1, q-1)"}
    assert {row["certificates.thumbprint"] for row in key} == {records[0]["thumbprint"]}
    assert {row["container.iterations"] for row in found if row["kind"] == "encrypted_container"} == {"2048"}


def test_every_column_of_findings_is_filled_by_some_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.output.fields.carrier_of", lambda _key_id: "openssl speed")
    location = dataclasses.replace(
        samples.place(0x1000, b"x"),
        module="a.dll",
        process=dataclasses.replace(samples.PROCESS, unlisted=True),
        physical_address=0x2000,
        page_owner="page cache",
        page_path="/etc/rsa.key",
        page_offset=4096,
        page_inode=42,
        page_filesystem="ext4 on vda",
        extents=((1, 2), (9, 3)),
        key_object=samples.KEY_OBJECT,
    )
    everything = (*samples.findings(), samples.tls_secret())
    records = [finding_record(dataclasses.replace(f, locations=(location,))) for f in everything]
    found = rows(View.FINDINGS, *records)
    for name in COLUMNS[View.FINDINGS]:
        assert any(row[name] for row in found), name
    assert found[0]["location.extents.file_offset"] == "1; 9"


def test_a_finding_without_places_still_has_a_row() -> None:
    record = finding_record(dataclasses.replace(samples.raw_certificate(), locations=(), location_count=0))
    assert [row["problem"] for row in rows(View.FINDINGS, record)] == [samples.RAW_PROBLEM]


def test_without_records_there_is_a_header() -> None:
    for view in View:
        stream = io.StringIO()
        CsvRenderer(stream, view).close()
        assert stream.getvalue() == ",".join(COLUMNS[view]) + "\n"


def test_a_process_has_one_row_and_each_variable_its_own() -> None:
    (row,) = rows(View.CMDLINE, process_record(samples.PROCESS, "a.dmp", environment=False))
    assert row["process.command_line"] == samples.PROCESS.command_line
    assert (row["process.pid"], row["process.parent.pid"], row["dump"]) == ("5120", "904", "a.dmp")
    variables = rows(View.ENVARS, process_record(samples.PROCESS, "a.dmp", environment=True))
    assert [(row["variable.name"], row["variable.value"]) for row in variables] == [
        ("'=C:", "C:\\Windows"),
        ("Path", "C:\\Windows\\system32;C:\\Windows"),
        ("EMPTY", ""),
        ("lonely", ""),
    ]


def test_a_description_has_a_row_for_each_value() -> None:
    info = {"system": {"build": 19045}, "modules": [{"name": "a"}, {"name": "b"}], "problems": []}
    assert [(row["field"], row["value"]) for row in rows(View.INFO, info_record("minidump", "a.dmp", info))] == [
        ("system.build", "19045"),
        ("modules[0].name", "a"),
        ("modules[1].name", "b"),
    ]
    assert list(fields({"a": {"b": [1, {"c": None}]}})) == [("a.b[0]", 1), ("a.b[1].c", None)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1F", "'-1F"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\\x09=1"),
        ("\r=1", "'\\x0d=1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),  # noqa: RUF001 - a full-width sign
        (["=1", "b"], "'=1; b"),
        (["a", "b"], "a; b"),
        ("a=b", "a=b"),
        (-5, "-5"),
        (5, "5"),
        (True, "true"),
        (None, ""),
        ("", ""),
        ("x\x1b[31m\n\u202e", "x\\x1b[31m\\x0a\\u202e"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_round_trips_but_for_escapes_and_never_is_a_formula(text: str) -> None:
    process = dataclasses.replace(samples.PROCESS, command_line=text)
    (row,) = rows(View.CMDLINE, process_record(process, "a.dmp", environment=False))
    found = row["process.command_line"]
    assert found.removeprefix("'") == printable(text).removeprefix("'")
    assert found.strip()[:1] not in set("=+-@\t\r＝＋－＠")  # noqa: RUF001 - full-width signs
    found.encode("utf-8")
