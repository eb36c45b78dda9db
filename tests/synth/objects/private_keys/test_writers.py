"""Keys from a seed in the standard forms and those of Windows, read by `cryptography` and by their formats' rules."""

from __future__ import annotations

import base64
import struct

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects import keys
from dumpscan.synth.objects.pem import pem
from dumpscan.synth.objects.private_keys.writers import WRITERS, write_key

SLOW = ("rsa-3072", "rsa-4096", "dsa-2048", *keys.MULTI_PRIME)
QUICK = [name for name in keys.ALGORITHMS if name not in SLOW]
LOADABLE = ("pkcs8", "pkcs1", "sec1", "pem", "pem-traditional", "pem-utf16")


def loaded(encoding: str, data: bytes) -> bytes:
    """SubjectPublicKeyInfo of the key as `cryptography` reads it."""
    if encoding == "pem-utf16":
        text = data.decode("utf-16-le")
        assert text.count("\n") == text.count("\r\n")
        data = text.encode()
    load = serialization.load_pem_private_key if encoding.startswith("pem") else serialization.load_der_private_key
    return load(data, None).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", QUICK)
def test_key_depends_on_algorithm_and_seed_alone(algorithm: str) -> None:
    first = keys.make_key(algorithm, "one")
    keys.make_key.cache_clear()
    assert keys.make_key(algorithm, "one").key_id == first.key_id
    assert keys.make_key(algorithm, "two").key_id != first.key_id


@pytest.mark.parametrize("algorithm", QUICK)
@pytest.mark.parametrize("encoding", LOADABLE)
def test_other_readers_read_the_same_key(algorithm: str, encoding: str) -> None:
    key = keys.make_key(algorithm, "one")
    if not WRITERS[encoding].writer(key):
        with pytest.raises(ScenarioError, match="cannot hold"):
            write_key(key, encoding)
        return
    assert loaded(encoding, write_key(key, encoding)) == key.public_info


@pytest.mark.parametrize("algorithm", ["rsa-512", "rsa-1024", "rsa-1536"])
@pytest.mark.parametrize("encoding", ["cng", "cng-full"])
def test_cng_rsa_blob(algorithm: str, encoding: str) -> None:
    key = keys.make_key(algorithm, "one")
    data = write_key(key, encoding)
    magic, bits, *lengths = struct.unpack_from("<4s5I", data)
    assert (magic, bits) == (b"RSA3" if encoding == "cng-full" else b"RSA2", key.bits)
    if encoding == "cng-full":
        _, modulus, p, q = lengths
        lengths += [p, q, p, modulus]
    values = []
    at = 24
    for length in lengths:
        values.append(int.from_bytes(data[at : at + length], "big"))
        at += length
    assert at == len(data)
    e, n, p, q, *rest = values
    assert n == p * q
    assert n.bit_length() == bits
    if rest:
        dp, dq, inverse, d = rest
        assert (dp, dq) == (d % (p - 1), d % (q - 1))
        assert q * inverse % p == 1
        assert e * d % (p - 1) == e * d % (q - 1) == 1
        assert pow(pow(7, e, n), d, n) == 7


@pytest.mark.parametrize(
    ("algorithm", "encoding", "magic"),
    [
        ("ec-p256", "cng", b"ECS2"),
        ("ec-p384", "cng", b"ECS4"),
        ("ec-p521", "cng", b"ECS6"),
        ("ec-p256", "cng-ecdh", b"ECK2"),
        ("ec-p521", "cng-ecdh", b"ECK6"),
    ],
)
def test_cng_ec_blob(algorithm: str, encoding: str, magic: bytes) -> None:
    key = keys.make_key(algorithm, "one")
    data = write_key(key, encoding)
    size = (key.bits + 7) // 8
    assert data[:8] == magic + size.to_bytes(4, "little")
    x, y, private = (int.from_bytes(data[8 + size * part :][:size], "big") for part in range(3))
    assert len(data) == 8 + 3 * size
    curve = keys.CURVES[algorithm.removeprefix("ec-")]()
    numbers = ec.derive_private_key(private, curve).public_key().public_numbers()
    assert (numbers.x, numbers.y) == (x, y)


def test_capi_blob() -> None:
    key = keys.make_key("rsa-1024", "one")
    data = write_key(key, "capi")
    assert data[:12] == bytes.fromhex("0702000000a4000052534132")
    bits, exponent = struct.unpack_from("<2I", data, 12)
    numbers = [int.from_bytes(data[at : at + size], "little") for at, size in ((20, 128), (148, 64), (212, 64))]
    assert bits == 1024
    assert numbers[0] == numbers[1] * numbers[2]
    private = int.from_bytes(data[-128:], "little")
    assert pow(pow(7, exponent, numbers[0]), private, numbers[0]) == 7
    assert len(data) == 20 + 128 * 2 + 64 * 5


def test_curves_without_a_magic_are_refused() -> None:
    with pytest.raises(ScenarioError, match="secp256k1"):
        write_key(keys.make_key("ec-secp256k1", "one"), "cng")


@pytest.mark.parametrize(("algorithm", "encoding"), [("rsa-17", "pkcs8"), ("", "pkcs8"), ("ec-p256", "pfx")])
def test_unknown_names_are_refused(algorithm: str, encoding: str) -> None:
    with pytest.raises(ScenarioError, match=r"unknown .* expected one of"):
        write_key(keys.make_key(algorithm, "one"), encoding)


def test_pem_is_wrapped_as_others_wrap_it() -> None:
    key = keys.make_key("rsa-1024", "one")
    text = pem("PRIVATE KEY", write_key(key, "pkcs8"))
    assert text == write_key(key, "pem")
    assert base64.b64decode(b"".join(text.split(b"\n")[1:-1])) == write_key(key, "pkcs8")


def test_repr_shows_no_key_material() -> None:
    key = keys.make_key("rsa-512", "one")
    assert isinstance(key.private, rsa.RSAPrivateKey)
    assert str(key.private.private_numbers().p) not in repr(key)


@pytest.mark.parametrize(("algorithm", "size"), keys.SYMMETRIC.items())
def test_symmetric_keys_depend_on_algorithm_and_seed_alone(algorithm: str, size: int) -> None:
    key = keys.make_symmetric_key(algorithm, "one")
    assert len(key) == size
    assert key == keys.make_symmetric_key(algorithm, "one") != keys.make_symmetric_key(algorithm, "two")
    assert keys.symmetric_key_id("AES", key) != keys.symmetric_key_id("AES", keys.make_symmetric_key(algorithm, "two"))


def test_symmetric_algorithms_that_are_not_known() -> None:
    with pytest.raises(ScenarioError, match="unknown algorithm 'rsa-2048'; expected one of aes-128, aes-192, aes-256"):
        keys.make_symmetric_key("rsa-2048", "one")
