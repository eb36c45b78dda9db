"""Exports for other tools: each line or bundle is what the other side's own rules ask for, whatever a dump holds."""

from __future__ import annotations

import builtins
import dataclasses
import io
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dumpscan.exceptions import UsageError
from dumpscan.findings import Certificate, Finding, Process
from dumpscan.output.exports.documents import MAX_TEXT, clean
from dumpscan.output.exports.registry import Target, export_case
from dumpscan.output.labels import base_name
from support import output_samples as samples
from support import report_samples as cases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dumpscan.case.records import DumpRecord
    from dumpscan.output.records import Record

ANYTHING = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)


def exported(to: str, dumps: Iterable[DumpRecord] | None = None, findings: Iterable[Finding] | None = None) -> str:
    stream = io.StringIO()
    count = export_case(
        cases.dumps() if dumps is None else dumps, cases.findings() if findings is None else findings, to, stream
    )
    text = stream.getvalue()
    text.encode("ascii")
    if to not in {Target.STIX, Target.MISP}:
        assert count == text.count("\n")
    return text


def lines(
    to: str, dumps: Iterable[DumpRecord] | None = None, findings: Iterable[Finding] | None = None
) -> list[Record]:
    return [json.loads(line) for line in exported(to, dumps, findings).splitlines()]


def bundle(dumps: Iterable[DumpRecord] | None = None, findings: Iterable[Finding] | None = None) -> Any:  # noqa: ANN401 - the library has no types
    """Export and read back with the library's own strict parser."""
    stix2 = pytest.importorskip("stix2")
    return stix2.parse(exported(Target.STIX, dumps, findings), allow_custom=False)


def of_type(parsed: Any, name: str) -> list[Any]:  # noqa: ANN401 - as above
    return [item for item in parsed["objects"] if item["type"] == name]


def hostile_case(text: str, moment: datetime = samples.NOW) -> tuple[list[DumpRecord], list[Finding]]:
    base = samples.certificate(samples.ec_key(), "x", 0xFFFF_F800_0000_1000)
    certificate = dataclasses.replace(
        cases.named(base, text),
        key_id=base.key_id,
        issuer=text,
        serial_number=text,
        signature_algorithm=text,
        public_key_algorithm=text,
        public_key_exponent=1 << 2000,
        not_before=moment,
        not_after=moment,
        alternative_names=(text, text),
    )
    process = Process(
        pid=7, parent_pid=7, name=text, command_line=text, executable=text, notes=(text,), created=moment, exited=moment
    )
    dump = cases.dump(text, processes=(process,), problems=(text,), format=text, modified=moment, finished=moment)
    key = samples.private_key(samples.ec_key(), "EC", {0xFFFF_F800_0000_2000: text}, certificate)
    found: list[Finding] = [
        certificate,
        key,
        dataclasses.replace(samples.container(), cipher=text),
        samples.symmetric_key(),
    ]
    return [dump], [cases.in_dump(finding, text, process) for finding in found]


# --- Timesketch


def test_timesketch_events_have_what_it_requires() -> None:
    events = lines("timesketch")
    for event in events:
        assert event["message"]
        assert event["timestamp_desc"]
        moment = datetime.fromisoformat(event["datetime"])
        assert moment.utcoffset() is not None
        assert event["timestamp"] == round(moment.timestamp() * 1_000_000)
        assert not any(isinstance(value, dict) for value in event.values())
        assert isinstance(event["tag"], list)


def test_timesketch_tells_of_periods_processes_and_keys() -> None:
    events = lines("timesketch")
    (web,) = [
        found
        for found in cases.findings()
        if isinstance(found, Certificate) and found.subject_common_name == "www.contoso.example"
    ]
    own = {event["timestamp_desc"]: event for event in events if event.get("thumbprint") == web.thumbprint}
    assert own["Certificate Valid From"]["datetime"] == "2022-01-01T00:00:00+00:00"
    assert own["Certificate Valid Until"]["datetime"] == "2027-03-01T00:00:00+00:00"
    assert own["Certificate Valid Until"]["x509.subject.distinguished_name"] == web.subject
    assert own["Certificate Valid Until"]["tag"] == ["private_key_exposed"]
    (start,) = [event for event in events if event["timestamp_desc"] == "Start Time"]
    assert start["datetime"].startswith("2024-06-11T09:30:12.125")
    assert start["process.command_line"] == samples.PROCESS.command_line
    keys = [event for event in events if event["data_type"] == "dumpscan:private_key"]
    assert len(keys) == 3  # one for each key and process, however many places
    assert {event["datetime"] for event in keys} == {"2025-05-30T18:12:00+00:00"}
    assert all("w3wp.exe (5120)" in event["message"] for event in keys)


