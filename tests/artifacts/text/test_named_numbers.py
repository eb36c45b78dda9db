"""JSON Web Keys and the XML of .NET."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.findings import PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from support.artifact_samples import BASE, Space, all_keys, certificate_der, key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from dumpscan.findings import Finding

SCANNER = Scanner(X509_DETECTORS)
KEYS = all_keys()
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "secp256k1"}
OKP = {"ed25519": "Ed25519", "ed448": "Ed448", "x25519": "X25519", "x448": "X448"}


def scan(text: str, coding: str = "ascii") -> list[Finding]:
    collector = Collector()
    data = text.encode(coding)
    assert SCANNER.scan(Space({BASE: b"\xff" * 40 + data + b"\xff" * 40}), collector) == ()
    return collector.findings()


def one(text: str, key: PrivateKeyTypes, encoding: str, coding: str = "ascii") -> PrivateKey:
    """Look for a key, and say that its place is all of the text but for spaces around it."""
    (finding,) = scan(text, coding)
    assert isinstance(finding, PrivateKey)
    assert finding.key_id == key_id(key)
    (place,) = finding.locations
    assert place.encoding == encoding
    begin = (place.virtual_address or 0) - BASE - 40
    assert text.encode(coding)[begin : begin + place.length].decode(coding) == text.strip()
    return finding


def number(value: int, size: int | None = None) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8 if size is None else size, "big")
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def rsa_jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = key.private_numbers()
    members = {"n": numbers.public_numbers.n, "e": numbers.public_numbers.e, "d": numbers.d}
    members |= {"p": numbers.p, "q": numbers.q, "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return {"kty": "RSA", **{name: number(value) for name, value in members.items()}}


def jwk(name: str) -> dict[str, str]:
    key: Any = KEYS[name]
    if name.startswith("rsa"):
        return rsa_jwk(key)
    if name in OKP:
        public, private = key.public_key().public_bytes_raw(), key.private_bytes_raw()
        encoded = [base64.urlsafe_b64encode(value).decode().rstrip("=") for value in (public, private)]
        return {"kty": "OKP", "crv": OKP[name], **dict(zip("xd", encoded, strict=True))}
    numbers, size = key.private_numbers(), (key.key_size + 7) // 8
    public = numbers.public_numbers
    values = {"x": public.x, "y": public.y, "d": numbers.private_value}
    return {"kty": "EC", "crv": CURVES[name], **{member: number(value, size) for member, value in values.items()}}


NAMES = ["rsa512", "rsa1024", "rsa2048", *CURVES, *OKP]


@pytest.mark.parametrize("name", NAMES)
def test_jwk(name: str) -> None:
    members = jwk(name)
    key = KEYS[name]
    more = {"use": "sig", "kid": "a{}b", "key_ops": ["sign"], "x5c": ["AAAA"], "alg": "x"}
    for text in (
        json.dumps(members),
        json.dumps(members, indent=2),
        json.dumps(dict(reversed(members.items()))),
        json.dumps({"kid": "1", **members, **more}, separators=(",", ":")),
        str(members),
    ):
        one(text, key, "jwk")
        one(text, key, "jwk-utf16", "utf-16-le")
    escaped = json.dumps({"jwk": json.dumps(members)})
    (finding,) = scan(escaped)
    assert (finding.identity, finding.locations[0].encoding) == (("private_key", key_id(key)), "json+jwk")
    (finding,) = scan(json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}, members]}))
    assert finding.identity == ("private_key", key_id(key))


def test_jwk_without_what_may_be_left_out() -> None:
    key = KEYS["rsa2048"]
    members = jwk("rsa2048")
    for names in (("dp", "dq", "qi"), ("p", "q", "dp", "dq", "qi")):
        one(json.dumps({name: value for name, value in members.items() if name not in names}), key, "jwk")
    members = jwk("ed25519")
    del members["x"]
    (finding,) = scan(json.dumps(members))
    assert finding.identity == ("private_key", key_id(KEYS["ed25519"]))


def test_certificates_in_a_jwk() -> None:
    members = {**jwk("rsa2048"), "x5c": [base64.b64encode(certificate_der("rsa2048")).decode()]}
    assert [finding.kind for finding in scan(json.dumps(members))] == ["private_key", "certificate"]


@pytest.mark.parametrize(
    "change",
    [
        {"d": None},
        {"d": ""},
        {"n": None},
        {"n": "AQAB"},
        {"kty": "oct"},
        {"kty": "EC", "crv": "P-256"},
    ],
)
def test_what_is_no_rsa_jwk(change: dict[str, str | None]) -> None:
    members = {name: value for name, value in {**jwk("rsa2048"), **change}.items() if value is not None}
    assert scan(json.dumps(members)) == []


def test_what_is_no_other_jwk() -> None:
    members = jwk("secp256r1")
    for change in ({"crv": "P-384"}, {"x": members["y"]}, {"d": members["x"]}, {"crv": "none"}):
        assert scan(json.dumps({**members, **change})) == []
    text = json.dumps(members)
    assert scan(text.replace("{", "(")) == []
    assert scan(text.replace("}", "(")) == []
    assert scan(text.replace('"d"', '"x"')) == []
    assert scan(json.dumps({**jwk("ed25519"), "x": jwk("x25519")["x"]})) == []


def base64_of(value: int, size: int) -> str:
    return base64.b64encode(value.to_bytes(size, "big")).decode()


def rsa_xml(key: rsa.RSAPrivateKey) -> str:
    """Write what .NET's `RSA.ToXmlString(true)` does."""
    numbers, size = key.private_numbers(), key.key_size // 8
    element = ET.Element("RSAKeyValue")
    half = size // 2
    for name, value, width in (
        ("Modulus", numbers.public_numbers.n, size),
        ("Exponent", numbers.public_numbers.e, 3),
        ("P", numbers.p, half),
        ("Q", numbers.q, half),
        ("DP", numbers.dmp1, half),
        ("DQ", numbers.dmq1, half),
        ("InverseQ", numbers.iqmp, half),
        ("D", numbers.d, size),
    ):
        ET.SubElement(element, name).text = base64_of(value, width)
    return ET.tostring(element, encoding="unicode")


