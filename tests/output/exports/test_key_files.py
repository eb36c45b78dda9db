"""What leaves through `-o`: readable by others' tools, protected, and never harming what is there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import example, given
from hypothesis import strategies as st

from dumpscan.exceptions import ExportError
from dumpscan.findings import NOT_ENCRYPTED, Certificate, EncryptedContainer, Finding, PrivateKey
from dumpscan.output.exports.directory import PrivateDirectory
from dumpscan.output.exports.key_files import MANIFEST, ExportReport, export, safe_name
from support import output_samples as samples

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = b"correct horse \xc3\xa9"
posix = pytest.mark.skipif(os.name != "posix", reason="permission bits and links are those of POSIX")
openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def key_of(report: ExportReport, finding: PrivateKey) -> str:
    (name,) = (file.name for file in report.files if file.kind == "private_key" and file.key_id == finding.key_id)
    return name


def manifest(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / MANIFEST).read_text("ascii").splitlines()]


def public(key: Any) -> bytes:  # noqa: ANN401 - any key of cryptography's
    data: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return data


def of(kind: type[Finding]) -> list[Any]:
    return [finding for finding in samples.findings() if isinstance(finding, kind)]


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_every_file_reads_back_as_what_was_found(tmp_path: Path, password: bytes | None) -> None:
    report = export(samples.findings(), tmp_path / "out", password)
    out = tmp_path / "out"
    assert {file.name for file in report.files} | {MANIFEST} == set(listed(out))
    assert report.warnings == ()
    assert report.written == report.files
    for certificate in of(Certificate):
        (name,) = out.glob(f"{certificate.thumbprint}_*.cer")
        assert name.read_bytes() == certificate.der
    for key in of(PrivateKey):
        data = (out / key_of(report, key)).read_bytes()
        loaded = serialization.load_pem_private_key(data, password)
        assert hashlib.sha256(public(loaded.public_key())).hexdigest() == key.key_id
        assert key_of(report, key) == f"{key.key_id}_{key.algorithm}.pem"
        assert (b"ENCRYPTED" in data) == (password is not None)
        for reference in key.certificates:
            (pfx,) = out.glob(f"{reference.thumbprint}_*.pfx")
            found, certificate, others = pkcs12.load_key_and_certificates(pfx.read_bytes(), password)
            assert found is not None
            assert certificate is not None
            assert others == []
            assert public(found.public_key()) == public(certificate.public_key()) == public(loaded.public_key())
            assert hashlib.sha1(certificate.public_bytes(serialization.Encoding.DER), usedforsecurity=False)
    suffixes = {"pkcs8": "p8", "pkcs12": "p12"}
    for container in of(EncryptedContainer):
        name = out / f"{container.sha256}_encrypted.{suffixes[container.container]}"
        assert name.read_bytes() == container.data


def test_a_container_that_is_not_encrypted(tmp_path: Path) -> None:
    """It is written as it was found; but not where a password is to protect what is written."""
    container = dataclasses.replace(samples.container(), kdf=None, cipher=NOT_ENCRYPTED)
    (file,) = export([container], tmp_path / "out", None).files
    assert (file.name, file.encrypted) == (f"{container.sha256}_open.p12", False)
    assert (tmp_path / "out" / file.name).read_bytes() == container.data
    report = export([container], tmp_path / "other", b"secret")
    assert not report.files
    assert "not encrypted" in report.warnings[0]


@openssl
@pytest.mark.parametrize("password", [None, b"secret"])
def test_openssl_reads_keys_pairs_and_certificates(tmp_path: Path, password: bytes | None) -> None:
    export(samples.findings(), tmp_path / "out", password)
    given_password = f"pass:{(password or b'').decode()}"

    def run(*arguments: str | Path) -> bytes:
        return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout

    for key in (tmp_path / "out").glob("*.pem"):
        spki = run("pkey", "-in", key, "-passin", given_password, "-pubout", "-outform", "DER")
        assert hashlib.sha256(spki).hexdigest() == key.name.split("_")[0]
    pairs = list((tmp_path / "out").glob("*.pfx"))
    assert len(pairs) == 2
    for pair in pairs:
        pem = run("pkcs12", "-in", pair, "-passin", given_password, "-nodes")
        assert public(serialization.load_pem_private_key(pem, None).public_key()) == public(
            x509.load_pem_x509_certificate(pem).public_key()
        )
    web = of(Certificate)[0]
    (file,) = (tmp_path / "out").glob(f"{web.thumbprint}_*.cer")
    shown = run("x509", "-inform", "DER", "-in", file, "-noout", "-fingerprint", "-sha1").decode()
    assert shown.split("=")[1].strip().replace(":", "") == web.thumbprint


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_the_manifest_holds_the_evidence_of_each_file(tmp_path: Path, password: bytes | None) -> None:
    report = export(samples.findings(), tmp_path / "out", password)
    lines = manifest(tmp_path / "out")
    assert [line["name"] for line in lines] == [file.name for file in report.files]
    for line in lines:
        data = (tmp_path / "out" / line["name"]).read_bytes()
        assert (line["sha256"], line["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert line["encrypted"] == (
            line["kind"] == "encrypted_container" or (password is not None and line["kind"] in {"private_key", "pair"})
        )
        assert all(place["file"] == samples.DUMP and place["address"] for place in line["evidence"])
    (pair,) = (line for line in lines if line["kind"] == "pair" and line["key_id"] == of(PrivateKey)[0].key_id)
    assert [place["kind"] for place in pair["evidence"]] == ["private_key"] * 3 + ["certificate"]
    assert pair["thumbprint"] == of(Certificate)[0].thumbprint


def test_the_manifest_holds_no_key_material(tmp_path: Path) -> None:
    export(samples.findings(), tmp_path / "out", None)
    text = (tmp_path / "out" / MANIFEST).read_text("ascii")
    for key in of(PrivateKey):
        assert key.pkcs8[-20:].hex() not in text


@posix
def test_directory_and_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        export(samples.findings(), tmp_path / "out", None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_second_export_finds_all_of_it_there(tmp_path: Path, password: bytes | None) -> None:
    out = tmp_path / "out"
    export(samples.findings(), out, password)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = export(samples.findings(), out, password)
    assert again.written == ()
    assert len(again.already_there) == len(again.files) > 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert {file.name: file.sha256 for file in again.files} == {
        name: hashlib.sha256(data).hexdigest() for name, data in before.items() if name != MANIFEST
    }


def test_a_second_dump_adds_its_evidence_to_the_manifest(tmp_path: Path) -> None:
    certificate = of(Certificate)[0]
    export([certificate], tmp_path / "out", None)
    first = (tmp_path / "out" / MANIFEST).read_bytes()
    elsewhere = dataclasses.replace(certificate.locations[0], file="other.dmp")
    export([dataclasses.replace(certificate, locations=(elsewhere,))], tmp_path / "out", None)
    assert (tmp_path / "out" / MANIFEST).read_bytes().startswith(first)
    assert [line["evidence"][0]["file"] for line in manifest(tmp_path / "out")] == [samples.DUMP, "other.dmp"]


@pytest.mark.parametrize(("first", "second"), [(None, PASSWORD), (PASSWORD, None), (PASSWORD, b"another")])
def test_keys_under_another_password_stand_in_the_way(
    tmp_path: Path, first: bytes | None, second: bytes | None
) -> None:
    out = tmp_path / "out"
    export(samples.findings(), out, first)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ExportError, match="under another password or under none"):
        export(samples.findings(), out, second)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_same_key_written_by_another_tool_is_the_same(tmp_path: Path) -> None:
    key = of(PrivateKey)[0]
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    other = samples.rsa_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (out / f"{key.key_id}_RSA.pem").write_bytes(other)
    report = export([key], out, None)
    assert [file.already_there for file in report.files] == [True]


def test_another_pair_under_the_same_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(samples.findings(), out, PASSWORD)
    ours, other = sorted(out.glob("*.pfx"))
    ours.write_bytes(other.read_bytes())
    with pytest.raises(ExportError, match=re.escape(ours.name)):
        export(samples.findings(), out, PASSWORD)
    assert ours.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("suffix", ["cer", "pem", "pfx", "p12"])
def test_a_different_file_is_never_written_over_and_the_rest_is_exported(tmp_path: Path, suffix: str) -> None:
    names = sorted(path.name for path in _exported(tmp_path / "names").iterdir())
    taken = next(name for name in names if name.endswith(suffix))
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    (out / taken).write_bytes(b"somebody's own")
    with pytest.raises(ExportError, match=re.escape(taken)):
        export(samples.findings(), out, None)
    assert (out / taken).read_bytes() == b"somebody's own"
    assert listed(out) == names
    assert taken not in [line["name"] for line in manifest(out)]


def _exported(path: Path) -> Path:
    export(samples.findings(), path, None)
    return path


@posix
def test_a_link_in_the_directory_is_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    names = [path.name for path in _exported(tmp_path / "names").iterdir() if path.name != MANIFEST]
    for name in names:
        (out / name).symlink_to(victim)
    with pytest.raises(ExportError, match="symbolic link"):
        export(samples.findings(), out, None)
    assert victim.read_bytes() == b"precious"
    assert all((out / name).is_symlink() for name in names)


@pytest.mark.parametrize("content", [b"my shopping list\n", b'{"a": 1}\n', b"[" * 100000, b"\xff\xfe\n"])
def test_a_manifest_that_is_none_is_not_touched(tmp_path: Path, content: bytes) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    (out / MANIFEST).write_bytes(content)
    with pytest.raises(ExportError, match="line 1 is not of a manifest"):
        export(samples.findings(), out, None)
    assert listed(out) == [MANIFEST]
    assert (out / MANIFEST).read_bytes() == content


def test_a_disk_that_fills_up_leaves_whole_files_and_their_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync
    left = [3]

    def fills_up(descriptor: int) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise OSError(28, "No space left on device")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fills_up)
    with pytest.raises(ExportError, match="No space left on device"):
        export(samples.findings(), tmp_path / "out", None)
    assert len(manifest(tmp_path / "out")) == 3
    assert {line["name"] for line in manifest(tmp_path / "out")} | {MANIFEST} == set(listed(tmp_path / "out"))


def test_a_key_that_a_pfx_cannot_hold_is_a_warning(tmp_path: Path) -> None:
    certificate = dataclasses.replace(of(Certificate)[0], key_id=samples.key_id(samples.x25519_key()))
    key = samples.private_key(samples.x25519_key(), "X25519", {0x1000: "pkcs8"}, certificate)
    report = export([certificate, key], tmp_path / "out", None)
    assert [file.kind for file in report.files] == ["certificate", "private_key"]
    assert len(report.warnings) == 1
    assert "pfx: not exported" in report.warnings[0]


def test_a_key_that_cryptography_refuses_is_exported_unencrypted_only(tmp_path: Path) -> None:
    odd = dataclasses.replace(of(PrivateKey)[0], pkcs8=b"\x30\x03\x02\x01\x00", algorithm="Odd")
    report = export([odd, of(Certificate)[0]], tmp_path / "plain", None)
    assert [file.kind for file in report.files] == ["private_key", "certificate"]
    assert b"MAMCAQA=" in (tmp_path / "plain" / report.files[0].name).read_bytes()
    assert len(report.warnings) == 1
    again = export([odd], tmp_path / "plain", None)
    assert [file.already_there for file in again.files] == [True]
    report = export([odd], tmp_path / "encrypted", PASSWORD)
    assert report.files == ()
    assert "cannot be encrypted" in report.warnings[0]
    assert listed(tmp_path / "encrypted") == []


def test_a_certificate_that_could_not_be_parsed_is_exported_but_not_paired(tmp_path: Path) -> None:
    raw = samples.raw_certificate()
    key = samples.private_key(samples.ec_key(), "EC", {0x1000: "sec1"}, raw)
    report = export([raw, key], tmp_path / "out", None)
    assert [file.name for file in report.files] == [f"{raw.thumbprint}_unnamed.cer", f"{key.key_id}_EC.pem"]
    assert (tmp_path / "out" / report.files[0].name).read_bytes() == raw.der
    assert "pfx: not exported" in report.warnings[0]


def test_nothing_found_exports_nothing(tmp_path: Path) -> None:
    report = export([], tmp_path / "out", None)
    assert (report.files, report.warnings) == ((), ())
    assert listed(tmp_path / "out") == []


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="empty password"):
        export(samples.findings(), tmp_path / "out", b"")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("www.contoso.example", "www.contoso.example"),
        ("../../etc/passwd", "etc_passwd"),
        ("..\\..\\Windows\\win.ini", "Windows_win.ini"),
        ("/", "unnamed"),
        ("", "unnamed"),
        (None, "unnamed"),
        ("...", "unnamed"),
        (".hidden", "hidden"),
        ("a\0b", "a_b"),
        ("CON", "CON"),
        ("évil \u202egnp.exe", "vil_gnp.exe"),
        ("*.example.org", "example.org"),
        ("a" * 10000, "a" * 80),
        ("日本", "unnamed"),
        ("x: y; z", "x_y_z"),
        ("a" * 79 + "..b", "a" * 79),
    ],
)
def test_names(text: str | None, name: str) -> None:
    assert safe_name(text) == name


anything = st.text(alphabet=st.characters(exclude_categories=()))


@given(anything)
@example("../../etc/passwd")
@example("\0" * 100)
@example("x" * 10000)
@example("a/" * 100)
def test_every_name_is_harmless(text: str) -> None:
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9])?", name)
    assert safe_name(name) == name


@given(anything, anything)
@example("../../../etc/passwd", "/abs")
def test_no_name_leads_out_of_the_directory(
    tmp_path_factory: pytest.TempPathFactory, common_name: str, algorithm: str
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    certificate = dataclasses.replace(of(Certificate)[1], subject_common_name=common_name, thumbprint=algorithm or "A")
    key = dataclasses.replace(of(PrivateKey)[1], algorithm=algorithm, key_id=common_name)
    report = export([certificate, key], outer / "out", None)
    assert listed(outer) == ["out"]
    assert set(listed(outer / "out")) == {file.name for file in report.files} | {MANIFEST}
    assert all(len(file.name) <= 64 + 80 + 10 and not file.name.startswith(".") for file in report.files)


def test_two_certificates_of_one_key_make_two_pairs(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    pair = [samples.certificate(key, name, 0x1000) for name in ("one.example", "two.example")]
    found = samples.private_key(key, "EC", {0x2000: "sec1"}, *pair)
    report = export([found, *pair], tmp_path / "out", None)
    assert sorted(file.name.split("_")[1] for file in report.files if file.kind == "pair") == [
        "one.example.pfx",
        "two.example.pfx",
    ]


def test_a_symmetric_key_leaves_as_its_bytes_and_never_under_a_password(tmp_path: Path) -> None:
    key = samples.symmetric_key()
    export([key], tmp_path / "plain", None)
    (file,) = (tmp_path / "plain").glob("*.key")
    assert file.read_bytes() == key.key
    assert file.stat().st_mode & 0o777 == 0o600
    report = export([key], tmp_path / "locked", b"secret")
    assert report.files == ()
    assert len(report.warnings) == 1
    assert not list((tmp_path / "locked").glob("*.key"))


def test_parents_are_private_under_any_mask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        export(samples.findings(), tmp_path / "a" / "b" / "out", None)
    finally:
        os.umask(before)
    for directory in ("a", "a/b", "a/b/out"):
        assert stat.S_IMODE((tmp_path / directory).stat().st_mode) == 0o700


def test_two_exports_at_once_lose_no_line_of_the_manifest(tmp_path: Path) -> None:
    found = samples.findings()
    parts = [found[number::4] for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda part: export(part, tmp_path / "out", None), parts))
    names = [json.loads(line)["name"] for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert {file.name for report in reports for file in report.files} == set(names)


def test_a_manifest_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: object, name: str, _content: bytes) -> None:
        raise ExportError(f"{name}: could not be written: No space left on device")

    monkeypatch.setattr(PrivateDirectory, "replace", full)
    with pytest.raises(ExportError, match=r"files were exported, but the manifest does not list them: .*No space left"):
        export(samples.findings(), tmp_path / "out", None)