# --- ECS


def test_ecs_documents_have_ecs_own_fields() -> None:
    documents = lines("ecs")
    assert len({document["event"]["id"] for document in documents}) == len(documents)
    for document in documents:
        assert document["@timestamp"].endswith("Z")
        assert document["ecs"]["version"].startswith("8.")
        event = document["event"]
        assert event["kind"] in {"alert", "state"}  # of ECS's allowed values
        assert set(event["category"]) <= {"file", "process"}
        assert event["type"] == ["info"]
        assert set(document) <= {
            *("@timestamp", "message", "ecs", "event", "observer", "file", "process", "related", "dumpscan"),
        }


def test_ecs_names_are_those_of_the_json() -> None:
    (web,) = [
        found
        for found in cases.findings()
        if isinstance(found, Certificate) and found.subject_common_name == "www.contoso.example"
    ]
    (document,) = [item for item in lines("ecs") if item["dumpscan"].get("thumbprint") == web.thumbprint]
    assert document["file"]["x509"]["subject"] == {
        "distinguished_name": web.subject,
        "common_name": ["www.contoso.example"],
    }
    assert document["file"]["x509"]["not_after"] == "2027-03-01T00:00:00Z"
    assert document["file"]["hash"] == {"sha256": web.sha256, "sha1": web.thumbprint.lower()}
    assert document["process"]["command_line"] == samples.PROCESS.command_line
    assert "env_vars" not in document["process"]
    assert document["dumpscan"]["location"]["file_offset"] == web.locations[0].file_offset
    assert document["dumpscan"]["dump"]["path"] == cases.dump().path
    assert document["@timestamp"] == "2025-05-30T18:12:00Z"


def test_ecs_a_private_key_is_an_alert_with_its_certificate() -> None:
    alerts = [item for item in lines("ecs", findings=cases.findings()[::-1]) if item["event"]["kind"] == "alert"]
    rsa = [item for item in alerts if item["dumpscan"]["key"]["algorithm"] == "RSA"]
    assert len(rsa) == 3  # its places
    assert all(item["file"]["x509"]["subject"]["common_name"] == ["www.contoso.example"] for item in rsa)
    (lone,) = [item for item in alerts if item["dumpscan"]["key"]["algorithm"] == "X25519"]
    assert "file" not in lone


def test_ecs_dumps_and_their_state() -> None:
    dumps = [item for item in lines("ecs") if item["event"]["dataset"] == "dumpscan.dump"]
    assert [item["file"]["path"] for item in dumps] == sorted(dump.path for dump in cases.dumps())
    assert {item["dumpscan"]["dump"]["status"] for item in dumps} == {"ok", "damaged", "unreadable", "other"}


# --- STIX


def test_stix_bundle_is_read_back_by_the_library() -> None:
    parsed = bundle()
    ids = [item["id"] for item in parsed["objects"]]
    assert len(ids) == len(set(ids))
    (web,) = [item for item in of_type(parsed, "x509-certificate") if "www.contoso" in item.get("subject", "")]
    assert web["validity_not_after"] == datetime(2027, 3, 1, tzinfo=UTC)
    assert web["serial_number"] == "1A2B3C4D5E6F"
    assert web["subject_public_key_exponent"] == 65537
    assert len(of_type(parsed, "x509-certificate")) == sum(isinstance(found, Certificate) for found in cases.findings())


def test_stix_references_lead_somewhere() -> None:
    parsed = bundle()
    ids = {item["id"] for item in parsed["objects"]}
    for item in parsed["objects"]:
        for name, value in item.items():
            if name.endswith("_ref"):
                assert value in ids
            if name.endswith("_refs"):
                assert set(value) <= ids
    observed = of_type(parsed, "observed-data")
    certificates = {item["id"] for item in of_type(parsed, "x509-certificate")}
    assert any(certificates <= set(item["object_refs"]) for item in observed)


