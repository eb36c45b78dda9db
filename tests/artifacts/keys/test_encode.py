from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dh, dsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from dumpscan.artifacts.keys import encode as key_encode
from dumpscan.synth.objects.keys import make_key


@pytest.fixture(scope="module")
def key() -> dsa.DSAPrivateKey:
    made = make_key("dsa-1024", "symcrypt").private
    assert isinstance(made, dsa.DSAPrivateKey)
    return made


def test_dsa_keys_are_written_as_the_library_writes_them(key: dsa.DSAPrivateKey) -> None:
    numbers = key.private_numbers()
    group = numbers.public_numbers.parameter_numbers
    algorithm = key_encode.dsa_algorithm(group.p, group.q, group.g)
    private = key_encode.pkcs8(algorithm, key_encode.integer_key(numbers.x))
    assert private == key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key_encode.public_info(algorithm, key_encode.integer_key(numbers.public_numbers.y))
    assert public == key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# The prime of the second Oakley group (RFC 2409, 6.2); its generator is 2.
OAKLEY_2 = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
    16,
)


@pytest.mark.filterwarnings("ignore:Diffie-Hellman")
def test_diffie_hellman_keys_are_read_by_the_library() -> None:
    private = 0x1234567890ABCDEF << 100 | 1
    algorithm = key_encode.dh_algorithm(OAKLEY_2, 2)
    loaded = load_der_private_key(key_encode.pkcs8(algorithm, key_encode.integer_key(private)), None)
    assert isinstance(loaded, dh.DHPrivateKey)
    assert loaded.private_numbers().x == private
    public = key_encode.public_info(algorithm, key_encode.integer_key(pow(2, private, OAKLEY_2)))
    assert public == loaded.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_findings_are_named_by_the_public_key_and_hide_the_private_one() -> None:
    found = key_encode.private_key("DH", 512, b"public", b"secret", proof=("relation",))
    public = key_encode.public_key("DH", 512, b"public", proof=("relation",))
    assert found.key_id == public.key_id
    assert "secret" not in repr(found)
