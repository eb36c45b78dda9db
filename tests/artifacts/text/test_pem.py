"""PEM text in memory."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.containers import pkcs
from dumpscan.artifacts.text.pem import DETECTORS
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey
from support.artifact_samples import (
    BASE,
    Space,
    all_keys,
    certificate_der,
    decode,
    detect,
    detect_one,
    ec_key,
    key_id,
    memory_of,
    openssl,
    pem,
    pkcs8,
    rsa_key,
    traditional,
)

DER = certificate_der()
KEY = rsa_key(1024)
TEXT = pem(DER, "CERTIFICATE")
LINE_ENDS = ["\n", "\r\n", "\r", "\\n", "\\r\\n", "\\\\n", "\\\\r\\\\n", " ", ""]


def _wide(text: bytes) -> bytes:
    return text.decode().encode("utf-16-le")


def _certificate(data: bytes) -> Certificate:
    finding = detect_one(DETECTORS, data).finding
    assert isinstance(finding, Certificate)
    assert finding.der == DER
    return finding


@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_a_certificate_with_any_line_ends(label: str, line_end: str) -> None:
    text = pem(DER, label, line_end)
    behind = line_end.encode() if line_end != " " else b""  # the line end behind the last line belongs to it
    for data in (text, text + behind):
        assert detect_one(DETECTORS, data).encoding == "pem"
        assert detect_one(DETECTORS, _wide(data)).encoding == "pem-utf16"
        assert _certificate(data) == _certificate(_wide(data))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_json_string(layers: int) -> None:
    escaped = TEXT.decode() + "\n"
    for _ in range(layers):
        escaped = json.dumps(escaped)[1:-1]
    for written in (
        escaped,
        escaped.replace("/", "\\" * layers + "/"),
        escaped.replace("+", "\\" * layers + "u002B"),
    ):
        _certificate(written.encode())


def test_openssl_s_trusted_certificate() -> None:
    text = openssl("x509", "-trustout", "-addtrust", "serverAuth", stdin=TEXT)
    assert b"TRUSTED" in text
    _certificate(text)


@pytest.mark.parametrize("name", all_keys())
def test_private_keys(name: str) -> None:
    key = all_keys()[name]
    texts = [pem(pkcs8(key), "PRIVATE KEY", "\r\n")]
    families = {"RSA": ("rsa",), "EC": ("secp", "brain"), "DSA": ("dsa",)}
    texts += [
        pem(traditional(key), f"{label} PRIVATE KEY") for label, names in families.items() if name.startswith(names)
    ]
    for text in (*texts, *map(_wide, texts)):
        decoded = detect_one(DETECTORS, text)
        assert isinstance(decoded.finding, PrivateKey)
        assert (decoded.finding.key_id, decoded.finding.pkcs8) == (key_id(key), pkcs8(key))
        assert (decoded.finding.sha256, decoded.finding.size) == (decoded.sha256, len(text))


def test_openssh() -> None:
    text = all_keys()["ed25519"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    assert detect_one(DETECTORS, text).finding.identity == ("private_key", key_id(all_keys()["ed25519"]))
    assert detect_one(DETECTORS, text).encoding == "pem"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n", "\\\\r\\\\n"])
def test_rfc_1421_headers(line_end: str) -> None:
    text = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret"))
    assert b"Proc-Type" in text
    data = text.decode().replace("\n", line_end).encode()
    for written in (data, _wide(data)):
        finding = detect_one(DETECTORS, written).finding
        assert isinstance(finding, EncryptedContainer)
        assert (finding.container, finding.cipher, finding.iterations) == ("pem", "AES-256-CBC", 1)
        assert finding.data == text
        assert key_id(load_pem_private_key(finding.data, b"secret")) == key_id(KEY)
    assert not detect(DETECTORS, data.replace(b"DEK-Info", b"Dek-info"))


def test_encrypted_pkcs8_is_the_same_thing_as_its_der() -> None:
    encryption = BestAvailableEncryption(b"secret")
    text = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    finding = detect_one(DETECTORS, text).finding
    assert isinstance(finding, EncryptedContainer)
    assert finding.container == "pkcs8"
    assert detect_one(pkcs.DETECTORS, finding.data).finding == finding


@pytest.mark.parametrize(
    "text",
    [
        pem(DER, "CERTIFICATE REQUEST"),
        pem(DER, "PUBLIC KEY"),
        pem(DER, "PRIVATE KEY"),
        pem(DER, "RSA PRIVATE KEY"),
        pem(pkcs8(KEY), "CERTIFICATE"),
        pem(pkcs8(KEY), "ENCRYPTED PRIVATE KEY"),
        pem(DER[:-1], "CERTIFICATE"),
        pem(DER + b"\0", "CERTIFICATE"),
        pem(b"", "CERTIFICATE"),
        TEXT.replace(b"-----END CERTIFICATE-----", b"-----END PRIVATE KEY-----"),
        TEXT.replace(b"-----END CERTIFICATE-----", b"-----END CERTIFICATE----"),
        TEXT[:200],
        TEXT[:200] + TEXT,
        TEXT[:200] + b"\0" + TEXT[200:],
        TEXT[:200] + b"*" + TEXT[200:],
        TEXT[:200] + b"=" + TEXT[200:],
        TEXT[:200] + b"\\x" + TEXT[200:],
        TEXT.replace(b"-----BEGIN", b"----- BEGIN"),
        b"-----BEGIN -----\n-----END -----",
        b"-----BEGIN " + b"A" * 100,
    ],
)
def test_what_is_nothing(text: bytes) -> None:
    assert not detect(DETECTORS, text)
    assert not detect(DETECTORS, _wide(text))


def test_wide_text_that_turns_into_something_else() -> None:
    wide = bytearray(_wide(TEXT))
    wide[301] = 1
    assert not detect(DETECTORS, bytes(wide))


def test_across_a_seam_and_over_windows() -> None:
    data = certificate_der("rsa2048")
    big = pem(data, "CERTIFICATE", "\n" + " " * 3000)
    for text in (big, _wide(big)):
        for cut in (5, 200, len(text) - 3):
            space = Space({BASE: text[:cut], BASE + cut: text[cut:]})
            (decoded,) = [found for _, decoder in DETECTORS[:3] if (found := decode(decoder, space, BASE))]
            assert decoded.length == len(text)


@pytest.mark.parametrize("width", [1, 2])
def test_an_opening_without_an_end_costs_little(width: int) -> None:
    """Only as much is read as can belong to the text: what follows is another opening."""
    opening = b"-----BEGIN CERTIFICATE-----\n" * 100_000
    memory = memory_of(opening if width == 1 else _wide(opening))
    asked: list[int] = []
    read = memory.read
    memory.read = lambda address, size: asked.append(size) or read(address, size)  # type: ignore[method-assign,func-returns-value]
    assert decode(DETECTORS[width - 1][1], memory, BASE) is None
    assert sum(asked) < 10_000 * width


@given(st.data())
def test_any_damage_is_survived(draw: st.DataObject) -> None:
    data = draw.draw(st.sampled_from([TEXT, _wide(TEXT), pem(pkcs8(ec_key("secp256r1")), "PRIVATE KEY", "\\n")]))
    at = draw.draw(st.integers(0, len(data)))
    size = draw.draw(st.integers(0, 20))
    copy = data[:at] + draw.draw(st.binary(max_size=20)) + data[at + size :]
    for decoded in detect(DETECTORS, copy):
        assert decoded.length <= len(copy)


@given(st.text(alphabet=" \\nrtu0+/=:,-AProcTypeDEKInfo4ENCRYPTED\n\r", max_size=200))
def test_any_text_between_the_lines_is_survived(text: str) -> None:
    data = f"-----BEGIN RSA PRIVATE KEY-----{text}-----END RSA PRIVATE KEY-----".encode()
    detect(DETECTORS, data)
    detect(DETECTORS, _wide(data))
