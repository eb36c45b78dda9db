"""Keys and certificates in text as programs wrap it. Every wrapping is undone by other means before it is scanned."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509 import load_der_x509_certificate

from dumpscan.artifacts.registry import X509_DETECTORS
from dumpscan.findings import EncryptedContainer, PrivateKey
from dumpscan.search.merge import Collector
from dumpscan.search.scanner import Scanner
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.private_keys.writers import write_key
from support.artifact_samples import (
    BASE,
    Space,
    all_keys,
    certificate_der,
    key_id,
    pem,
    pkcs8,
    traditional,
)
from support.wrappings import DIGITS, WRAPPINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dumpscan.findings import Finding

SCANNER = Scanner(X509_DETECTORS)
KEYS = {name: all_keys()[name] for name in ("rsa1024", "rsa2048", "secp256r1", "secp521r1", "ed25519")}
WIDE_IN_BYTES = ("hex-dashes", "hex-colons", "hex-registry", "hex-array-lines")
CODINGS = {"": "ascii", "-utf16": "utf-16-le", "-utf32": "utf-32-le"}


def scan(data: bytes, before: bytes = b"\0" * 40, after: bytes = b"\0" * 40) -> list[Finding]:
    collector = Collector()
    assert SCANNER.scan(Space({BASE: before + data + after}), collector) == ()
    return collector.findings()


def places(finding: Finding, before: int = 40) -> list[tuple[int, int, str]]:
    """Where it was found, relative to the data, and how it is written."""
    return [((place.virtual_address or 0) - BASE - before, place.length, place.encoding) for place in finding.locations]


def dotnet_xml(key: object) -> bytes:
    """As .NET's `RSA.ToXmlString(true)` writes it."""
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    values = {
        "Modulus": numbers.public_numbers.n, "Exponent": numbers.public_numbers.e, "P": numbers.p, "Q": numbers.q,
        "DP": numbers.dmp1, "DQ": numbers.dmq1, "InverseQ": numbers.iqmp, "D": numbers.d,
    }  # fmt: skip
    inside = (
        f"<{name}>{base64.b64encode(value.to_bytes(-(-value.bit_length() // 8), 'big')).decode()}</{name}>"
        for name, value in values.items()
    )
    return f"<RSAKeyValue>{''.join(inside)}</RSAKeyValue>".encode()


def texts() -> dict[str, tuple[str, tuple[str, str]]]:
    """PEM texts, and the identity of what is in them."""
    found = {}
    for name, key in KEYS.items():
        found[f"{name}-pkcs8"] = pem(pkcs8(key), "PRIVATE KEY"), ("private_key", key_id(key))
        der = certificate_der(name)
        found[f"{name}-certificate"] = pem(der, "CERTIFICATE"), ("certificate", sha256(der).hexdigest())
        if name != "ed25519":
            label = "RSA" if name.startswith("rsa") else "EC"
            found[f"{name}-traditional"] = (
                pem(traditional(key), f"{label} PRIVATE KEY"),
                ("private_key", key_id(key)),
            )
    return {name: (text.decode() + "\n", identity) for name, (text, identity) in found.items()}


TEXTS = texts()


@pytest.mark.parametrize("name", WRAPPINGS)
def test_pem_in_any_wrapping(name: str) -> None:
    wrapping = WRAPPINGS[name]
    for text, identity in TEXTS.values():
        wrapped = wrapping.wrap(text)
        assert wrapping.unwrap(wrapped) == text
        for suffix, coding in CODINGS.items():
            (finding,) = scan(wrapped.encode(coding))
            assert finding.identity == identity
            ((begin, length, encoding),) = places(finding)
            assert encoding.startswith(wrapping.name)
            assert encoding.endswith(f"pem{suffix}")
            written = wrapped.encode(coding)[begin : begin + length].decode(coding)
            assert sha256(written.encode(coding)).hexdigest() == finding.locations[0].sha256
            size = len("-".encode(coding))
            assert 0 <= begin < (64 + wrapping.outside) * size
            assert len(wrapped) - len(written) - begin // size < 16 + wrapping.outside


