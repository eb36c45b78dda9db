"""The JSON form of findings: ECS names, evidence, and no key material."""

from __future__ import annotations

import base64
import dataclasses
import enum
import io
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.findings import SCHEMA_VERSION, Finding, InputStatus, PrivateKey, Process, Status
from dumpscan.output.formats.registry import make_renderer
from dumpscan.output.formats.render import View
from dumpscan.output.records import (
    environment_entry,
    finding_record,
    info_record,
    input_record,
    location_record,
    plain,
    process_record,
    timestamp,
)
from support import output_samples as samples

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


def by_kind(kind: str) -> list[dict[str, Any]]:
    return [record for record in map(finding_record, samples.findings()) if record["kind"] == kind]


def test_a_certificate_has_the_names_of_the_common_schema() -> None:
    certificate = samples.findings()[0]
    record = finding_record(certificate)
    x509 = record["x509"]
    assert x509["subject"] == {
        "distinguished_name": "CN=www.contoso.example,O=Contoso,C=NL",
        "common_name": ["www.contoso.example"],
    }
    assert x509["issuer"] == {
        "distinguished_name": "CN=Contoso Issuing CA 2",
        "common_name": ["Contoso Issuing CA 2"],
    }
    assert x509["serial_number"] == "1A2B3C4D5E6F"
    assert x509["not_before"] == "2022-01-01T00:00:00Z"
    assert x509["not_after"] == "2027-03-01T00:00:00Z"
    assert (x509["public_key_algorithm"], x509["public_key_size"], x509["public_key_exponent"]) == ("RSA", 2048, 65537)
    assert x509["alternative_names"] == ["DNS:www.contoso.example"]
    assert x509["version_number"] == 3
    assert record["file"]["hash"] == {"sha256": certificate.sha256, "sha1": record["thumbprint"].lower()}
    assert record["private_keys"] == [samples.key_id(samples.rsa_key())]


def test_every_finding_has_the_envelope_and_its_evidence() -> None:
    for finding in samples.findings():
        record = finding_record(finding)
        assert (record["schema"], record["kind"]) == (SCHEMA_VERSION, finding.kind)
        assert (record["sha256"], record["size"]) == (finding.sha256, finding.size)
        assert record["location_count"] == len(record["locations"]) == len(finding.locations)
        for place, location in zip(record["locations"], finding.locations, strict=True):
            assert int(place["address"], 16) == place["virtual_address"] == location.virtual_address
            assert place["file"] == samples.DUMP
            assert place["extents"] == [{"file_offset": place["file_offset"], "length": location.length}]
            assert place["process"] == {"pid": 5120, "name": "w3wp.exe"}


def test_a_private_key_names_its_certificate_its_proof_and_its_encodings() -> None:
    record = by_kind("private_key")[0]
    assert record["key"]["encodings"] == ["pkcs8", "pkcs1", "cng"]
    assert record["key"]["proof"] == ["n = p*q", "e*d = 1 mod lcm(p-1, q-1)"]
    assert record["key"]["bits"] == 2048
    assert [ref["thumbprint"] for ref in record["certificates"]] == [by_kind("certificate")[0]["thumbprint"]]


def test_what_is_unknown_is_left_out_and_lists_are_always_there() -> None:
    record = finding_record(samples.raw_certificate())
    assert record["problem"] == samples.RAW_PROBLEM
    names = {"subject": {"common_name": []}, "issuer": {"common_name": []}, "alternative_names": []}
    assert record["x509"] == {**names, "key_usage": [], "extended_key_usage": []}
    assert record["private_keys"] == []
    assert "null" not in json.dumps(record)


def test_an_encrypted_container_says_how_it_is_protected() -> None:
    record = by_kind("encrypted_container")[0]
    assert record["container"] == {
        "type": "pkcs12",
        "kdf": "PBKDF2-HMAC-SHA256",
        "cipher": "AES-256-CBC",
        "iterations": 2048,
        "mac": "HMAC-SHA256, 2048 iterations",
    }


def test_a_librarys_key_object_is_part_of_the_evidence() -> None:
    record = finding_record(
        samples.public_key(samples.rsa_key(), 0x1000, samples.certificate(samples.rsa_key(), "a", 0x2000))
    )
    assert (record["kind"], record["key"]["id"]) == ("public_key", samples.key_id(samples.rsa_key()))
    assert record["certificates"][0]["subject"] == "CN=a,O=Contoso,C=NL"
    found = record["locations"][0]["key_object"]
    assert (found["layout"], found["wrapper_algorithm"], found["consistent"]) == ("102+", 0xA400, False)
    assert found["parameters"] == {"p": "17"}


def test_a_symmetric_key_is_named_and_not_shown() -> None:
    record = finding_record(samples.symmetric_key())
    assert (record["key"]["algorithm"], record["key"]["bits"]) == ("AES", 128)
    written = json.dumps(record)
    assert samples.AES_KEY.hex() not in written
    assert str(int.from_bytes(samples.AES_KEY, "big")) not in written
    assert base64.b64encode(samples.AES_KEY).decode().rstrip("=") not in written


def test_numbers_too_long_for_the_common_schema_are_left_out() -> None:
    web = samples.certificate(samples.rsa_key(), "a", 0x1000)
    huge = dataclasses.replace(web, public_key_exponent=1 << 40000)
    assert "public_key_exponent" not in json.loads(json.dumps(finding_record(huge)))["x509"]
    container = dataclasses.replace(samples.container(), iterations=1 << 63)
    assert "iterations" not in finding_record(container)["container"]


