"""Private keys in DER."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import private_key
from dumpscan.artifacts.keys.private_key import DETECTORS
from dumpscan.findings import PrivateKey
from support.artifact_samples import (
    BASE,
    CURVES,
    RAW_KINDS,
    Space,
    all_keys,
    damaged,
    detect,
    detect_one,
    dsa_key,
    ec_key,
    key_id,
    openssl,
    parse_any,
    parts_of,
    pkcs8,
    raw_key,
    rsa_key,
    tlv,
    traditional,
)

TRADITIONAL = {"rsa512": "pkcs1", "rsa1024": "pkcs1", "rsa2048": "pkcs1", **dict.fromkeys(CURVES, "sec1"), "dsa": "dsa"}
ED25519_OPENING = bytes.fromhex("300506032b6570")


def _key(data: bytes) -> PrivateKey:
    finding = detect_one(DETECTORS, data).finding
    assert isinstance(finding, PrivateKey)
    assert (finding.sha256, finding.size) == (sha256(data).hexdigest(), len(data))
    return finding


@pytest.mark.parametrize("name", all_keys())
def test_pkcs8(name: str) -> None:
    key = all_keys()[name]
    data = pkcs8(key)
    assert detect_one(DETECTORS, data).encoding == "pkcs8"
    assert _key(data).key_id == key_id(key)
    assert _key(data).pkcs8 == data


@pytest.mark.parametrize(("name", "encoding"), TRADITIONAL.items())
def test_traditional(name: str, encoding: str) -> None:
    key = all_keys()[name]
    data = traditional(key)
    assert detect_one(DETECTORS, data).encoding == encoding
    assert _key(data).key_id == key_id(key)
    assert _key(data).pkcs8 == pkcs8(key)


@pytest.mark.parametrize("bits", [768, 1000, 3072])
def test_rsa_of_other_sizes(bits: int) -> None:
    assert _key(pkcs8(rsa_key(bits))).bits == _key(traditional(rsa_key(bits))).bits == bits


@pytest.mark.parametrize("kind", RAW_KINDS)
def test_pkcs8_with_the_public_key(kind: str) -> None:
    """RFC 5958's version 1: [1] holds the public key, and [0] may hold attributes before it."""
    key = raw_key(kind)
    private = [tlv(*part) for part in parts_of(parts_of(pkcs8(key))[0][1])][1:]
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    data = tlv(0x30, b"\x02\x01\x01", *private, tlv(0x81, b"\0", public))
    assert _key(data).key_id == key_id(key)
    assert "derived" not in " ".join(_key(data).proof)
    attribute = tlv(0x30, bytes.fromhex("06092a864886f70d010914"), tlv(0x31, tlv(0x1E, b"\0n")))
    assert _key(tlv(0x30, b"\x02\x01\x01", *private, tlv(0xA0, attribute), tlv(0x81, b"\0", public)))
    assert _key(tlv(0x30, b"\x02\x01\x00", *private, tlv(0xA0, attribute * 8)))
    for wrong in (
        tlv(0x81, b"\0", bytes(len(public))),
        tlv(0x81, b"\1", public),
        tlv(0x82, b"\0", public),
        tlv(0x81, b"\0", public) * 2,
    ):
        assert not detect(DETECTORS, tlv(0x30, b"\x02\x01\x01", *private, wrong))


@pytest.mark.parametrize("kind", RAW_KINDS)
def test_older_forms_of_pkcs8(kind: str) -> None:
    """ring's constructed [1], the private value without an OCTET STRING of its own, and both values together."""
    key = raw_key(kind)
    version, algorithm, _ = [tlv(*part) for part in parts_of(parts_of(pkcs8(key))[0][1])]
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    proof = ("public value = that of the private value",)
    bits = tlv(3, b"\0", public)
    for members, expected in (
        ((b"\x02\x01\x01", algorithm, tlv(4, tlv(4, private)), tlv(0xA1, bits)), proof),
        ((version, algorithm, tlv(4, private)), ()),
        ((version, algorithm, tlv(4, private, public)), proof),
        ((version, algorithm, tlv(4, tlv(4, private, public))), proof),
        ((version, algorithm, tlv(4, tlv(4, private, public)), tlv(0x81, b"\0", public)), proof),
        ((version, algorithm, tlv(4, tlv(4, private))), ()),
    ):
        assert (_key(tlv(0x30, *members)).key_id, _key(tlv(0x30, *members)).proof) == (key_id(key), expected)
    for members in (
        (version, algorithm, tlv(4, tlv(4, private)), tlv(0xA1, tlv(3, b"\1", public))),
        (version, algorithm, tlv(4, tlv(4, private)), tlv(0xA1, bits, bits)),
        (version, algorithm, tlv(4, private, private)),
        (version, algorithm, tlv(4, private, public), tlv(0x81, b"\0", private)),
    ):
        assert not detect(DETECTORS, tlv(0x30, *members))