def test_stix_notes_tell_of_private_keys() -> None:
    parsed = bundle()
    notes = of_type(parsed, "note")
    assert len(notes) == 3
    by_id = {item["id"]: item for item in parsed["objects"]}
    (web,) = [note for note in notes if "www.contoso" in note["content"]]
    kinds = {by_id[reference]["type"] for reference in web["object_refs"]}
    assert kinds == {"x509-certificate", "file", "process"}


def test_an_unproven_key_is_told_as_such_and_raises_no_alert() -> None:
    key = dataclasses.replace(samples.private_key(samples.ec_key(), "EC", {0x1000: "raw"}), proof=())
    found = [cases.in_dump(key)]
    (document,) = [item for item in lines("ecs", findings=found) if item["event"]["dataset"] == "dumpscan.private_key"]
    assert document["event"]["kind"] == "state"
    assert document["message"].startswith("Unproven EC private key")
    assert not of_type(bundle(findings=found), "note")


def test_stix_of_an_empty_case() -> None:
    parsed = bundle([], [])
    assert [item["type"] for item in parsed["objects"]] == ["identity"]


def test_stix_without_the_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "dumpscan.output.exports.stix", raising=False)
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:  # noqa: ANN401 - as the original
        if name.partition(".")[0] == "stix2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    stream = io.StringIO()
    with pytest.raises(UsageError, match=r"pip install dumpscan\[stix\]"):
        export_case([], [], "stix", stream)
    assert not stream.getvalue()


# --- All


def test_no_such_target() -> None:
    with pytest.raises(UsageError, match="timesketch, ecs, stix"):
        export_case([], [], "splunk", io.StringIO())


@pytest.mark.parametrize("to", list(Target))
def test_the_same_case_gives_the_same_text(to: str) -> None:
    if to == Target.STIX:
        pytest.importorskip("stix2")
    assert exported(to) == exported(to, cases.dumps()[::-1])


@pytest.mark.parametrize("to", list(Target))
def test_no_key_material(to: str) -> None:
    if to == Target.STIX:
        pytest.importorskip("stix2")
    text = exported(to).lower()
    assert samples.AES_KEY.hex() not in text
    assert samples.pkcs8(samples.rsa_key()).hex()[-80:] not in text
    assert "lonely" not in text  # of the environment


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING, st.datetimes(timezones=st.just(UTC)))
def test_lines_hold_for_any_text_and_time(text: str, moment: datetime) -> None:
    for to in ("timesketch", "ecs"):
        for document in lines(to, *hostile_case(text, moment)):
            shown = json.dumps(document, ensure_ascii=False)
            shown.encode()  # no lone surrogates
            assert document["message"].isprintable()
            assert all(abs(number) < 1 << 63 for number in numbers(document))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING, st.datetimes(timezones=st.just(UTC)))
def test_stix_holds_for_any_text_and_time(text: str, moment: datetime) -> None:
    parsed = bundle(*hostile_case(text, moment))
    assert len(of_type(parsed, "x509-certificate")) == 1
    assert len(of_type(parsed, "note")) == 1
    parsed.serialize(ensure_ascii=False).encode()


def numbers(value: object) -> Iterable[int]:
    match value:
        case dict():
            for item in value.values():
                yield from numbers(item)
        case list():
            for item in value:
                yield from numbers(item)
        case int():
            yield value


def test_clean() -> None:
    assert clean({"a": None, "b": 1 << 63, "c": (1 << 63) - 1, "d": ["\ud800", None, True]}) == {
        "c": (1 << 63) - 1,
        "d": ["\\ud800", True],
    }
    assert len(clean("x" * 1_000_000)) < MAX_TEXT + 100


def test_base_name() -> None:
    assert base_name("C:\\dumps\\a.dmp") == "a.dmp"
    assert base_name("s3://bucket/wer/a.dmp") == "a.dmp"
    assert base_name("a") == "a"
    assert base_name("/") == "/"
