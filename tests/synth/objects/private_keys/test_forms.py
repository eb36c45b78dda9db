"""Private keys in the forms of other programs, read by those programs or by `cryptography`."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_ssh_private_key, pkcs12

from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.objects.keys import MULTI_PRIME, MultiPrimeKey, make_key
from dumpscan.synth.objects.private_keys.members import ODD_MEMBERS, rsa_members
from dumpscan.synth.objects.private_keys.writers import write_key
from dumpscan.synth.objects.spec import ObjectSpec

if TYPE_CHECKING:
    from pathlib import Path

SSH = ["rsa-1024", "ec-p256", "ec-p384", "ec-p521", "ed25519"]
RSA = make_key("rsa-1024", "one")
PASSWORD = "changeit"  # noqa: S105 -- made up, as keytool itself does
RAW = {
    "Ed25519": ed25519.Ed25519PrivateKey,
    "Ed448": ed448.Ed448PrivateKey,
    "X25519": x25519.X25519PrivateKey,
    "X448": x448.X448PrivateKey,
}
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}


def run(*command: str | Path) -> str:
    """Return what a program prints; skip the test if the program is not installed."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def loaded_jwk(data: bytes) -> Any:  # noqa: ANN401 -- any private key
    jwk = json.loads(data)
    if jwk["kty"] == "OKP":
        size = len(base64.urlsafe_b64decode(jwk["d"] + "=" * (-len(jwk["d"]) % 4)))
        return RAW[jwk["crv"]].from_private_bytes(number(jwk["d"]).to_bytes(size, "big"))
    values = {name: number(text) for name, text in jwk.items() if name not in ("kty", "crv")}
    if jwk["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(values["e"], values["n"])
        crt = (values["dp"], values["dq"], values["qi"])
        return rsa.RSAPrivateNumbers(values["p"], values["q"], values["d"], *crt, public).private_key()
    point = ec.EllipticCurvePublicNumbers(values["x"], values["y"], CURVES[jwk["crv"]]())
    return ec.EllipticCurvePrivateNumbers(values["d"], point).private_key()


@pytest.mark.parametrize("algorithm", [*SSH, "ec-secp256k1", "x25519", "ed448", "x448"])
def test_jwk(algorithm: str) -> None:
    key = make_key(algorithm, "one")
    assert loaded_jwk(write_key(key, "jwk")).public_key() == key.private.public_key()


@pytest.mark.parametrize("algorithm", SSH)
@pytest.mark.parametrize("encoding", ["ppk-2", "ppk-3"])
def test_puttygen_reads_ppk(tmp_path: Path, algorithm: str, encoding: str) -> None:
    key = make_key(algorithm, "one")
    (tmp_path / "key.ppk").write_bytes(write_key(key, encoding))
    run("puttygen", tmp_path / "key.ppk", "-O", "private-openssh-new", "-o", tmp_path / "key")
    assert load_ssh_private_key((tmp_path / "key").read_bytes(), None).public_key() == key.private.public_key()


@pytest.mark.parametrize("algorithm", [*SSH, "ec-secp256k1"])
@pytest.mark.parametrize("encoding", ["openpgp", "openpgp-armor"])
def test_gpg_reads_openpgp(tmp_path: Path, algorithm: str, encoding: str) -> None:
    (tmp_path / "key").write_bytes(write_key(make_key(algorithm, "one"), encoding))
    tmp_path.chmod(0o700)
    packets = run("gpg", "--homedir", tmp_path, "--batch", "--list-packets", tmp_path / "key")
    first, second = packets.split(":user ID packet:")
    assert ":secret key packet:" in first
    assert "version 4, algo " in first
    assert '"Example <user@example.org>"' in second


def test_openpgp_numbers_make_the_key() -> None:
    """GnuPG lists the sizes of the numbers only."""
    packet = write_key(RSA, "openpgp")
    at, values = 3 + 6, []
    for skip in (0, 0, 1, 0, 0, 0):  # a byte before d says that nothing is encrypted
        at += skip
        size = (int.from_bytes(packet[at : at + 2], "big") + 7) // 8
        values.append(int.from_bytes(packet[at + 2 : at + 2 + size], "big"))
        at += 2 + size
    n, e, d, p, q, u = values
    members = rsa_members(RSA.private)  # type: ignore[arg-type]
    assert (n, e, d, p * q) == (members["n"], members["e"], members["d"], members["n"])
    assert p < q
    assert u * p % q == 1


@pytest.mark.parametrize("algorithm", MULTI_PRIME)
@pytest.mark.parametrize("encoding", ["pkcs1", "pkcs8", "pem", "pem-traditional"])
def test_openssl_checks_keys_of_several_primes(tmp_path: Path, algorithm: str, encoding: str) -> None:
    key = make_key(algorithm, "one")
    assert isinstance(key.private, MultiPrimeKey)
    assert key.private.public_key().key_size == key.bits == MULTI_PRIME[algorithm][0]
    assert str(key.private.primes[0]) not in repr(key)
    (tmp_path / "key").write_bytes(write_key(key, encoding))
    form = "PEM" if encoding.startswith("pem") else "DER"
    assert "RSA key ok" in run("openssl", "rsa", "-check", "-noout", "-inform", form, "-in", tmp_path / "key")


@pytest.mark.parametrize("name", ODD_MEMBERS)
@pytest.mark.parametrize("encoding", ["pkcs1", "pkcs8"])
def test_odd_members(name: str, encoding: str) -> None:
    """The numbers are changed as the name says; those that make the key are right."""
    data = write_key(RSA, f"{encoding}-{name}")
    if encoding == "pkcs8":
        data = asn1_keys.PrivateKeyInfo.load(data, strict=True)["private_key"].contents
    members = rsa_members(RSA.private)  # type: ignore[arg-type]
    values = [int(value) for value in members.values()]
    if name == "no-crt":
        assert data.endswith(asn1_keys.Integer(members["q"]).dump())
        return
    held = asn1_keys.RSAPrivateKey.load(data, strict=True).native
    read = [held[field] for field in list(held)[1:9]]
    assert read[:3] == values[:3]
    n, _, _, p, q, dp, dq, qi = read
    assert {
        "stale-qi": p * q == n and qi * p % q == 1 and [dp, dq] == values[5:7],
        "swapped-primes": [q, p, dq, dp, qi] == values[3:],
        "zero-crt": [p, q] == values[3:5] and not dp | dq | qi,
        "zero-primes": not p | q | dp | dq | qi,
    }[name]
    if name == "zero-primes":
        with pytest.raises(ValueError, match=r"(?i)invalid|private|key"):
            load_der_private_key(data, None)


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq"])
@pytest.mark.parametrize("encoding", ["pkcs1", "pkcs8"])
def test_cut_keys_end_with_their_last_number(encoding: str, member: str) -> None:
    whole, cut = write_key(RSA, encoding), write_key(RSA, f"{encoding}-cut-after-{member}")
    value = rsa_members(RSA.private)[member]  # type: ignore[arg-type]
    assert whole.startswith(cut)
    assert len(cut) < len(whole)
    assert cut.endswith(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@pytest.mark.parametrize("algorithm", ["ec-p256", "ec-p521"])
def test_cut_sec1_ends_with_its_scalar(algorithm: str) -> None:
    key = make_key(algorithm, "one")
    whole, cut = write_key(key, "sec1"), write_key(key, "sec1-cut-after-d")
    assert whole.startswith(cut)
    scalar = asn1_keys.ECPrivateKey.load(whole, strict=True).native["private_key"]
    assert int.from_bytes(cut[-((key.bits + 7) // 8) :], "big") == scalar


def test_keytool_opens_a_key_store(tmp_path: Path) -> None:
    spec = ObjectSpec(kind="encrypted_container", algorithm="rsa-1024", encoding="jks", password=PASSWORD)
    (tmp_path / "store.jks").write_bytes(make(spec, "seed").data)
    command = (
        "keytool -importkeystore -srcstoretype JKS -srcstorepass changeit -deststoretype PKCS12 -deststorepass changeit"
    )
    run(*command.split(), "-srckeystore", tmp_path / "store.jks", "-destkeystore", tmp_path / "store.p12")
    held = pkcs12.load_pkcs12((tmp_path / "store.p12").read_bytes(), PASSWORD.encode())
    assert held.key is not None
    assert held.key.public_key() == make_key("rsa-1024", "seed/key").private.public_key()
    assert held.cert is not None
    assert held.cert.certificate.public_key() == held.key.public_key()
