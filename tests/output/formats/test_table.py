"""The tables as a user sees them: the urgent first, in any width, and no dump in charge of the terminal."""

from __future__ import annotations

import dataclasses
import io
import re
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from dumpscan.findings import CertificateRef, InputStatus, Process
from dumpscan.output.formats.render import View
from dumpscan.output.formats.table.renderer import MAX_ROWS, TableRenderer
from dumpscan.output.records import Record, finding_record, info_record, process_record
from support import output_samples as samples

if TYPE_CHECKING:
    from dumpscan.findings import Finding

WIDTHS = [40, 80, 120, 200, None]


def table(view: View, *records: Record, width: int | None = None, inputs: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    renderer = TableRenderer(stream, view, width=width, now=samples.NOW)
    for file in inputs:
        renderer.add_input(InputStatus(file))
    for record in records:
        renderer.add(record)
    renderer.close()
    return stream.getvalue()


def findings_table(*findings: Finding, width: int | None = None) -> str:
    return table(View.FINDINGS, *(finding_record(finding) for finding in findings or samples.findings()), width=width)


def line_with(text: str, output: str) -> str:
    (line,) = (line for line in output.splitlines() if text in line)
    return line


@pytest.mark.parametrize("width", WIDTHS)
def test_keys_come_first_then_containers_then_certificates(width: int | None) -> None:
    output = findings_table(width=width)
    order = [output.index(text) for text in ("Private keys: 3", "Encrypted containers: 2", "Certificates: 4")]
    assert order == sorted(order)
    assert "2 with private key, 1 expired, 1 not parsed" in re.sub(r"\s+", " ", output)


@pytest.mark.parametrize("view", [View.FINDINGS, View.SECRETS])
def test_the_key_of_a_valid_certificate_comes_before_that_of_an_expired_one(view: View) -> None:
    old = samples.certificate(samples.rsa_key(), "old.example", 0x1000, until=datetime(2023, 1, 1, tzinfo=UTC))
    new = samples.certificate(samples.ec_key(), "new.example", 0x2000)
    keys = (
        samples.private_key(samples.rsa_key(), "RSA", {0x1: "pkcs1"}, old),
        samples.private_key(samples.ec_key(), "EC", {0x2: "sec1"}, new),
    )
    output = table(view, *map(finding_record, (*keys, old, new)[: 4 if view is View.FINDINGS else 2]))
    assert output.index("new.example") < output.index("old.example")
    assert output.rindex("new.example") < output.rindex("old.example")


def test_secrets_that_only_their_addresses_tell_apart_are_shown_with_them() -> None:
    keys = [samples.symmetric_key(), samples.private_key(samples.rsa_key(), "RSA", {0x1: "pkcs1"})]

    output = table(View.SECRETS, *map(finding_record, keys), width=80)

    assert output.index("Secrets: 1") < output.index("Symmetric keys: 1")
    assert "0x1d3a4f00000" in line_with("AES", output)


@pytest.mark.parametrize("width", [width for width in WIDTHS if width])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_len(line) for line in findings_table(width=width).splitlines()) <= width


def test_in_80_columns_a_key_shows_what_it_opens_until_when_and_where_it_lies() -> None:
    output = findings_table(width=80)
    keys = output[: output.index("Encrypted containers")]
    row = line_with("RSA 2048", keys)
    assert "www.contoso.example" in row
    assert "2027-03-01" in row
    assert "0x1d3a4b20010 +2" in row
    assert "no certificate found" in line_with("X25519", keys)
    assert "2024-01-09 expired" in keys
    assert "Proof: n = p*q, e*d = 1 mod lcm(p-1, q-1)" in line_with("n = p*q", keys)
    assert "No room for:" in keys
    assert samples.key_id(samples.rsa_key())[:12] in line_with("RSA 2048", findings_table(width=100).split("Cert")[0])


def test_in_a_pipe_everything_is_there_on_one_line_each() -> None:
    output = findings_table()
    web = samples.findings()[0]
    assert "\x1b" not in output
    assert all(line == line.rstrip() for line in output.splitlines())
    row = line_with("RSA 2048", output[: output.index("Encrypted containers")])
    assert samples.key_id(samples.rsa_key()) in row
    assert "n = p*q, e*d = 1 mod lcm(p-1, q-1)" in row
    certificates = output[output.index("Certificates:") :]
    assert web.locations[0].sha256  # the sample is what it seems
    assert finding_record(web)["thumbprint"] in line_with("Contoso Issuing CA 2", certificates)
    assert "not parsed: " + samples.RAW_PROBLEM in certificates
    assert "2024-01-09 expired" in line_with("vpn.contoso.example", certificates)
    assert "No room for" not in output


def test_what_is_common_is_said_once() -> None:
    output = findings_table()
    assert output.startswith(f"{samples.DUMP}  process 5120 w3wp.exe\n")
    assert output.count(samples.DUMP) == 1