@pytest.mark.parametrize("coding", ["utf-16-be", "utf-32-be"])
def test_pem_in_the_other_byte_order(coding: str) -> None:
    for text, identity in TEXTS.values():
        (finding,) = scan(text.strip().encode(coding), after=b"\xff" * 8)
        assert finding.identity == identity


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("key", KEYS)
def test_der_in_digits(name: str, key: str) -> None:
    digits = DIGITS[name]
    objects = {
        pkcs8(KEYS[key]): ("private_key", key_id(KEYS[key])),
        certificate_der(key): ("certificate", sha256(certificate_der(key)).hexdigest()),
    }
    if key != "ed25519":
        objects[traditional(KEYS[key])] = ("private_key", key_id(KEYS[key]))
    for data, identity in objects.items():
        text = digits.write(data)
        assert digits.read(text) == data
        (finding,) = scan(text.encode())
        assert finding.identity == identity
        ((begin, length, encoding),) = places(finding)
        assert encoding == digits.name
        assert begin <= text.lower().index("30" if digits.name == "hex" else "m")
        assert len(text) - 8 < begin + length <= len(text)
        wide = {"utf-16-le": "utf16", "utf-16-be": "utf16be", "utf-32-le": "utf32", "utf-32-be": "utf32be"}
        if name in WIDE_IN_BYTES:
            wide = {"utf-16-le": "utf16"}
        for coding, suffix in wide.items() if name in ("base64", "base64-76", "hex", *WIDE_IN_BYTES) else ():
            (finding,) = scan(text.encode(coding), after=b"\xff" * 40)
            assert finding.identity == identity
            assert places(finding)[0][2] in (f"{digits.name}-{suffix}", f"{digits.name}-{suffix.removesuffix('be')}")


@pytest.mark.parametrize("name", DIGITS)
def test_pem_in_digits(name: str) -> None:
    """As kubeconfig files and Kubernetes secrets hold it."""
    digits = DIGITS[name]
    for text, identity in TEXTS.values():
        data = digits.write(text.encode())
        assert digits.read(data) == text.encode()
        (finding,) = scan(data.encode(), b"    client-key-data: ", b"\n" + b"\0" * 20)
        assert finding.identity == identity
        ((_, length, encoding),) = places(finding)
        assert encoding == f"{digits.name}+pem"
        assert length >= len(data) - 4


@pytest.mark.parametrize("offset", range(12))
def test_at_any_place_in_base64(offset: int) -> None:
    """An object opens anywhere in what base64 stands for: behind text, behind another one."""
    text, identity = TEXTS["rsa1024-traditional"]
    (finding,) = scan(base64.b64encode(b"Bag Attributes\n friendlyName: x\n"[:offset] + text.encode()))
    assert finding.identity == identity
    certificate = certificate_der("secp256r1")
    findings = scan(base64.b64encode(bytes(offset) + certificate + bytes(offset) + pkcs8(KEYS["secp256r1"])))
    assert [finding.kind for finding in findings] == ["certificate", "private_key"]
    assert all(places(finding)[0][2] == "base64" for finding in findings)


@pytest.mark.parametrize("width", [64, 76, 1 << 20])
def test_a_bundle_in_base64(width: int) -> None:
    """However its lines are broken, everything in it is found, each at its own place."""
    bundle = "".join(text for text, _ in TEXTS.values())
    encoded = base64.b64encode(bundle.encode())
    lines = b"\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))
    findings = scan(lines, b"  tls.crt: ")
    assert {finding.identity for finding in findings} == {identity for _, identity in TEXTS.values()}
    begins = [place for finding in findings for place in places(finding)]
    assert len({begin for begin, _, _ in begins}) == len(begins) == len(TEXTS)
    assert all(encoding == "base64+pem" for _, _, encoding in begins)


def test_layers() -> None:
    """Text within text within text, as far as it goes in practice."""
    text, identity = TEXTS["secp256r1-pkcs8"]
    kubeconfig = f"apiVersion: v1\nusers:\n- user:\n    client-key-data: {base64.b64encode(text.encode()).decode()}\n"
    secret = {"data": {"kubeconfig": base64.b64encode(kubeconfig.encode()).decode()}}
    account = {"private_key": text, "type": "service_account"}
    certificate = base64.b64encode(certificate_der("rsa2048")).decode()
    response = f"<ds:X509Data><ds:X509Certificate>\n{certificate}\n</ds:X509Certificate></ds:X509Data>"
    header = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "x5c": [certificate]}).encode()).rstrip(b"=")
    expected = {
        json.dumps(secret).encode(): (identity, "base64+base64+pem"),
        base64.b64encode(json.dumps(account).encode()): (identity, "base64+pem"),
        base64.b64encode(text.encode("utf-16-le")): (identity, "base64+pem-utf16"),
        base64.b64encode(response.encode()): (TEXTS["rsa2048-certificate"][1], "base64+base64"),
        header + b".e30.AAAA": (TEXTS["rsa2048-certificate"][1], "base64+base64"),
        base64.b64encode(base64.b64encode(certificate_der("rsa2048"))): (
            TEXTS["rsa2048-certificate"][1],
            "base64+base64",
        ),
    }
    for data, (identity, encoding) in expected.items():
        (finding,) = scan(data)
        assert (finding.identity, places(finding)[0][2]) == (identity, encoding)


