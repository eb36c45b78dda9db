"""ML-DSA and ML-KEM keys as PKCS#8: the seed, the expanded key, or both."""

from __future__ import annotations

from hashlib import sha256, sha512
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys.algorithms import ml_dsa, ml_kem
from dumpscan.artifacts.keys.algorithms.ml_pkcs8 import PKCS8_ALGORITHMS
from dumpscan.artifacts.keys.private_key import DETECTORS
from dumpscan.findings import PrivateKey
from support.artifact_samples import detect, detect_one, parse_any, tlv

if TYPE_CHECKING:
    from collections.abc import Iterator

SETS = {
    parameters.name: (parameters, bytes.fromhex(f"0609608648016503040{number}"))
    for parameters, number in (
        (ml_dsa.ML_DSA_44, "311"),
        (ml_dsa.ML_DSA_65, "312"),
        (ml_dsa.ML_DSA_87, "313"),
        (ml_kem.ML_KEM_512, "401"),
        (ml_kem.ML_KEM_768, "402"),
        (ml_kem.ML_KEM_1024, "403"),
    )
}
LIBRARY = {
    "ML-DSA-44": "mldsa.MLDSA44PrivateKey",
    "ML-DSA-65": "mldsa.MLDSA65PrivateKey",
    "ML-DSA-87": "mldsa.MLDSA87PrivateKey",
    "ML-KEM-768": "mlkem.MLKEM768PrivateKey",
    "ML-KEM-1024": "mlkem.MLKEM1024PrivateKey",
}


def _seed(name: str) -> bytes:
    return sha512(name.encode()).digest()[: SETS[name][0].seed_size]


def _pkcs8(identifier: bytes, content: bytes, public: bytes = b"") -> bytes:
    version = b"\x02\x01\x01" if public else b"\x02\x01\x00"
    behind = [tlv(0x81, b"\0", public)] if public else []
    return tlv(0x30, version, tlv(0x30, identifier), tlv(4, content), *behind)


def _forms(name: str) -> Iterator[tuple[str, bytes, bool]]:
    """Yield every form of a key, and whether there is something to check in it."""
    parameters, identifier = SETS[name]
    seed = _seed(name)
    expanded, public = parameters.expand(seed)
    yield "seed", _pkcs8(identifier, tlv(0x80, seed)), False
    yield "expanded", _pkcs8(identifier, tlv(4, expanded)), True
    yield "both", _pkcs8(identifier, tlv(0x30, tlv(4, seed), tlv(4, expanded))), True
    yield "seed and public", _pkcs8(identifier, tlv(0x80, seed), public), True
    yield "bare seed", _pkcs8(identifier, seed), False
    yield "bare expanded", _pkcs8(identifier, expanded), True
    yield "expanded and public", _pkcs8(identifier, expanded + public), True


def _key(data: bytes) -> PrivateKey:
    decoded = detect_one(DETECTORS, data)
    assert isinstance(decoded.finding, PrivateKey)
    assert decoded.encoding == "pkcs8"
    return decoded.finding


@pytest.mark.parametrize("name", SETS)
def test_every_form_is_the_same_key(name: str) -> None:
    parameters, identifier = SETS[name]
    _, public = parameters.expand(_seed(name))
    info = tlv(0x30, tlv(0x30, identifier), tlv(3, b"\0", public))
    for form, data, checked in _forms(name):
        found = _key(data)
        assert (found.algorithm, found.key_id) == (name, sha256(info).hexdigest()), form
        assert bool(found.proof) == checked, form
        assert found.bits == 8 * len(public)
        assert parse_any(found.pkcs8).finding.identity == found.identity, form
        assert _key(data).pkcs8 == data or form not in {"seed", "expanded"}


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("round_number", range(3))
def test_the_library_derives_the_same_public_key(name: str, round_number: int) -> None:
    module, kind = LIBRARY[name].split(".")
    asymmetric = pytest.importorskip(f"cryptography.hazmat.primitives.asymmetric.{module}")
    seed = (sha256(f"{name}{round_number}".encode()).digest() * 2)[: SETS[name][0].seed_size]
    try:
        key = getattr(asymmetric, kind).from_seed_bytes(seed)
    except Exception as error:  # noqa: BLE001 -- whatever says that its OpenSSL is too old
        pytest.skip(f"this cryptography cannot make {name}: {type(error).__name__}")
    expanded, public = SETS[name][0].expand(seed)
    assert public == key.public_key().public_bytes_raw()
    assert SETS[name][0].check(expanded) == public