def test_several_files_and_processes_are_told_apart() -> None:
    one = samples.certificate(samples.rsa_key(), "one.example", 0x1000, file="/cases/1/a.dmp")
    other = samples.certificate(samples.ec_key(), "two.example", 0x1000, file="/cases/2/b.dmp")
    place = dataclasses.replace(other.locations[0], process=Process(pid=7, name="lsass.exe"))
    output = findings_table(one, dataclasses.replace(other, locations=(place,)))
    assert "a.dmp" in line_with("one.example", output)
    assert "5120 w3wp.exe" in line_with("one.example", output)
    assert "7 lsass.exe" in line_with("two.example", output)
    assert "/cases" not in output
    same = dataclasses.replace(one, locations=(*one.locations, dataclasses.replace(place, file="/cases/2/a.dmp")))
    assert "/cases/1/a.dmp +1" in findings_table(same)  # the names alone would not tell them apart


def test_a_key_with_a_certificate_that_is_no_finding_still_names_it() -> None:
    key = dataclasses.replace(
        samples.private_key(samples.ec_key(), "EC", {0x1000: "sec1"}),
        certificates=(CertificateRef(thumbprint="AB" * 20, subject="CN=elsewhere"),),
    )
    assert "CN=elsewhere" in line_with("EC P-256", findings_table(key))


def test_of_several_certificates_the_longest_valid_is_named() -> None:
    old = samples.certificate(samples.ec_key(), "old.example", 0x1000, until=datetime(2023, 1, 1, tzinfo=UTC))
    new = samples.certificate(samples.ec_key(), "new.example", 0x2000)
    output = findings_table(samples.private_key(samples.ec_key(), "EC", {1: "sec1"}, old, new), old, new)
    assert "new.example +1" in line_with("EC P-256", output.split("Certificates")[0])


def test_a_partial_object_says_what_is_missing() -> None:
    key = samples.private_key(samples.ec_key(), "EC", {0x1000: "sec1"})
    place = dataclasses.replace(key.locations[0], missing=12)
    output = findings_table(dataclasses.replace(key, locations=(place,)))
    assert f"partial: 12 of {key.size} bytes missing" in output


def test_a_certificate_that_is_not_valid_yet_says_so() -> None:
    later = dataclasses.replace(
        samples.certificate(samples.ec_key(), "later.example", 0x1000), not_before=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert "2027-03-01 not yet" in findings_table(later)


def test_memory_that_no_process_maps_is_told_by_its_physical_address() -> None:
    certificate = samples.certificate(samples.ec_key(), "a.example", 0x1000)
    place = dataclasses.replace(certificate.locations[0], virtual_address=None, physical_address=0x5000, process=None)
    assert "physical 0x5000" in findings_table(dataclasses.replace(certificate, locations=(place,)))
    nowhere = dataclasses.replace(certificate, locations=(), location_count=0)
    assert "a.example" in findings_table(nowhere)


@pytest.mark.parametrize("width", [80, None])
def test_keys_of_a_library_stand_where_their_urgency_is(width: int | None) -> None:
    web = samples.certificate(samples.rsa_key(), "www.contoso.example", 0x1000)
    output = findings_table(
        samples.public_key(samples.rsa_key(), 0x2000, web),
        web,
        samples.container(),
        samples.symmetric_key(),
        width=width,
    )
    order = [output.index(text) for text in ("Symmetric keys: 1", "Encrypted", "Certificates: 1", "Public keys: 1")]
    assert order == sorted(order)
    assert "AES 128" in output
    assert "www.contoso.example" in line_with("RSA 2048", output[output.index("Public keys") :])
    assert samples.symmetric_key().key_id[:12] in output


def test_a_kind_that_the_tables_do_not_know_is_shown_all_the_same() -> None:
    record = finding_record(samples.container()) | {"kind": "session_ticket"}
    assert "session_ticket: 1" in table(View.FINDINGS, record)


def test_a_terminal_is_not_flooded_and_a_pipe_has_everything() -> None:
    info = info_record("minidump", "a.dmp", {"ranges": [{"start": number} for number in range(MAX_ROWS + 7)]})
    assert "... and 7 more" in table(View.INFO, info, width=80)
    assert hex(MAX_ROWS + 6) not in table(View.INFO, info, width=80)
    assert hex(MAX_ROWS + 6) in table(View.INFO, info)


@pytest.mark.parametrize("view", list(View))
def test_nothing_found_prints_nothing(view: View) -> None:
    assert table(view, inputs=("a.dmp",)) == table(view, width=80, inputs=("a.dmp",)) == ""


def test_on_a_terminal_the_order_of_urgency_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "90")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    stream = Terminal()
    renderer = TableRenderer(stream, View.FINDINGS, now=samples.NOW)
    for finding in samples.findings():
        renderer.add(finding_record(finding))
    renderer.close()
    assert "\x1b[1;31mPrivate keys: 3\x1b[0m" in stream.getvalue()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "\x1b" not in plain
    assert max(cell_len(line) for line in plain.splitlines()) <= 90


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"FORCE_COLOR": "1"}, True),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        ({"FORCE_COLOR": "0", "CLICOLOR_FORCE": "0"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({}, False),
    ],
)
def test_colours_in_a_pipe_keep_its_width(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, coloured: bool
) -> None:
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    plain = findings_table()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shown = findings_table()
    assert ("\x1b[1;31mPrivate keys: 3\x1b[0m" in shown) == coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == plain
    assert max(map(len, plain.splitlines())) > 200


