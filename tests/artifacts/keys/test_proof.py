"""Numbers in, proven private key out."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dumpscan.artifacts.decoded import RefusedError
from dumpscan.artifacts.keys import proof as key_proof
from support.artifact_samples import CURVES, RAW_KINDS, dsa_key, ec_key, key_id, pkcs8, raw_key, rsa_key, rsa_numbers

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""SEC 2, 2.4.2."""
RAW = {
    "ed25519": key_proof.ED25519,
    "ed448": key_proof.ED448,
    "x25519": key_proof.X25519,
    "x448": key_proof.X448,
}


def _rsa(bits: int = 1024, e: int = 65537) -> dict[str, Any]:
    numbers = rsa_key(bits, e).private_numbers()
    return {
        "modulus": numbers.public_numbers.n,
        "exponent": e,
        "p": numbers.p,
        "q": numbers.q,
        "private_exponent": numbers.d,
        "crt": (numbers.dmp1, numbers.dmq1, numbers.iqmp),
    }


@pytest.mark.parametrize("bits", [512, 513, 768, 1000, 1024, 2048, 3072])
def test_rsa(bits: int) -> None:
    key = key_proof.rsa_key(**_rsa(bits))
    assert (key.algorithm, key.bits, key.curve) == ("RSA", bits, None)
    assert key.key_id == key_id(rsa_key(bits))
    assert key.pkcs8 == pkcs8(rsa_key(bits))
    assert {"n = p*q", "e*d = 1 mod lcm(p-1, q-1)", "q*qinv = 1 mod p"} <= {*key.proof}


@pytest.mark.parametrize("exponent", [3, 17, (1 << 80) + 13])
def test_rsa_with_another_exponent(exponent: int) -> None:
    p, q = (next(prime for prime in _primes(seed) if (prime - 1) % exponent) for seed in (1, 2))
    numbers = rsa_numbers(p, q, exponent)
    key = key_proof.rsa_key(modulus=p * q, exponent=exponent, p=p, q=q, private_exponent=numbers.d)
    assert key.key_id == key_id(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def _primes(seed: int) -> Any:  # noqa: ANN401 -- an endless generator of numbers
    number = (3 << 510) + (seed << 300) + 1
    while True:
        if pow(2, number - 1, number) == 1:
            yield number
        number += 2


def test_rsa_without_its_private_exponent() -> None:
    whole = _rsa()
    key = key_proof.rsa_key(**{**whole, "private_exponent": None, "crt": None})
    assert key.key_id == key_proof.rsa_key(**whole).key_id
    assert "e*d = 1 mod lcm(p-1, q-1)" not in key.proof


def test_rsa_takes_the_private_exponent_of_either_function() -> None:
    whole = _rsa()
    phi = (whole["p"] - 1) * (whole["q"] - 1)
    other = pow(65537, -1, phi)
    assert other != whole["private_exponent"] or phi == other
    key = key_proof.rsa_key(**{**whole, "private_exponent": other})
    assert key.key_id == key_proof.rsa_key(**whole).key_id


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("modulus", "product"),
        ("exponent", "exponent"),
        ("p", "product"),
        ("q", "product"),
        ("private_exponent", "belong together"),
    ],
)
@pytest.mark.parametrize("difference", [1, 2, -2, 1 << 100])
def test_rsa_with_one_number_wrong(name: str, complaint: str, difference: int) -> None:
    whole = _rsa()
    with pytest.raises(RefusedError, match=complaint):
        key_proof.rsa_key(**{**whole, name: whole[name] + difference})


@pytest.mark.parametrize("number", range(3))
def test_rsa_with_a_crt_value_wrong(number: int) -> None:
    """The key works all the same; the wrong value is named and not exported."""
    whole = _rsa()
    crt = [value + (index == number) for index, value in enumerate(whole["crt"])]
    key = key_proof.rsa_key(**{**whole, "crt": tuple(crt)})
    assert key.wrong_parts == (("CRT exponent 1", "CRT exponent 2", "CRT coefficient")[number],)
    assert len(key.proof) == len(key_proof.rsa_key(**whole).proof) - 1
    assert key.pkcs8 == pkcs8(rsa_key(1024))


@pytest.mark.parametrize("composite", ["small factor", "large factors"])
def test_rsa_of_composite_factors(composite: str) -> None:
    """Whatever odd factors fit each other's equations is still no key unless they are prime."""
    primes = _primes(7)
    p, q = next(primes), next(primes) * next(primes) if composite == "large factors" else next(primes) * 3
    while (p - 1) % 65537 == 0 or (q - 1) % 65537 == 0:
        p = next(primes)
    whole = {"modulus": p * q, "exponent": 65537, "p": p, "q": q}
    d = pow(65537, -1, (p - 1) * (q - 1))
    with pytest.raises(RefusedError, match="prime" if composite == "small factor" else "work"):
        key_proof.rsa_key(**whole, private_exponent=d)


