"""Planted objects and their truth, checked by `cryptography`."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_pem

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects.catalogue import ENCODINGS, make
from dumpscan.synth.objects.decoys import DECOYS
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.spec import ObjectSpec

if TYPE_CHECKING:
    from dumpscan.synth.objects.planted import PlantedObject

CA = ObjectSpec(kind="certificate", algorithm="ed25519", key="ca", subject="CN=ca.example.org", ca=True)
LEAF = ObjectSpec(kind="certificate", algorithm="ec-p256", key="leaf", subject="CN=leaf.example.org", issuer=CA)
RSA = ObjectSpec(kind="decoy", algorithm="rsa-1024", key="decoy", subject="CN=decoy")


def parsed(planted: PlantedObject) -> x509.Certificate:
    if planted.encoding == "der":
        return x509.load_der_x509_certificate(planted.data)
    text = planted.data.decode("utf-16-le").encode() if planted.encoding == "pem-utf16" else planted.data
    assert text.splitlines()[-1] == b"-----END CERTIFICATE-----"
    return x509.load_pem_x509_certificate(text)


@pytest.mark.parametrize("encoding", ENCODINGS["certificate"])
def test_certificate_truth(encoding: str) -> None:
    planted = make(replace(LEAF, encoding=encoding), "seed")
    certificate = parsed(planted)
    der = certificate.public_bytes(Encoding.DER)
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate.verify_directly_issued_by(parsed(make(CA, "seed")))
    assert planted.encoding == encoding
    assert planted.sha256 == sha256(planted.data).hexdigest()
    assert planted.der == der
    assert planted.thumbprint == sha1(der).hexdigest().upper()  # noqa: S324 -- a thumbprint is SHA-1
    assert planted.key_id == sha256(info).hexdigest()
    assert (planted.subject, planted.issuer) == ("CN=leaf.example.org", "CN=ca.example.org")
    assert (planted.algorithm, planted.bits, planted.curve) == ("EC", 256, "secp256r1")
    assert certificate.serial_number.bit_length() == 127  # 16 bytes, positive


def test_key_and_certificate_of_one_name_are_a_pair() -> None:
    key = make(ObjectSpec(kind="private_key", algorithm="ec-p256", key="leaf"), "seed")
    assert key.key_id == make(LEAF, "seed").key_id
    assert key.key_id != make(replace(LEAF, key="other"), "seed").key_id
    assert key.key_id != make(LEAF, "other seed").key_id
    assert load_der_private_key(key.data, None).public_key() == parsed(make(LEAF, "seed")).public_key()


@pytest.mark.parametrize(
    "spec",
    [
        LEAF,
        replace(LEAF, issuer=None, algorithm="dsa-1024"),
        replace(LEAF, version=1, issuer=None, algorithm="rsa-512"),
        ObjectSpec(kind="private_key", algorithm="rsa-1024", encoding="cng-full"),
        ObjectSpec(kind="encrypted_container", algorithm="ec-p384", encoding="pkcs12"),
        *(replace(RSA, encoding=flaw) for flaw in DECOYS),
    ],
)
def test_same_specification_and_seed_same_bytes(spec: ObjectSpec) -> None:
    planted = make(spec, "seed")
    make_key.cache_clear()
    assert make(spec, "seed") == planted
    assert make(spec, "other").data != planted.data


@pytest.mark.parametrize("encoding", ["pkcs8-encrypted", "pem-encrypted", "pkcs12"])
def test_container_truth(encoding: str) -> None:
    planted = make(ObjectSpec(kind="encrypted_container", algorithm="ec-p256", encoding=encoding), "seed")
    truth = planted.truth()
    assert truth["container"] == ("pkcs12" if encoding == "pkcs12" else "pkcs8")
    assert (truth["kdf"], truth["cipher"], truth["iterations"]) == ("PBKDF2-HMAC-SHA256", "AES-256-CBC", 2048)
    assert truth["encoding"] == ("pem" if encoding == "pem-encrypted" else "der")
    assert "key_id" not in truth  # nobody knows it without the password


def test_key_store_truth() -> None:
    spec = ObjectSpec(kind="encrypted_container", algorithm="ec-p256", encoding="jks", subject="CN=held")
    planted = make(spec, "seed")
    truth, certificate = planted.truth(), make(replace(spec, kind="certificate", encoding="der"), "seed")
    assert (truth["container"], truth["encoding"]) == ("jks", "jks")
    assert truth["thumbprint"] == certificate.thumbprint
    assert certificate.data in planted.data
    assert not {"key_id", "kdf", "cipher", "iterations"} & truth.keys()


def test_the_encoding_names_carriers_from_the_outermost_in() -> None:
    spec = ObjectSpec(kind="private_key", algorithm="ec-p256", encoding="pem", carriers=("json", "base64"))
    planted, plain = make(spec, "seed"), make(replace(spec, carriers=()), "seed")
    assert planted.encoding == "base64+json+pem"
    assert json.loads(base64.b64decode(planted.data)) == plain.data.decode()
    assert (planted.key_id, planted.kind) == (plain.key_id, plain.kind)
    assert planted.sha256 == sha256(planted.data).hexdigest() != plain.sha256


def test_decoys_look_like_the_real_thing_and_do_not_parse() -> None:
    made = {flaw: make(replace(RSA, encoding=flaw), "seed").data for flaw in DECOYS}
    real = make(replace(RSA, kind="certificate"), "seed").data
    assert made["truncated-certificate"] == real[: len(real) // 2]
    assert made["garbled-certificate"][:16] == real[:16]
    for flaw in ("truncated-certificate", "garbled-certificate"):
        with pytest.raises(ValueError, match="error parsing"):
            x509.load_der_x509_certificate(made[flaw])
    with pytest.raises(ValueError, match=r"(?i)invalid|private"):
        load_der_private_key(made["broken-modulus"], None)
    with pytest.raises(ValueError, match=r"(?i)invalid|private"):
        load_pem(made["broken-pem"], None)
    blob = made["broken-blob"]
    real_blob = make(ObjectSpec(kind="private_key", algorithm="rsa-1024", key="decoy", encoding="cng"), "seed").data
    assert blob[:-1] == real_blob[:-1]
    assert blob != real_blob


def test_truth_is_json_without_key_material() -> None:
    planted = make(ObjectSpec(kind="private_key", algorithm="ed25519", encoding="pkcs8"), "seed")
    text = json.dumps(planted.truth())
    assert planted.data[-32:].hex() not in text
    assert planted.data[-32:].hex() not in repr(planted)
    assert repr(planted.data[-32:])[2:-1] not in repr(planted)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ObjectSpec(kind="cert"), "unknown kind"),
        (ObjectSpec(kind="certificate", algorithm="rsa-77"), "unknown algorithm"),
        (ObjectSpec(kind="certificate", encoding="pkcs8"), "unknown encoding"),
        (ObjectSpec(kind="private_key", algorithm="ed25519", encoding="pkcs1"), "cannot hold"),
        (ObjectSpec(kind="private_key", algorithm="ed25519", encoding="nonsense"), "unknown encoding"),
        (ObjectSpec(kind="certificate", algorithm="ed25519", version=2), "version 2"),
        (ObjectSpec(kind="certificate", algorithm="x25519"), "cannot sign"),
        (ObjectSpec(kind="decoy", encoding="nonsense"), "unknown encoding"),
        (ObjectSpec(kind="private_key", encoding="ppk-2", algorithm="x25519"), "cannot hold"),
        (ObjectSpec(kind="private_key", encoding="ppk-3", algorithm="ec-secp256k1"), "cannot hold .* secp256k1"),
        (ObjectSpec(kind="private_key", encoding="pkcs1-stale-qi", algorithm="rsa-2048-3-primes"), "cannot hold"),
        (ObjectSpec(kind="certificate", algorithm="rsa-2048-3-primes"), "more than two primes cannot sign"),
        (ObjectSpec(kind="certificate", algorithm="ed25519", carriers=("json",)), "carrier 'json' needs text"),
        (ObjectSpec(kind="certificate", algorithm="ed25519", carriers=("zip",)), "unknown carrier 'zip'"),
        (ObjectSpec(kind="public_key", algorithm="ec-p256", carriers=("hex",)), "has no carriers"),
        (ObjectSpec(kind="decoy", algorithm="ed25519", encoding="broken-modulus"), "RSA key"),
    ],
)
def test_objects_that_cannot_be_made_are_refused(spec: ObjectSpec, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        make(spec, "seed")
