"""The private keys of certificates, wherever their numbers lie: which are looked for, how far, and what is said."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dumpscan.artifacts.registry import X509
from dumpscan.memory.open import open_dump
from dumpscan.search import known_keys
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.run import search
from dumpscan.synth.minidump.builder import MinidumpBuilder
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.objects.spec import ObjectSpec
from support.artifact_samples import openssl, rsa_key
from support.number_samples import limbs

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from dumpscan.findings import Finding


def _dump(path: Path, *contents: bytes) -> Path:
    builder = MinidumpBuilder("x64")
    builder.add_memory(0x10000, b"".join(each.ljust(-(-len(each) // 64) * 64 + 64, b"\0") for each in contents))
    builder.write(path)
    return path


def _search(path: Path, **options: object) -> tuple[list[Finding], list[str]]:
    notes: list[str] = []
    collector = Collector()
    with open_dump(path) as dump:
        assert not search(dump, X509, collector, options=SearchOptions(**options), note=notes.append)  # type: ignore[arg-type]
    return [each for each in collector.findings() if each.kind == "private_key"], notes


def test_the_key_of_a_certificate_that_is_not_in_the_dump_is_found_if_the_user_names_it(tmp_path: Path) -> None:
    key = rsa_key(2048)
    dump = _dump(tmp_path / "prime.dmp", limbs(key.private_numbers().p)[::-1])
    assert _search(dump) == ([], [])
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ((found,), notes) = _search(dump, public_keys=(info,))
    assert (found.encodings, notes) == (("rsa-prime-be",), [])


def test_what_is_left_out_for_its_cost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [
        ObjectSpec(
            kind="certificate", algorithm="ec-p256", key=f"key{number}", subject=f"CN=host{number}", encoding="der"
        )
        for number in range(3)
    ]
    dump = _dump(tmp_path / "certificates.dmp", *(make(spec, "known").data for spec in specs))
    assert _search(dump) == ([], [])
    monkeypatch.setattr(known_keys, "MAX_KEYS", 2)
    left = "not searched for without --deep: the private keys of {} of 3 public keys found without them"
    assert _search(dump) == ([], [left.format(1)])
    monkeypatch.setattr(known_keys, "MAX_SIZE", 16)
    assert _search(dump) == ([], [left.format(3)])
    assert _search(dump, deep=True) == ([], [])


def test_bare_public_keys_among_those_of_many_authorities_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are a store of whom the process trusts."""
    keys = [rsa_key(1024), rsa_key(2048)]
    infos = [key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in keys]
    dump = _dump(tmp_path / "store.dmp", *infos, limbs(keys[0].private_numbers().p)[::-1])
    ((found,), notes) = _search(dump)
    assert (found.encodings, notes) == (("rsa-prime-be",), [])
    authority = sha256(infos[1]).hexdigest()
    monkeypatch.setattr(known_keys, "is_well_known", lambda key_id: key_id == authority)
    monkeypatch.setattr(known_keys, "MAX_TRUSTED", 0)
    left = "not searched for without --deep: the private keys of 1 of 1 public keys found without them"
    assert _search(dump) == ([], [left])
    ((found,), notes) = _search(dump, deep=True)
    assert (found.encodings, notes) == (("rsa-prime-be",), [])


def test_a_key_of_three_primes_which_the_library_does_not_take_is_found(tmp_path: Path) -> None:
    spec = ObjectSpec(kind="private_key", algorithm="rsa-2048-3-primes", key="one", encoding="pkcs8")
    ((found,), notes) = _search(_dump(tmp_path / "three.dmp", make(spec, "known").data))
    assert (found.location_count, notes) == (1, [])


def test_a_key_on_a_curve_which_the_library_does_not_take_does_not_end_a_deep_search(tmp_path: Path) -> None:
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp160r1", "-outform", "DER")
    (tmp_path / "key.der").write_bytes(key)
    certificate = openssl("req", "-x509", "-key", str(tmp_path / "key.der"), "-subj", "/CN=host", "-outform", "DER")
    dump = _dump(tmp_path / "curve.dmp", key, certificate)
    for deep in (False, True):
        ((found,), notes) = _search(dump, deep=deep)
        assert (found.curve, found.location_count, notes) == ("secp160r1", 1, [])