@pytest.mark.parametrize("kind", RAW_KINDS)
@pytest.mark.parametrize("width", [4, 8])
def test_what_begins_a_key_in_an_array_of_its_own_is_none(kind: str, width: int) -> None:
    """The array's length precedes it: sixteen bytes, behind which something else lies that happens to look random."""
    data = pkcs8(raw_key(kind))
    decoders = [decoder for finder, decoder in DETECTORS if re.match(finder.expression, data, re.DOTALL)]
    assert len(decoders) == 1
    for count, found in ((16, False), (len(data), True), (13, True)):
        memory = Space({BASE: bytes(16 - width) + count.to_bytes(width, "little") + data})
        assert (decoders[0](memory, BASE + 16) is not None) == found


@pytest.mark.parametrize("kind", ["ed25519", "ed448", "x25519", "x448"])
def test_parameters_of_null(kind: str) -> None:
    """RFC 8410 forbids them; some programs write them all the same."""
    key = raw_key(kind)
    data = pkcs8(key)
    at = data.index(b"\x30\x05\x06\x03")
    data = bytes((0x30, data[1] + 2)) + data[2:at] + b"\x30\x07" + data[at + 2 : at + 7] + b"\5\0" + data[at + 7 :]
    (decoded,) = detect(DETECTORS, data)
    assert isinstance(decoded.finding, PrivateKey)
    assert decoded.finding.key_id == key_id(key)


def test_pkcs8_of_an_algorithm_that_is_not_known() -> None:
    with pytest.raises(RefusedError):
        private_key.parse_pkcs8(pkcs8(raw_key("ed25519")).replace(b"\x2b\x65\x70", b"\x2b\x65\x7f"))


def _sec1(name: str, *, parameters: bool = True, public: bool = True) -> bytes:
    members = parts_of(parts_of(traditional(ec_key(name)))[0][1])
    left = {0xA0: parameters, 0xA1: public}
    return tlv(0x30, *(tlv(*member) for member in members if left.get(member[0], True)))


@pytest.mark.parametrize("name", CURVES)
def test_sec1_with_less_in_it(name: str) -> None:
    for data in (_sec1(name, parameters=False), _sec1(name, public=False)):
        assert (_key(data).curve, _key(data).key_id) == (name, key_id(ec_key(name)))
    assert _key(_sec1(name, public=False)).proof == ()


def test_sec1_of_a_curve_that_is_not_known() -> None:
    data = _sec1("secp256r1", public=False).replace(
        bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030106")
    )
    assert not detect(DETECTORS, data)