@pytest.mark.parametrize(
    "numbers",
    [
        {"p": 1, "q": None},
        {"p": 0, "q": 0},
        {"exponent": 1},
        {"exponent": 2},
        {"exponent": 1 << 300 | 1},
        {"modulus": 0},
        {"modulus": 1 << 20000, "p": 1 << 10000, "q": 1 << 10000},
        {"private_exponent": 0},
        {"private_exponent": 1 << 5000},
    ],
)
def test_rsa_out_of_range(numbers: dict[str, int | None]) -> None:
    whole = _rsa()
    numbers = {name: whole["modulus"] if value is None else value for name, value in numbers.items()}
    with pytest.raises(RefusedError):
        key_proof.rsa_key(**{**whole, **numbers})


def test_rsa_with_equal_factors() -> None:
    p = _rsa()["p"]
    with pytest.raises(RefusedError, match="product"):
        key_proof.rsa_key(modulus=p * p, exponent=65537, p=p, q=p)


@pytest.mark.parametrize("name", CURVES)
def test_ec(name: str) -> None:
    key = ec_key(name)
    value = key.private_numbers().private_value
    forms = [
        key.public_key().public_bytes(Encoding.X962, form)
        for form in (PublicFormat.UncompressedPoint, PublicFormat.CompressedPoint)
    ]
    hybrid = bytes((forms[1][0] + 4,)) + forms[0][1:]
    for point in (*forms, hybrid):
        proven = key_proof.ec_key(CURVES[name], value, point)
        assert (proven.algorithm, proven.bits, proven.curve) == ("EC", key.key_size, name)
        assert (proven.key_id, proven.pkcs8, proven.proof) == (key_id(key), pkcs8(key), ("Q = d*G",))
        wrong = point[:-1] + bytes((point[-1] ^ 1,))
        with pytest.raises(RefusedError):
            key_proof.ec_key(CURVES[name], value, wrong)
        with pytest.raises(RefusedError):
            key_proof.ec_key(CURVES[name], value, point, wrong)
    derived = key_proof.ec_key(CURVES[name], value)
    assert derived.key_id == key_id(key)
    assert derived.proof == ()


@pytest.mark.parametrize("value", [0, P256_ORDER, 1 << 4000], ids=["zero", "order", "huge"])
def test_ec_out_of_range(value: int) -> None:
    with pytest.raises(RefusedError):
        key_proof.ec_key(CURVES["secp256r1"], value)


@pytest.mark.parametrize("kind", RAW_KINDS)
def test_raw(kind: str) -> None:
    key = raw_key(kind)
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    proven = key_proof.raw_key(RAW[kind], private, public)
    assert (proven.key_id, proven.pkcs8, proven.algorithm.lower()) == (key_id(key), pkcs8(key), kind)
    assert key_proof.raw_key(RAW[kind], private).key_id == proven.key_id
    for wrong in (private[:-1], private + b"\0", b""):
        with pytest.raises(RefusedError):
            key_proof.raw_key(RAW[kind], wrong)
    with pytest.raises(RefusedError):
        key_proof.raw_key(RAW[kind], private, bytes(len(public)))


def test_dsa() -> None:
    secret = dsa_key().private_numbers()
    group = secret.public_numbers.parameter_numbers
    whole = {"p": group.p, "q": group.q, "g": group.g, "x": secret.x}
    for y in (None, secret.public_numbers.y):
        proven = key_proof.dsa_key(**whole, y=y)
        assert (proven.algorithm, proven.bits) == ("DSA", 1024)
        assert (proven.key_id, proven.pkcs8) == (key_id(dsa_key()), pkcs8(dsa_key()))
    for name in (*whole, "y"):
        wrong = {**whole, "y": secret.public_numbers.y}
        wrong[name] += 1
        with pytest.raises(RefusedError):
            key_proof.dsa_key(**wrong)
    for name in ("p", "q", "g"):
        with pytest.raises(RefusedError, match="order"):
            key_proof.dsa_key(**{**whole, name: whole[name] + 1})
    factor = next(number for number in range(4, 100, 2) if (group.p - 1) % number)
    with pytest.raises(RefusedError, match="order"):
        key_proof.dsa_key(p=group.p, q=factor, g=group.p - 1, x=1)
    for numbers in ({"p": 0}, {"q": 0}, {"q": 1}, {"g": 0}, {"g": 1}, {"x": 0}, {"x": group.q}, {"p": 1 << 5000}):
        with pytest.raises(RefusedError):
            key_proof.dsa_key(**{**whole, **numbers})


def test_no_number_is_shown() -> None:
    whole = _rsa()
    key = key_proof.rsa_key(**whole)
    assert str(whole["p"]) not in repr(key)
    assert "pkcs8" not in repr(key)
