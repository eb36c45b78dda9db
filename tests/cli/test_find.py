"""`dumpscan find`: the private key of a certificate, in dumps and cases."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator

from dumpscan.cli.app import app
from dumpscan.exceptions import UsageError
from dumpscan.output.json_schema import schemas
from support.artifact_samples import rsa_key
from support.corpus import SAMPLES
from support.minidump_bytes import MinidumpBytes

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SAMPLE = SAMPLES / "webserver.dmp"
SHOP = "E2:D5:CA:90:86:36:48:6D:13:31:8B:AE:77:D1:8D:0B:07:9C:EA:23"
ROOT_CA = "796b78c45e2888f7db4ccb61062e2b73e7c85721"
UNPROVEN = "4254245279268ab56891b1cee5207a017d2efa0e6605c9cb1a8ef8975126bbf1"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported")
    run("x509", SAMPLE, "-o", directory, "-q")
    return directory


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A public key that lies nowhere."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    path = tmp_path / "other.pem"
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "a.case"
    run("triage", SAMPLE, "--case", path, "--jobs", 1, "-q", "--no-progress")
    return path


def test_a_certificate_s_key_is_found_by_its_public_key(exported: Path) -> None:
    (file,) = exported.glob("E2D5CA90*.cer")

    done = run("find", file, SAMPLE)

    assert done.exit_code == 0
    assert f"{file}: certificate " in done.stdout
    assert "its private key IS here (RSA 2048, at 3 places):" in done.stdout
    assert f"w3wp.exe 5120 at 0x1f1e2010340 in {SAMPLE} (cng)" in done.stdout


def test_a_thumbprint_s_key_is_found_by_the_certificate_in_the_dump() -> None:
    assert run("find", SHOP, SAMPLE).exit_code == 0


def test_what_is_not_there_ends_with_5(other: Path) -> None:
    done = run("find", other, SAMPLE)

    assert done.exit_code == 5
    assert "its private key was not found in 1 dump\n" in done.stdout
    assert "1 encrypted container found there may hold any key" in done.stdout


def test_a_certificate_without_its_key_is_said_to_be_there() -> None:
    done = run("find", ROOT_CA, SAMPLE)

    assert done.exit_code == 5
    assert f"the certificate is here: w3wp.exe 5120 at 0x1f1e200d290 in {SAMPLE}" in done.stdout


def test_one_found_is_enough(other: Path) -> None:
    assert run("find", other, SHOP, SAMPLE).exit_code == 0


def test_dumps_that_are_not_whole_are_counted(other: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.dmp"
    cut.write_bytes(SAMPLE.read_bytes()[:200_000])

    done = run("find", other, cut, SAMPLE)

    assert done.exit_code == 5
    assert "not found in 2 dumps (1 could not be read whole)" in done.stdout


def test_nothing_read_is_no_answer(other: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.dmp").write_bytes(b"")

    done = run("find", other, tmp_path / "empty.dmp")

    assert done.exit_code == 1
    assert "unknown: no dump could be read" in done.stdout


def test_an_unproven_key_is_proven_by_its_public_key_but_not_by_its_id(exported: Path) -> None:
    assert "what may be its private key, unproven, is here (Ed25519)" in run("find", UNPROVEN, SAMPLE).stdout
    (file,) = exported.glob(f"{UNPROVEN}*")
    assert "its private key IS here (Ed25519)" in run("find", file, SAMPLE).stdout


def test_a_case_gives_the_same_answer(case: Path, exported: Path, other: Path) -> None:
    (file,) = exported.glob("E2D5CA90*.cer")

    done = run("find", file, other, case)

    assert done.exit_code == 0
    assert f"w3wp.exe 5120 at 0x1f1e2010340 in {SAMPLE} (cng)" in done.stdout
    assert "not found in 1 dump" in done.stdout
    assert run("find", other, case).exit_code == 5


def test_json_says_where_and_fits_the_schema(other: Path) -> None:
    told: dict[str, Any] = json.loads(run("find", SHOP, other, SAMPLE, "--format", "json").stdout)

    Draft202012Validator(schemas()["document.schema.json"]).validate(told)
    assert [each["answer"]["found"] for each in told["findings"]] == [True, False]
    assert {place["encoding"] for place in told["findings"][0]["answer"]["key_locations"]} == {
        "cng",
        "pkcs8",
        "pem-utf16",
    }
    assert [each["file"] for each in told["inputs"]] == [str(SAMPLE)]


def test_csv_has_a_row_for_each_place(other: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("find", SHOP, other, SAMPLE, "--format", "csv").stdout)))

    assert [(row["found"], row["process.pid"]) for row in rows] == [*[("true", "5120")] * 3, ("false", "")]


def test_a_prime_by_itself_is_the_key_of_a_modulus_that_is_known(tmp_path: Path) -> None:
    """No layout tells of it; it divides the modulus of the public key that is given.

    One prime in 2,000 has a word that looks like a pointer and is not found by itself, so the key is always the same.
    """
    key = rsa_key(2048)
    prime = key.private_numbers().p.to_bytes(128, "big")
    dump = MinidumpBytes()
    dump.system()
    dump.memory64((0x10000, bytes(range(256)) * 16 + prime + bytes(3968)))
    (tmp_path / "a.dmp").write_bytes(dump.finish())
    (tmp_path / "key.pub").write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))

    done = run("find", tmp_path / "key.pub", tmp_path / "a.dmp")

    assert done.exit_code == 0
    assert "at 0x11000 in" in done.stdout
    assert run("keys", tmp_path / "a.dmp", "-q").stdout == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((SHOP,), "nowhere to look"),
        ((SAMPLE,), f"nothing to find in {SAMPLE}"),
        (("0836e7c3e871", SAMPLE), "12 hex digits are not"),
        (("missing.pem", SAMPLE), "missing.pem: no such file; expected a certificate"),
        ((SHOP, "missing.pem", SAMPLE), "missing.pem: no such file; expected a certificate"),
        ((SHOP, "missing.zip!a.dmp", SAMPLE), "missing.zip!a.dmp: no such file; expected"),
        ((f"{SHOP[:-1]}G", SAMPLE), f"{SHOP[:-1]}G: no such file; expected"),
        ((SHOP, SAMPLE, "x" * 5000), "xxx: no such file; expected"),
    ],
)
def test_what_is_missing_is_said(given: tuple[object, ...], said: str) -> None:
    done = run("find", *given)

    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


def test_every_word_that_is_neither_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")

    done = run("find", "missing.pem", tmp_path / "notes.txt", "0836e7c3e871", SHOP, "missing.dmp", SAMPLE)

    said = str(done.exception)
    assert isinstance(done.exception, UsageError)
    for name in ("notes.txt, line 1: expected", "0836e7c3e871: no such", "missing.pem, missing.dmp: no such"):
        assert name in said


def test_case_show_takes_a_dump_s_bare_name_if_only_one_has_it(case: Path) -> None:
    shown = run("case", "show", case, "--dump", SAMPLE.name)
    assert shown.exit_code == 0
    assert f"{SAMPLE}: ok, minidump, 243.6 KiB" in shown.stdout

    absent = run("case", "show", case, "--dump", "server.dmp")
    assert absent.exit_code == 1
    assert "no dump server.dmp in this case" in absent.stderr


def test_case_show_takes_the_same_forms(case: Path, exported: Path) -> None:
    (file,) = exported.glob("E2D5CA90*.cer")
    shown = run("case", "show", case, "--certificate", file, "--format", "json").stdout

    for given in (SHOP, SHOP.lower().replace(":", " "), SHOP[:11]):
        assert run("case", "show", case, "--certificate", given, "--format", "json").stdout == shown
    assert {each["kind"] for each in json.loads(shown)["findings"]} == {"certificate", "private_key"}
    by_key = run("case", "show", case, "--key", file, "--format", "json").stdout
    assert {each["kind"] for each in json.loads(by_key)["findings"]} == {"certificate", "private_key"}


def test_the_gate_lets_the_key_of_an_allowed_certificate_pass(case: Path, exported: Path) -> None:
    files = [next(exported.glob(f"{beginning}*.cer")) for beginning in ("E2D5CA90", "D9700066")]
    allowed = [word for file in files for word in ("--allow", file)]
    arguments = ("triage", SAMPLE, "--case", case, "--jobs", 1, "-q", "--no-progress", "--fail-on", "private-key")

    assert run(*arguments).exit_code == 4
    assert run(*arguments, *allowed[:2]).exit_code == 4
    assert run(*arguments, *allowed).exit_code == 0
    assert (
        run(
            *arguments, *allowed[:2], "--allow", "D9:70:00:66:67:FB:47:D3:0A:95:89:30:3B:6D:2C:04:5D:4B:93:51"
        ).exit_code
        == 0
    )