def secrets_of(key: RSAPrivateKey) -> list[str]:
    numbers = key.private_numbers()
    pieces = []
    for number in (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp):
        data = number.to_bytes(256, "big").lstrip(b"\0")
        pieces += [str(number), data.hex(), base64.b64encode(data)[8:-8].decode()]
        pieces += [base64.b64encode(data[shift:])[8:-8].decode() for shift in (1, 2)]
    der = samples.pkcs8(key)
    pieces += [der.hex(), *(base64.b64encode(der[shift:])[8:-8].decode() for shift in range(3))]
    # A cut or reformatted piece would give a secret away as well: compare stretches of it.
    return [piece[start : start + 24] for piece in pieces for start in range(0, len(piece) - 24, 24)]


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_key_material_is_in_no_format(form: str) -> None:
    stream = io.StringIO()
    renderer = make_renderer(form, command="minidump x509", view=View.FINDINGS, stream=stream)
    for finding in samples.findings():
        renderer.add(finding_record(finding))
    renderer.close()
    written = re.sub(r"\s", "", stream.getvalue()).lower()
    assert samples.key_id(samples.rsa_key()) in written  # it would have been found
    assert not [secret for secret in secrets_of(samples.rsa_key()) if secret.lower() in written]
    for key in (samples.ec_key(), samples.x25519_key()):
        secret = samples.pkcs8(key)[-64:] if key is samples.x25519_key() else b""
        if isinstance(key, type(samples.ec_key())):
            secret = key.private_numbers().private_value.to_bytes(32, "big")
        assert secret[-32:].hex() not in written
        assert base64.b64encode(secret[-32:]).decode().lower()[8:32] not in written


def test_what_a_dataclass_keeps_out_of_its_repr_is_in_no_document() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class SessionTicket(Finding):
        kind: ClassVar[str] = "session_ticket"
        algorithm: str
        secret: bytes = dataclasses.field(repr=False)

    record = finding_record(SessionTicket(sha256="00", size=16, algorithm="AES", secret=b"0123456789abcdef"))
    assert record["kind"] == "session_ticket"
    assert record["algorithm"] == "AES"
    assert "secret" not in record


def test_a_place_without_an_address_has_none() -> None:
    record = location_record(samples.place(None, b"x", process=None))
    assert not {"virtual_address", "address", "region", "process"} & set(record)


def test_a_process_has_the_names_of_the_common_schema() -> None:
    record = process_record(samples.PROCESS, samples.DUMP, environment=True)
    assert record["dump"] == samples.DUMP
    process = record["process"]
    assert (process["pid"], process["name"], process["parent"]) == (5120, "w3wp.exe", {"pid": 904})
    assert process["command_line"] == samples.PROCESS.command_line
    assert process["env_vars"] == list(samples.PROCESS.environment)
    assert process["start"] == "2024-06-11T09:30:12.125000Z"
    assert "end" not in process
    assert "env_vars" not in process_record(samples.PROCESS, samples.DUMP, environment=False)["process"]
    assert process_record(Process(), "x", environment=False)["process"] == {}


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        ("Path=a=b", ("Path", "a=b")),
        ("=C:=C:\\dir", ("=C:", "C:\\dir")),
        ("=ExitCode=00000000", ("=ExitCode", "00000000")),
        ("lonely", ("lonely", "")),
        ("=", ("=", "")),
        ("", ("", "")),
        ("==x", ("=", "x")),
    ],
)
def test_an_environment_entry_is_split_at_the_first_sign_after_its_name(entry: str, parts: tuple[str, str]) -> None:
    assert environment_entry(entry) == parts


def test_times_are_utc_whatever_their_zone() -> None:
    east = timezone(timedelta(hours=2))
    assert timestamp(datetime(2024, 1, 1, 2, tzinfo=east)) == "2024-01-01T00:00:00Z"
    assert timestamp(datetime(2024, 1, 1)) == "2024-01-01T00:00:00Z"  # noqa: DTZ001 - as UTC is what it shows
    assert timestamp(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    assert timestamp(datetime(1, 1, 1, tzinfo=east)) == "0001-01-01T00:00:00+02:00"


class Kind(enum.IntEnum):
    STACK = 7


@dataclasses.dataclass
class Description:
    name: str
    kind: Kind
    seen: datetime
    data: bytes
    ranges: tuple[tuple[int, int], ...]
    nothing: None = None
    hidden: str = dataclasses.field(default="secret", repr=False)


def test_any_dataclass_becomes_a_document() -> None:
    described = Description("x", Kind.STACK, datetime(2024, 1, 1, tzinfo=UTC), b"\x01\xff", ((1, 2), (3, 1 << 70)))
    record = info_record("minidump", "a.dmp", {"description": described, "ratio": float("inf"), 5: None})
    assert record == {
        "schema": SCHEMA_VERSION,
        "kind": "minidump",
        "dump": "a.dmp",
        "minidump": {
            "description": {
                "name": "x",
                "kind": "STACK",
                "seen": "2024-01-01T00:00:00Z",
                "data": "01ff",
                "ranges": [[1, 2], [3, "0x400000000000000000"]],
            },
            "ratio": "inf",
        },
    }


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.datetimes()
)


containers = st.recursive(
    leaves,
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text() | st.integers(), deeper, max_size=3),
    max_leaves=8,
)


@given(containers)
def test_whatever_comes_is_fit_for_json(value: object) -> None:
    document = plain(value)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_an_input_says_what_became_of_it() -> None:
    status = InputStatus("a.dmp", 12, Status.DAMAGED, ("cut short",))
    assert input_record(status) == {"file": "a.dmp", "size": 12, "status": "damaged", "problems": ["cut short"]}
    assert "size" not in input_record(InputStatus("b.dmp", status=Status.UNREADABLE))


def test_key_bytes_are_in_no_repr() -> None:
    for finding in samples.findings():
        if isinstance(finding, PrivateKey):
            assert repr(finding.pkcs8)[2:40] not in repr(finding)