def test_pkcs8_and_the_structure_in_it_name_two_curves() -> None:
    inner = _sec1("secp256r1")
    algorithm = tlv(0x30, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06052b8104000a"))
    assert not detect(DETECTORS, tlv(0x30, b"\x02\x01\x00", algorithm, tlv(0x04, inner)))


def test_pkcs8_with_the_public_point_beside_the_key() -> None:
    key = ec_key("secp256r1")
    algorithm = tlv(0x30, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06082a8648ce3d030107"))
    private = tlv(0x04, _sec1("secp256r1", public=False))
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    data = tlv(0x30, b"\x02\x01\x01", algorithm, private, tlv(0x81, b"\0", point))
    assert (_key(data).key_id, _key(data).proof) == (key_id(key), ("Q = d*G",))
    other = ec_key("secp256k1").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert not detect(DETECTORS, tlv(0x30, b"\x02\x01\x01", algorithm, private, tlv(0x81, b"\0", other)))


def test_versions_of_more_than_two_primes() -> None:
    data = traditional(rsa_key(1024)).replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)
    with pytest.raises(RefusedError, match="version"):
        private_key.parse_integers(data)
    with pytest.raises(RefusedError, match="version"):
        private_key.parse_integers(traditional(dsa_key()).replace(b"\x02\x01\x00", b"\x02\x01\x01", 1))


@pytest.mark.parametrize("form", ["-traditional", "-nocrypt"])
def test_explicit_parameters(form: str) -> None:
    source = ec_key("secp256r1").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    explicit = openssl("ec", "-param_enc", "explicit", "-outform", "DER", stdin=source)
    if form == "-nocrypt":
        explicit = openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER", stdin=explicit)
    try:
        load_der_private_key(explicit, None)
    except ValueError:
        pytest.skip("this version of cryptography knows curves by their names only")
    assert (_key(explicit).curve, _key(explicit).key_id) == ("secp256r1", key_id(ec_key("secp256r1")))
    assert not detect(DETECTORS, explicit.replace(bytes.fromhex("5ac635d8aa3a93e7"), bytes(8)))


@pytest.mark.parametrize("algorithm", ["RSA-PSS", "RSA"])
def test_what_openssl_makes(algorithm: str) -> None:
    data = openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", "rsa_keygen_bits:1024", "-outform", "DER")
    assert _key(data).bits == 1024


@pytest.mark.parametrize("name", ["rsa1024", "secp256r1", "secp521r1", "dsa", "secp256k1"])
def test_damage_makes_no_other_key(name: str) -> None:
    """A changed byte is noticed, or lies where it does not matter; it never makes a key that was not there.

    An RSA key has more numbers than it needs: it is found all the same, and the wrong number is named.
    """
    key = all_keys()[name]
    written = [traditional(key)] if name == "dsa" else [traditional(key), pkcs8(key)]
    for data in written:
        lost = 0
        for copy in damaged(data):
            found = detect(DETECTORS, copy)
            lost += not found or any(bool(one.finding.wrong_parts) for one in found)
            assert all(isinstance(one.finding, PrivateKey) and one.finding.key_id == key_id(key) for one in found)
        assert lost > 60


@pytest.mark.parametrize("name", all_keys())
def test_a_key_that_is_cut_off_is_itself_or_none(name: str) -> None:
    """RSA keys have more numbers than they need, and those of EC keys that are needed come first."""
    key = all_keys()[name]
    data = pkcs8(key)
    for size in (0, 1, 8, 30, len(data) // 2, len(data) - 1):
        found = detect(DETECTORS, data[:size])
        assert all(isinstance(one.finding, PrivateKey) and one.finding.key_id == key_id(key) for one in found)
        assert all(one.missing == len(data) - size for one in found)
        assert len(found) == (size == len(data) - 1 and name.startswith(("rsa", "sec", "brain"))) or size > 30
    grown = bytearray(data)
    grown[2 if data[1] == 0x81 else 3 if data[1] == 0x82 else 1] ^= 2
    assert not detect(DETECTORS, bytes(grown) + b"\x05\x00" * 300)


def test_numbers_of_a_key_in_wrong_order() -> None:
    members = parts_of(parts_of(traditional(rsa_key(1024)))[0][1])
    members[2], members[3] = members[3], members[2]
    assert not detect(DETECTORS, tlv(0x30, *(tlv(*member) for member in members)))
    members = parts_of(parts_of(traditional(dsa_key()))[0][1])
    assert not detect(DETECTORS, tlv(0x30, *(tlv(*member) for member in members[:4])))


@given(
    st.sampled_from([pkcs8(raw_key("ed448")), traditional(ec_key("secp256r1")), pkcs8(ec_key("secp256k1"))]), st.data()
)
def test_any_damage_is_survived(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    size = draw.draw(st.integers(0, 20))
    copy = data[:at] + draw.draw(st.binary(max_size=20)) + data[at + size :]
    detect(DETECTORS, copy)
    for parse in (private_key.parse_pkcs8, private_key.parse_sec1, private_key.parse_integers, parse_any):
        try:
            parse(copy)
        except RefusedError:
            continue


@given(st.binary(max_size=200))
def test_noise_behind_an_opening_is_no_key(noise: bytes) -> None:
    for opening in ("3082025c02010002818100", "30770201010420", "30818702010030130607 2a8648ce3d0201"):
        found = [one.finding for one in detect(DETECTORS, bytes.fromhex(opening) + noise)]
        assert all(isinstance(one, PrivateKey) and one.needs_support for one in found)
