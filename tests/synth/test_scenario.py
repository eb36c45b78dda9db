"""The keys that all scenarios share: values that are read, and the errors for others."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.objects import catalogue as objects
from dumpscan.synth.objects import keys
from dumpscan.synth.objects.carriers import CARRIERS
from dumpscan.synth.objects.decoys import DECOYS
from dumpscan.synth.scenario import parse_common, parse_process
from dumpscan.synth.toml_table import load_scenario
from support.corpus import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.scenario import Common, ProcessSpec

SAMPLES = ROOT / "sample_dumps"
GOOD = """
format = 1
name = "good"

[keys]
ca = "ed25519"
leaf = "ec-p256"

[objects.leaf]
kind = "certificate"
key = "leaf"
subject = "CN=leaf"
issuer = "ca"
not_after = 2030-01-01T00:00:00+01:00

[objects.ca]
kind = "certificate"
key = "ca"
subject = "CN=ca"

[objects.leaf-key]
kind = "private_key"
key = "leaf"
encoding = "sec1"

[objects.bad]
kind = "decoy"
key = "leaf"
flaw = "broken-blob"

[process]
pid = 8
name = "a.exe"

[[process.threads]]
id = 12

[[process.modules]]
path = 'C:\\a.exe'
version = "1.2.3.4"

[[process.regions]]
name = "heap"
size = "64 KiB"
splits = ["4 KiB", 8192]