def test_no_room_is_said_of_each_table() -> None:
    output = findings_table(width=80)
    keys, rest = output.split("Encrypted containers")
    assert [line for line in keys.splitlines() if line.startswith("No room for: ")] != []
    assert "Thumbprint" in keys.split("No room for: ")[1]
    assert rest.count("No room for: ") == 2  # containers and certificates
    assert output.count("A wider terminal, a pipe and --format json") == 1
    assert "No room" not in findings_table(width=400)


@pytest.mark.parametrize("width", WIDTHS)
def test_command_lines(width: int | None) -> None:
    missing = Process(pid=4, notes=("the process environment block is not in the dump",))
    output = table(
        View.CMDLINE,
        process_record(samples.PROCESS, "a.dmp", environment=False),
        process_record(missing, "a.dmp", environment=False),
        width=width,
    )
    flat = re.sub(r"\s", "", output)
    assert "5120" in flat
    if width is None:
        assert samples.PROCESS.command_line is not None
        assert samples.PROCESS.command_line in output
        assert "2024-06-11 09:30:12" in output
        assert missing.notes[0] in output
    assert not output or width is None or max(cell_len(line) for line in output.splitlines()) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_environments(width: int | None) -> None:
    empty = Process(pid=8, notes=("the environment is not in the dump",))
    output = table(
        View.ENVARS,
        process_record(samples.PROCESS, "a.dmp", environment=True),
        process_record(empty, "b.dmp", environment=True),
        process_record(Process(pid=9), "c.dmp", environment=True),
        width=width,
    )
    assert re.search(r"^=C: +C:\\Windows$", output, re.MULTILINE | re.ASCII) or width
    assert "Environment of process 5120 w3wp.exe" in output
    assert "the environment is not in the dump" in output
    assert "process 9" not in output  # nothing to say of it


def test_both_command_lines_of_a_wow64_process() -> None:
    process = Process(pid=9, name="a.exe", command_line="64 bits", command_line_32="32 bits")
    output = table(View.CMDLINE, process_record(process, "a.dmp", environment=False), width=120)
    first, second = (line for line in output.splitlines() if "bits" in line)
    assert "64 bits" in first
    assert "32-bit block" not in first
    assert "32 bits" in second
    assert "as its 32-bit block has it" in second


@pytest.mark.parametrize("width", [80, None])
def test_a_description_of_any_shape(width: int | None) -> None:
    info = {
        "architecture": "x64",
        "complete": True,
        "system": {"os": "Windows", "build": 19045},
        "modules": [{"name": "ntdll.dll", "base": 0x7FF800000000}, {"name": "evil\x1b[2J", "base": 0x1000, "size": 5}],
        "problems": ["memory list cut short: 3 of 52 ranges lie past the end of the file", "another"],
        "counts": [1, 2],
    }
    output = table(View.INFO, info_record("minidump", "/x/a.dmp", info), width=width)
    assert "0x7ff800000000" in output
    assert "Modules: 2" in output
    assert "evil\\x1b[2J" in output
    assert "1, 2" in output
    assert "yes" in output
    assert "3 of 52 ranges" in output


hostile = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)


@settings(max_examples=60)
@given(hostile, hostile, st.sampled_from(WIDTHS))
def test_a_dump_never_steers_the_terminal(text: str, other: str, width: int | None) -> None:
    certificate = dataclasses.replace(
        samples.certificate(samples.ec_key(), "a", 0x1000),
        subject=text,
        subject_common_name=other,
        issuer=text,
        issuer_common_name=None,
        alternative_names=(other,),
        problem=text or None,
    )
    place = dataclasses.replace(certificate.locations[0], file=text, module=other, process=Process(pid=1, name=text))
    process = Process(name=text, command_line=other, environment=(text, other), notes=(text,))
    outputs = (
        findings_table(dataclasses.replace(certificate, locations=(place,)), width=width),
        table(View.CMDLINE, process_record(process, other, environment=False), width=width),
        table(View.ENVARS, process_record(process, other, environment=True), width=width),
        table(View.INFO, info_record("minidump", other, {"a": text, "b": [{text: other}]}), width=width),
    )
    for output in outputs:
        assert all(c in " \n" or unicodedata.category(c)[0] not in "CZ" for c in output)


def test_markup_is_not_read() -> None:
    process = dataclasses.replace(samples.PROCESS, command_line="[bold red]x[/] :bomb: https://a.example")
    for width in (160, None):
        assert "[bold red]x[/] :bomb: https://a.example" in table(
            View.CMDLINE, process_record(process, "a.dmp", environment=False), width=width
        )


def test_an_output_that_knows_little_but_ascii_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    renderer = TableRenderer(stream, View.CMDLINE, width=80)
    renderer.add(process_record(dataclasses.replace(samples.PROCESS, name="日本"), "a.dmp", environment=False))
    renderer.close()
    assert "\\u65e5\\u672c" in raw.getvalue().decode("ascii")
