"""Documents follow the dataclasses: a new field shows up everywhere by itself, key material nowhere."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from datetime import UTC, datetime

import dumpscan.findings
from dumpscan.findings import KINDS, InputStatus, KeyObject, Location, Process, Validity, validity
from dumpscan.output.fields import FORMS, hints, members

NEW_FIELDS = """
import sys, types
from pathlib import Path
source = Path({findings!r}).read_text(encoding="utf-8")
for line in ("is_ca: bool | None = None", "whole: bool = True", "mac: str | None = None"):
    assert source.count(line) == 1
    new = ("colour: str = 'red'", "hidden: str = field(default='s', repr=False)")
    source = source.replace(line, "\\n    ".join((line, *new)))
import dumpscan
module = types.ModuleType("dumpscan.findings")
sys.modules[module.__name__] = dumpscan.findings = module
exec(compile(source, "findings", "exec"), module.__dict__)

from dumpscan.output.formats.csv_rows import COLUMNS
from dumpscan.output.formats.render import View
from dumpscan.output.records import finding_record
from support import record_samples as samples
certificate, container = finding_record(samples.CERTIFICATE), finding_record(samples.CONTAINER)
assert certificate["x509"]["colour"] == "red"
assert certificate["locations"][0]["key_object"]["colour"] == "red"
assert container["container"]["colour"] == "red"
assert "hidden" not in repr((certificate, container))
columns = COLUMNS[View.FINDINGS]
assert {{"x509.colour", "location.key_object.colour", "container.colour"}} <= set(columns)
assert not [name for name in columns if "hidden" in name]
"""


def test_a_new_field_of_a_finding_is_in_json_and_csv_by_itself() -> None:
    code = NEW_FIELDS.format(findings=dumpscan.findings.__file__)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def test_every_exception_is_one_of_a_field_that_there_is() -> None:
    for cls, form in FORMS.items():
        names = {each.name for each in dataclasses.fields(cls)}
        assert form.names.keys() | form.instead.keys() <= names, cls


def test_no_document_has_a_value_twice() -> None:
    for cls in (*KINDS, Location, KeyObject, Process, InputStatus):
        names = [member.name for member in members(cls)]
        assert len(set(names)) == len(names)
        assert list(hints(cls)) == names


def test_a_certificate_is_valid_within_its_period_and_never_without_dates() -> None:
    first, last = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    before, within, after = (datetime(year, 6, 1, tzinfo=UTC) for year in (2023, 2024, 2025))
    assert [validity(first, last, moment) for moment in (before, within, after)] == [
        Validity.FUTURE,
        Validity.VALID,
        Validity.EXPIRED,
    ]
    assert validity(first, last, first) == validity(first, last, last) == Validity.VALID
    assert [validity(None, last, moment) for moment in (within, after)] == [Validity.UNKNOWN, Validity.EXPIRED]
    assert [validity(first, None, moment) for moment in (before, within)] == [Validity.FUTURE, Validity.UNKNOWN]
    assert validity(None, None, within) == Validity.UNKNOWN
    assert validity(last, first, within) == Validity.EXPIRED  # a period that ends before it begins