def test_ml_kem_512_by_the_example_of_its_rfc() -> None:
    """RFC 9935, appendix C, whose seeds are 00 01 02 ...; the hashes are of what kyber-py 1.2 makes of them, too."""
    expanded, public = ml_kem.ML_KEM_512.expand(bytes(range(64)))
    assert sha256(expanded).hexdigest() == "17fb29b8c4baf74fb81eea15ffd583b3e37f5a5b8dcf6db96c72c3b3751d6f17"
    assert public[:12].hex() == "3995815e597d104355cf29aa"


@pytest.mark.parametrize("name", SETS)
def test_one_changed_byte_of_the_expanded_key_is_seen(name: str) -> None:
    """Every part but K of ML-DSA and z of ML-KEM, which are random and determine nothing that is stored."""
    parameters, identifier = SETS[name]
    expanded, _ = parameters.expand(_seed(name))
    free = range(32, 64) if name.startswith("ML-DSA") else range(len(expanded) - 32, len(expanded))
    for at in range(0, len(expanded), len(expanded) // 97):
        changed = expanded[:at] + bytes((expanded[at] ^ 1,)) + expanded[at + 1 :]
        assert bool(detect(DETECTORS, _pkcs8(identifier, tlv(4, changed)))) == (at in free)
        both = tlv(0x30, tlv(4, _seed(name)), tlv(4, changed))
        assert not detect(DETECTORS, _pkcs8(identifier, both))


@pytest.mark.parametrize("name", SETS)
def test_a_seed_that_is_not_random_needs_something_beside_it(name: str) -> None:
    """A program keeps the bytes before a seed as a constant; what lies behind that is no seed."""
    parameters, identifier = SETS[name]
    text = b"Invalid length of the private key given: expected a seed, found something"
    for filler in (bytes(64), b"\xff" * 64, bytes(range(64)), text):
        seed = filler[: parameters.seed_size]
        expanded, public = parameters.expand(seed)
        assert not detect(DETECTORS, _pkcs8(identifier, tlv(0x80, seed)))
        assert not detect(DETECTORS, _pkcs8(identifier, seed))
        assert _key(_pkcs8(identifier, tlv(0x80, seed), public)).proof
        assert _key(_pkcs8(identifier, tlv(0x30, tlv(4, seed), tlv(4, expanded)))).proof


@pytest.mark.parametrize("name", SETS)
def test_what_is_no_key(name: str) -> None:
    parameters, identifier = SETS[name]
    seed = _seed(name)
    expanded, public = parameters.expand(seed)
    wrong_public = bytes((public[0] ^ 1,)) + public[1:]
    for content in (
        b"",
        tlv(0x80),
        tlv(0x80, seed[:-1]),
        tlv(0x81, seed),
        tlv(4, seed),
        tlv(4, expanded[:-1]),
        tlv(4, bytes(len(expanded))),
        tlv(4, b"\xff" * len(expanded)),
        tlv(0x30, tlv(4, seed)),
        tlv(0x30, tlv(4, seed), tlv(4)),
        tlv(0x30, tlv(0x80, seed), tlv(4, expanded)),
        tlv(0x30, tlv(4, seed[::-1]), tlv(4, expanded)),
        tlv(0x80, seed) * 2,
        expanded + wrong_public,
    ):
        assert not detect(DETECTORS, _pkcs8(identifier, content)), content[:8].hex()
    assert not detect(DETECTORS, _pkcs8(identifier, tlv(0x80, seed), wrong_public))
    assert not detect(DETECTORS, tlv(0x30, b"\x02\x01\0", tlv(0x30, identifier, b"\5\0"), tlv(4, tlv(0x80, seed))))


def test_coefficients_that_are_not_reduced() -> None:
    """A coefficient of ML-KEM may not be q or more, even if the hash is right."""
    parameters = ml_kem.ML_KEM_512
    expanded, _ = parameters.expand(bytes(64))
    with pytest.raises(RefusedError, match="reduced"):
        parameters.check(b"\xff\xff\xff" + expanded[3:])


@given(st.sampled_from(sorted(PKCS8_ALGORITHMS)), st.binary(max_size=200), st.none() | st.binary(max_size=40))
def test_any_content_is_survived(identifier: bytes, content: bytes, public: bytes | None) -> None:
    for private in (content, tlv(0x80, content), tlv(4, content), tlv(0x30, tlv(4, content), tlv(4, content))):
        try:
            found = PKCS8_ALGORITHMS[identifier]([], private, public)
        except RefusedError:
            continue
        assert not found.proof
