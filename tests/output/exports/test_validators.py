"""Exports are accepted by those whom they are for: OASIS's validator, the field list of ECS, MISP's templates."""

from __future__ import annotations

import io
import json
import uuid
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.output.exports.registry import export_case
from support import output_samples as samples
from support import report_samples as cases
from support.corpus import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dumpscan.findings import Finding

FIELDS = dict(
    line.split()
    for line in (ROOT / "tests" / "support" / "ecs_fields.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
CATEGORIES, KINDS, TYPES = {"file", "process"}, {"alert", "state"}, {"info"}
"""Values that ECS allows, of which exports use these."""


def exported(to: str, findings: Iterable[Finding] | None = None) -> str:
    stream = io.StringIO()
    export_case(cases.dumps(), cases.findings() if findings is None else findings, to, stream)
    return stream.getvalue()


# --- STIX


def test_oasis_validator_accepts_the_bundle() -> None:
    with warnings.catch_warnings(action="ignore"):  # those of its own dependencies
        validator = pytest.importorskip("stix2validator")
        options = validator.ValidationOptions(version="2.1", strict=True)
        result = validator.validate_string(exported("stix"), options)
    found = [str(each) for each in (result, *getattr(result, "object_results", ())) if not each.is_valid]
    assert result.is_valid, found


def test_ids_that_the_standard_does_not_derive_have_the_form_of_random_ones() -> None:
    derived = {"file", "directory", "x509-certificate"}
    items = json.loads(exported("stix"))["objects"]
    versions = {item["type"]: uuid.UUID(item["id"].partition("--")[2]).version for item in items}
    assert {name: version for name, version in versions.items() if name not in derived} == {
        "identity": 4,
        "process": 4,
        "note": 4,
        "observed-data": 4,
    }


# --- ECS


def flat(document: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def fits(value: object, kind: str) -> bool:
    if kind.endswith("[]"):
        return isinstance(value, list) and all(fits(each, kind[:-2]) for each in value)
    match kind:
        case "date":
            return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() is not None
        case "long":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
        case "keyword":
            return isinstance(value, str | int) and not isinstance(value, bool)
        case _:
            return isinstance(value, str)


def test_every_field_is_one_of_ecs_or_our_own() -> None:
    documents = [json.loads(line) for line in exported("ecs").splitlines()]
    used = set()
    for document in documents:
        for name, value in flat(document):
            if not name.startswith("dumpscan."):
                used.add(name)
                assert name in FIELDS, name
                assert fits(value, FIELDS[name]), (name, value)
        assert document["event"]["kind"] in KINDS
        assert set(document["event"]["category"]) <= CATEGORIES
        assert set(document["event"]["type"]) <= TYPES
    assert {"file.x509.subject.distinguished_name", "file.hash.sha1", "process.parent.pid"} <= used


def test_what_ecs_has_no_name_for_is_kept_under_our_own() -> None:
    documents = [json.loads(line) for line in exported("ecs").splitlines()]
    processes = [each for each in documents if each["event"]["dataset"] == "dumpscan.process"]
    (own,) = [each["dumpscan"]["process"] for each in processes if each["process"]["pid"] == samples.PROCESS.pid]
    assert own["architecture"] == samples.PROCESS.architecture
    certificates = [each for each in documents if each["event"]["dataset"] == "dumpscan.certificate"]
    assert any("is_ca" in each["dumpscan"]["x509"] for each in certificates)


# --- MISP


def misp(findings: Iterable[Finding] | None = None) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(exported("misp", findings))["Event"]
    return event


def test_misp_s_library_reads_the_event_and_its_templates_have_every_attribute() -> None:
    with warnings.catch_warnings(action="ignore"):
        pymisp = pytest.importorskip("pymisp")
        event = pymisp.MISPEvent()
        event.load(exported("misp"))
    assert {each.name for each in event.objects} == {"file", "x509", "crypto-material"}
    for made in misp()["Object"]:
        template = pymisp.MISPObject(made["name"], strict=True)
        assert (str(template.template_uuid), str(template.template_version)) == (
            made["template_uuid"],
            made["template_version"],
        ), "the templates of pymisp are of another version"
        for attribute in made["Attribute"]:
            known = template.add_attribute(attribute["object_relation"], value=attribute["value"])
            assert (known.type, known.category) == (attribute["type"], attribute["category"])


def test_a_key_refers_to_its_certificate_and_dump() -> None:
    objects = {each["uuid"]: each for each in misp()["Object"]}
    keys = [each for each in objects.values() if each["name"] == "crypto-material"]
    assert len(keys) == 3
    related = [
        (reference["relationship_type"], objects[reference["referenced_uuid"]]["name"])
        for key in keys
        for reference in key["ObjectReference"]
    ]
    assert ("related-to", "x509") in related
    assert ("contained-within", "file") in related
    assert len(related) == len({reference["uuid"] for key in keys for reference in key["ObjectReference"]})


def test_certificates_of_well_known_authorities_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    web, *_ = cases.findings()
    alone = samples.certificate(samples.ec_key(), "ca.example", 0x1000, paired=False)
    monkeypatch.setattr("dumpscan.output.exports.misp.is_well_known", lambda _key_id: True)
    names = {each["name"]: each for each in misp([web, cases.in_dump(alone)])["Object"]}
    values = {attribute["value"] for attribute in names["x509"]["Attribute"]}
    assert web.subject_common_name in values  # type: ignore[attr-defined]
    assert "ca.example" not in values


def test_no_key_material_is_in_the_event() -> None:
    text = exported("misp")
    for finding in cases.findings():
        secret = getattr(finding, "pkcs8", b"")
        assert not secret or secret.hex() not in text