[[process.plants]]
object = "leaf-key"
across_seam = true
seam_at = 3
"""


def parse(path: Path, text: str) -> tuple[Common, ProcessSpec]:
    path.write_text(text)
    root = load_scenario(path)
    common = parse_common(root)
    table = root.table("process", required=True)
    process = parse_process(table, common.objects)
    table.finish()
    root.finish()
    return common, process


def test_good_scenario_is_read(tmp_path: Path) -> None:
    common, process = parse(tmp_path / "a.toml", GOOD)
    assert (common.name, common.seed, list(common.objects)) == ("good", "good", ["ca", "leaf", "leaf-key", "bad"])
    leaf = common.objects["leaf"]
    assert leaf.issuer == common.objects["ca"]
    assert leaf.not_after == datetime(2029, 12, 31, 23, tzinfo=UTC)
    assert (common.objects["leaf-key"].algorithm, common.objects["leaf-key"].encoding) == ("ec-p256", "sec1")
    assert common.objects["bad"].encoding == "broken-blob"
    assert process.executable == "C:\\Windows\\System32\\a.exe"
    assert process.command_line == '"C:\\Windows\\System32\\a.exe"'
    assert process.modules[0].version == (1, 2, 3, 4)
    assert process.regions[0].splits == (4096, 8192)
    assert (process.plants[0].object, process.plants[0].seam_at) == ("leaf-key", 3)
    for spec in common.objects.values():
        objects.make(spec, common.seed)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "the top level format: expected the integer 1, not 2"),
        ("format = 1", "", "the top level format: missing"),
        ('name = "good"', 'name = "../x"', "name: expected a string like"),
        ('name = "good"', 'name = ".x"', "name: expected a string like"),
        ('name = "good"', f'name = "{"x" * 65}"', "name: expected a string like"),
        ('name = "good"', 'name = "good"\nsize = 1', "the top level size: unknown key"),
        ('ca = "ed25519"', 'ca = "rsa-1"', r"\[keys\] ca: expected one of rsa-512"),
        ('ca = "ed25519"', "ca = 5", r"\[keys\] ca: expected one of"),
        ('key = "leaf"\nsubject', 'key = "lief"\nsubject', r"\[objects.leaf\] key: expected one of ca, leaf"),
        (
            'kind = "certificate"\nkey = "leaf"',
            'kind = "cert"\nkey = "leaf"',
            r"\[objects.leaf\] kind: expected one of",
        ),
        ('issuer = "ca"', 'issuer = "nobody"', r"\[objects.leaf\] issuer: there is no object 'nobody'"),
        ('issuer = "ca"', 'issuer = "leaf-key"', r"\[objects.leaf\] issuer: 'leaf-key' is a private_key"),
        ('issuer = "ca"', 'issuer = "leaf"', r"\[objects.leaf\] issuer: 'leaf' is signed by itself"),
        (
            'subject = "CN=ca"',
            'subject = "CN=ca"\nissuer = "leaf"',
            r"issuer: '(ca|leaf)' is signed by itself in the end",
        ),
        ('subject = "CN=leaf"\n', "", r"\[objects.leaf\] subject: missing; expected a string"),
        (
            'subject = "CN=leaf"',
            'subject = "CN=leaf"\nversion = 4',
            r"version: expected an integer from 1 to 0x3, not 4",
        ),
        ('encoding = "sec1"', 'encoding = "der"', r"\[objects.leaf-key\] encoding: expected one of pkcs8"),
        ('encoding = "sec1"', 'subject = "CN=x"', r"\[objects.leaf-key\] subject: unknown key"),
        ('flaw = "broken-blob"', 'encoding = "broken-blob"', r"\[objects.bad\] flaw: missing; expected one of"),
        ("2030-01-01T00:00:00+01:00", '"2030"', r"not_after: expected a date and time with an offset"),
        ("pid = 8", "pid = -8", r"\[process\] pid: expected an integer from 0"),
        ("pid = 8", 'pid = 8\nflavour = "x"', r"\[process\] flavour: unknown key"),
        ("pid = 8", "pid = 8\nenvironment = ['A=1', 2]", r"\[process\] environment: expected a list of strings"),
        ("[process]", "[[process]]", r"process: expected a table \[process\]"),
        ("id = 12", 'id = "12"', r"\[process.threads #1\] id: expected an integer"),
        ('version = "1.2.3.4"', 'version = "1.2.3"', r"\[process.modules #1\] version: expected a string like"),
        ('version = "1.2.3.4"', 'version = "1.2.3.70000"', r"\[process.modules #1\] version: .* up to 65535"),
        ('size = "64 KiB"', 'size = "64 KB"', r"\[process.regions #1\] size: expected a size"),
        ('"4 KiB", 8192', "8192, 4096", r"\[process.regions #1\] splits: expected ascending offsets"),
        ('"4 KiB", 8192', "65536", r"splits: expected ascending offsets below the region's size of 65536"),
        ("splits", 'protect = "w"\nsplits', "protect: expected one of r, rw, rx, rwx"),
        ("splits", 'filler = "random"\nsplits', "filler: expected one of zeros, noise, mixed"),
        ('object = "leaf-key"', 'object = "key"', r"\[process.plants #1\] object: expected one of ca, leaf"),
        ("seam_at = 3", 'region = "stack"', r"\[process.plants #1\] region: expected one of heap"),
        ("seam_at = 3", "address = 4096", r"\[process.plants #1\] address: an address goes without"),
        ("across_seam = true\n", "", r"\[process.plants #1\] seam_at: expected only with across_seam"),
        ("seam_at = 3", "seam_at = 0", r"\[process.plants #1\] seam_at: expected an integer from 1"),
        ("seam_at = 3", 'seam_at = 3\n[[process.regions]]\nname = "heap"\nsize = 1', "2 regions named 'heap'"),
    ],
)
def test_every_error_names_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "a.toml"
    with pytest.raises(ScenarioError, match=message) as caught:
        parse(path, GOOD.replace(old, new, 1))
    assert str(caught.value).startswith(f"{path}: ")


def test_long_chains_of_issuers_are_refused(tmp_path: Path) -> None:
    """Otherwise the recursion would be as deep as the file is long."""
    chain = "".join(
        f'[objects.c{n}]\nkind = "certificate"\nkey = "ca"\nsubject = "CN=c{n}"\nissuer = "c{n + 1}"\n'
        for n in range(5000)
    )
    text = GOOD.replace(
        "[process]", f'{chain}[objects.c5000]\nkind = "certificate"\nkey = "ca"\nsubject = "CN=x"\n[process]'
    )
    with pytest.raises(ScenarioError, match="chain is longer than 32"):
        parse(tmp_path / "a.toml", text)


def test_readme_names_every_word_of_the_format() -> None:
    words = set(re.findall(r"`([^`\s]+)`", (SAMPLES / "README.md").read_text()))
    assert words.issuperset(keys.ALGORITHMS)
    assert words.issuperset(keys.SYMMETRIC)
    assert words.issuperset(objects.ENCODINGS["private_key"])
    assert words.issuperset(objects.ENCODINGS["symmetric_key"])
    assert words.issuperset(objects.ENCODINGS["encrypted_container"])
    assert words.issuperset(DECOYS)
    assert words.issuperset(objects.ENCODINGS)


def test_readme_names_every_carrier_and_key_form() -> None:
    words = set(re.findall(r"`([^`\s]+)`", (SAMPLES / "README.md").read_text()))
    assert words.issuperset(CARRIERS)
    assert words.issuperset(objects.ENCODINGS["certificate"])


def test_carriers_are_read_in_order(tmp_path: Path) -> None:
    text = GOOD.replace('encoding = "sec1"', 'encoding = "pem"\ncarriers = ["json", "base64"]')
    common, _ = parse(tmp_path / "a.toml", text)
    assert common.objects["leaf-key"].carriers == ("json", "base64")
    with pytest.raises(ScenarioError, match=r"\[objects.leaf-key\] carriers: 'zip': expected one of base64, "):
        parse(tmp_path / "a.toml", text.replace('"json"', '"zip"'))
