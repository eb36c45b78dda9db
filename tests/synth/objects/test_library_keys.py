"""Keys as libraries hold them: planted in a core and in a kernel image, found as they are, at their addresses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import dumpscan
from dumpscan.exceptions import ScenarioError
from dumpscan.synth.core.build import build_core
from dumpscan.synth.kernel.build import build_kernel
from dumpscan.synth.objects.keys import make_key
from dumpscan.synth.objects.library_keys import ENCODINGS, make_library_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NUMBERS = ("rsa-1024", "rsa-2048", "ec-p256", "ec-p384", "ec-p521")
ALGORITHMS = {"openssl-ecx": ("ed25519", "ed448"), "openssh-shielded": (*NUMBERS, "ed25519")}
HELD = [(algorithm, encoding) for encoding in ENCODINGS for algorithm in ALGORITHMS.get(encoding, NUMBERS)]


def _scenario(kind: str) -> Iterator[str]:
    yield f'format = 1\nname = "held"\nseed = "held"\n{kind}\n[keys]'
    yield from (f'{encoding}-{algorithm} = "{algorithm}"' for algorithm, encoding in HELD)
    for algorithm, encoding in HELD:
        name = f"{encoding}-{algorithm}"
        yield f'[objects.{name}]\nkind = "private_key"\nkey = "{name}"\nencoding = "{encoding}"'


def _plants() -> Iterator[str]:
    yield 'regions = [{ name = "heap", size = "1 MiB", filler = "noise" }]'
    yield "plants = ["
    yield from (f'    {{ object = "{encoding}-{algorithm}", region = "heap" }},' for algorithm, encoding in HELD)
    yield "]"


def _planted(truth: dict[str, Any]) -> set[tuple[str, int, int, str, str]]:
    return {
        (each["key_id"], place["virtual_address"], place["length"], each["key_library"], each["structure"])
        for each in truth["objects"]
        for place in each["locations"]
    }


def _found(path: Path, what: str) -> set[tuple[str, int | None, int, str | None, str | None]]:
    with dumpscan.open_dump(path) as dump:
        result = dumpscan.search(dump, what)
    assert result.problems == ()
    return {
        (found.key_id, place.virtual_address, place.length, place.key_object.library, place.key_object.structure)
        for found in result
        if isinstance(found, dumpscan.PrivateKey)
        for place in found.locations
        if place.key_object is not None
    }


@pytest.mark.parametrize("what", ["keys", "x509"])
def test_a_core_holds_them_and_nothing_else(what: str, tmp_path: Path) -> None:
    scenario = tmp_path / "held.toml"
    process = '[process]\npid = 7\nname = "served"\nexecutable = "/usr/sbin/served"'
    scenario.write_text("\n".join((*_scenario(""), process, *_plants())))
    core, truth = build_core(scenario, tmp_path)
    planted = _planted(json.loads(truth.read_text()))
    assert len(planted) == len(HELD) == 28
    assert _found(core, what) == planted


def test_processes_of_a_kernel_image_hold_them_across_pages(tmp_path: Path) -> None:
    """Pages that follow one another for a process lie anywhere in physical memory."""
    windows = '[windows]\nversion = "21h2"\nsize = "64 MiB"\n'
    processes = "".join(
        f'[[process]]\npid = {pid}\nparent_pid = 4\nname = "{name}"\nsession = 0\n'
        for pid, name in ((92, "smss.exe"), (5120, "nginx.exe"))
    )
    across = [line.replace(" },", ", across_seam = true },") for line in _plants()]
    scenario = tmp_path / "held.toml"
    scenario.write_text("\n".join((*_scenario(windows), processes, *across)))
    paths = build_kernel(scenario, tmp_path)
    planted = {
        (each["key_id"], place["virtual_address"], each["length"], each["key_library"], each["structure"])
        for each in json.loads(paths.truth.read_text())["objects"]
        for place in each["places"]
    }
    assert len(planted) == len(HELD)
    with dumpscan.open_dump(paths.image, symbols=[paths.symbols_directory]) as dump:
        found = dumpscan.search(dump, "x509")
    assert {
        (key.key_id, place.virtual_address, place.length, place.key_object.library, place.key_object.structure)
        for key in found
        if isinstance(key, dumpscan.PrivateKey)
        for place in key.locations
        if place.key_object is not None and place.process is not None and place.process.pid == 5120
    } == planted


def test_a_key_in_a_library_has_an_address_and_a_kind() -> None:
    made = make_library_key(make_key("ec-p256", "seed"), "openssl-bignum")
    assert made.at(0x1000) != made.at(0x2000)
    assert len(made.at(0x1000)) == made.size
    for address in (0, 8, 1 << 47):
        with pytest.raises(ScenarioError, match="cannot lie at"):
            made.at(address)
    with pytest.raises(ScenarioError, match="that the dump holds"):
        made.parts_in([(0, 8)])
    for algorithm in ("ed25519", "dsa-1024", "ec-secp256k1"):
        with pytest.raises(ScenarioError, match="cannot hold a key"):
            make_library_key(make_key(algorithm, "seed"), "gmp-mpz")