@pytest.mark.parametrize("offset", range(3))
@pytest.mark.parametrize("form", ["jwk", "xml", "ppk-2", "ppk-3"])
def test_named_numbers_in_base64(form: str, offset: int) -> None:
    """As cookies, tokens and secrets of clusters hold keys that are no DER."""
    key = make_key("rsa-1024", "in base64")
    data = b" " * offset + (dotnet_xml(key.private) if form == "xml" else write_key(key, form))
    for written in (base64.b64encode(data), base64.encodebytes(data)):
        (finding,) = scan(written)
        assert finding.identity == ("private_key", key_id(key.private))
        assert places(finding)[0][2] == ("base64" if form.startswith("ppk") else f"base64+{form}")
    shuffled = dict(reversed(json.loads(data).items())) if form == "jwk" else None
    if shuffled:  # the member that is looked for is the last
        (finding,) = scan(base64.b64encode(b" " * offset + json.dumps(shuffled).encode()))
        assert finding.identity == ("private_key", key_id(key.private))


@pytest.mark.parametrize("form", ["openssh", "capi", "cng", "cng-full", "openpgp"])
@pytest.mark.parametrize("write", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes, bytes.hex])
def test_keys_that_are_no_der(form: str, write: Callable[[bytes], bytes | str]) -> None:
    """As programs keep them in settings: OpenSSH's key without armour, .NET's `ExportCspBlob`, CNG's blobs."""
    key = make_key("rsa-2048", "in settings")
    if form == "openssh":
        text = key.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())  # type: ignore[union-attr]
        data = base64.b64decode(b"".join(text.splitlines()[1:-1]))
    else:
        data = write_key(key, form)
    written = write(data)
    (finding,) = scan(written if isinstance(written, bytes) else written.encode(), b"\0\0key=")
    assert finding.identity == ("private_key", key_id(key.private))
    assert places(finding, 6)[0][2] == ("hex" if isinstance(written, str) else "base64")


@pytest.mark.parametrize("name", ["secp256r1", "secp521r1", "ed25519"])
def test_short_keys_in_two_layers(name: str) -> None:
    """Base64 and hex of one another: what tells of a short key is little."""
    key = KEYS[name]
    for data in (pkcs8(key), traditional(key) if name != "ed25519" else pkcs8(key)):
        for text, encoding in (
            (base64.b64encode(base64.b64encode(data)), "base64+base64"),
            (base64.b64encode(b'{"key":"' + base64.b64encode(data) + b'"}'), "base64+base64"),
            (base64.b64encode(data.hex().encode()), "base64+hex"),
            (base64.b64encode(data).hex().encode(), "hex+base64"),
            (data.hex().encode().hex().encode(), "hex+hex"),
        ):
            (finding,) = scan(text)
            assert finding.identity == ("private_key", key_id(key))
            assert places(finding)[0][2] == encoding


def test_escapes_and_words_before_base64() -> None:
    """They do not hide where an object opens."""
    certificate = certificate_der("secp256r1")
    body = base64.b64encode(certificate).decode()
    lines = [body[at : at + 76] for at in range(0, len(body), 76)]
    for text in (
        "Cert=" + "".join(f"%{ord(digit):02X}" for digit in body[:4]) + body[4:].replace("/", "%2F"),
        '"' + "".join(f"\\u{ord(digit):04x}" for digit in body[:4]) + body[4:].replace("/", "\\/") + '"',
        "\n".join(f"2026-11-27T04:00:{n:02}Z DEBUG worker {line}" for n, line in enumerate(lines)),
        "\n".join(f"+  {line}" for line in lines),
    ):
        (finding,) = scan(text.encode(), b"\0\0\x01Q")
        assert finding.identity == ("certificate", sha256(certificate).hexdigest())


def test_certificates_of_cms() -> None:
    certificates = [load_der_x509_certificate(certificate_der(name)) for name in ("rsa2048", "secp256r1")]
    identities = {("certificate", sha256(certificate_der(name)).hexdigest()) for name in ("rsa2048", "secp256r1")}
    data = pkcs7.serialize_certificates(certificates, Encoding.DER)
    text = pkcs7.serialize_certificates(certificates, Encoding.PEM)
    for written in (
        data,
        text,
        text.replace(b"PKCS7", b"CMS"),
        text.replace(b"PKCS7", b"CERTIFICATE"),
        text.decode().encode("utf-16-le"),
        base64.b64encode(data),
        base64.b64encode(text),
        data.hex().encode(),
    ):
        findings = scan(written)
        assert {finding.identity for finding in findings} == identities
        assert len({places(finding)[0][0] for finding in findings}) == 2