def dsa_xml(key: dsa.DSAPrivateKey) -> str:
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers
    element = ET.Element("DSAKeyValue")
    for name, value, width in (
        ("P", group.p, 128),
        ("Q", group.q, 20),
        ("G", group.g, 128),
        ("Y", numbers.public_numbers.y, 128),
        ("X", numbers.x, 20),
    ):
        ET.SubElement(element, name).text = base64_of(value, width)
    return ET.tostring(element, encoding="unicode")


@pytest.mark.parametrize("name", ["rsa1024", "rsa2048", "dsa"])
def test_xml(name: str) -> None:
    key: Any = KEYS[name]
    text = dsa_xml(key) if name == "dsa" else rsa_xml(key)
    one(text, key, "xml")
    one(text, key, "xml-utf16", "utf-16-le")
    one(text.replace("><", ">\r\n  <"), key, "xml")
    for escaped, encoding in (
        (text.replace("<", "&lt;").replace(">", "&gt;"), "xml+xml"),
        (text.replace("<", "\\u003C").replace(">", "\\u003E"), "json+xml"),
        (text.replace("<", "%3C").replace(">", "%3E").replace("+", "%2B").replace("/", "%2F"), "urlencoded+xml"),
    ):
        one(escaped, key, encoding)


def test_what_is_no_key_in_xml() -> None:
    text = rsa_xml(KEYS["rsa1024"])  # type: ignore[arg-type]
    public = text[: text.index("<P>")] + "</RSAKeyValue>"
    for wrong in (
        public,
        text.replace("</RSAKeyValue>", "</KeyValue>"),
        text.replace("Modulus", "Mod"),
        text[1:],
        text[:-1],
    ):
        assert scan(wrong) == []


def test_an_object_may_be_anywhere_in_its_window() -> None:
    members = jwk("secp256r1")
    for padding in (900, 3000, 12_000):
        late = {"d": members["d"], "kid": "x" * padding, **{name: members[name] for name in ("crv", "x", "y", "kty")}}
        one(json.dumps(late), KEYS["secp256r1"], "jwk")
    assert scan(json.dumps({"d": members["d"], "kid": "x" * 40_000, **members})) == []


def test_curves_are_those_of_the_library() -> None:
    assert {curve.name for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1())} == set(CURVES)


@pytest.mark.parametrize("value", ["A", "AAAA=AAA", "==", "AAAAA=A", "A" * 41])
@pytest.mark.parametrize("name", ["d", "x", "y"])
def test_what_is_no_base64_is_no_number(name: str, value: str) -> None:
    key = {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "d": "AAAA"} | {name: value}
    assert scan(json.dumps(key)) == []