def test_containers() -> None:
    key, certificate = KEYS["rsa2048"], load_der_x509_certificate(certificate_der("rsa2048"))
    pfx = pkcs12.serialize_key_and_certificates(b"a", key, certificate, None, BestAvailableEncryption(b"secret"))  # type: ignore[arg-type]
    plain = pkcs12.serialize_key_and_certificates(b"a", key, certificate, None, NoEncryption())  # type: ignore[arg-type]
    encrypted = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for written in (
        base64.b64encode(pfx),
        pem(pfx, "PKCS12"),
        pfx.hex().encode(),
        base64.b64encode(encrypted),
        encrypted.hex().encode(),
    ):
        (finding,) = scan(written)
        assert isinstance(finding, EncryptedContainer)
        assert finding.data in (pfx, encrypted)
    kinds = {finding.kind for finding in scan(base64.encodebytes(plain))}
    assert kinds >= {"certificate", "private_key"}
    ssh = KEYS["ed25519"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (finding,) = scan(base64.b64encode(ssh))
    assert finding.identity == ("private_key", key_id(KEYS["ed25519"]))


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        ("-----BEGIN {0}-----\n{1}", "pem"),
        ("-----BEGIN {0}-----\n{1}\n\n[section]\n", "pem"),
        ('"-----BEGIN {0}-----\\n{1}", "type": "x"', "pem"),
        ("-----BEGIN {0}-----\n{2}\n-----END {0}-----", "pem"),
        ("-----BEGIN {0}-----{2}-----END {0}-----", "pem"),
        ("-----BEGIN {0}-----\nComment: by hand\nX-Other: a\n b c\n\n{1}\n-----END {0}-----\n", "pem"),
        ("-----BEGIN {0}-----\nsubject=/CN=a b\n{1}\n-----END {0}-----\n", "pem"),
        ("-----BEGIN MY {0}-----\n{1}\n-----END MY {0}-----\n", "pem"),
        ("-----BEGIN x-y z-----\n{1}\n-----END x-y z-----\n", "pem"),
        ("-----BEGIN {0}-----\n{1}\n-----END SOMETHING ELSE-----\n", "base64"),
        ("RIVATE KEY-----\n{1}\n-----END {0}-----\n", "base64"),
    ],
)
@pytest.mark.parametrize("key", KEYS)
def test_odd_and_damaged_pem(written: str, encoding: str, key: str) -> None:
    body = base64.encodebytes(pkcs8(KEYS[key])).decode().strip()
    text = written.format("PRIVATE KEY", body, body.replace("\n", "").rstrip("="))
    (finding,) = scan(text.encode(), b"#\0")
    assert finding.identity == ("private_key", key_id(KEYS[key]))
    assert places(finding)[0][2] == encoding


def test_a_key_cut_short_is_told() -> None:
    """It is made of what is there, or something says that it is there."""
    for name in ("rsa1024", "rsa2048", "secp521r1"):
        body = base64.encodebytes(traditional(KEYS[name])).decode().strip()
        lines = body.splitlines()
        text = "\n".join(("-----BEGIN PRIVATE KEY-----", *lines[:-1]))
        collector = Collector()
        problems = SCANNER.scan(Space({BASE: b"\0" * 40 + text.encode() + b"\0" * 40}), collector)
        found = collector.findings()
        assert {finding.identity for finding in found} <= {("private_key", key_id(KEYS[name]))}
        partial = [place for finding in found for place in finding.locations if place.missing]
        assert partial or any("cut short" in problem for problem in problems)
    start = "\n".join(("-----BEGIN PRIVATE KEY-----", *lines[:1], "...", "-----END PRIVATE KEY-----"))
    assert scan(start.encode()) == []  # an example in some documentation


def test_one_place_of_each_object() -> None:
    """The base64 within PEM, and the PKCS#1 within PKCS#8, are no other places of the key."""
    text, _ = TEXTS["rsa2048-pkcs8"]
    for wrapped in (text, base64.b64encode(text.encode()).decode(), json.dumps(json.dumps(text))):
        (finding,) = scan(wrapped.encode())
        assert isinstance(finding, PrivateKey)
        assert finding.location_count == 1
        assert (finding.sha256, finding.size) == (finding.locations[0].sha256, finding.locations[0].length)


@pytest.mark.parametrize("first", ["json", "url", "base64"])
@pytest.mark.parametrize("second", ["xml-attribute", "mail", "c"])
def test_wrappings_in_one_another(first: str, second: str) -> None:
    text, identity = TEXTS["secp256r1-traditional"]
    inner = base64.b64encode(text.encode()).decode() if first == "base64" else WRAPPINGS[first].wrap(text)
    wrapped = WRAPPINGS[second].wrap(inner)
    (finding,) = scan(wrapped.encode())
    assert finding.identity == identity
