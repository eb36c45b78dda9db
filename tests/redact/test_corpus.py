"""Real dumps of real programs: an independent search for the numbers that are known to be in them."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.memory.minidump.dump import Minidump
from dumpscan.redact.run import RedactOptions, examine, redact
from support.corpus import CORES, CORPUS, WINE, unpacked_core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASES = [
    "nginx-a.gcore.core.zst",
    "gnutls-a.gcore.core.zst",
    "mbed-a.gcore.core.zst",
    "sshagent-a.gcore.core.zst",
    "winnode14-a.slim.dmp.zst",
]
PUBLIC = {"n", "e", "x", "y", "public"}


def secrets_of(truth: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The numbers of keys, and the password that every program had in its environment."""
    for key in truth["keys"]:
        yield f"{key['kind']} PKCS#8", bytes.fromhex(key["pkcs8_der"])
        for name, value in key.get("numbers", {}).items():
            if name not in PUBLIC:
                digits = value.removeprefix("0x")
                yield f"{key['kind']} {name}", bytes.fromhex(digits.rjust(len(digits) + len(digits) % 2, "0"))
    for dump in truth["dumps"]:
        for entry in dump["process"].get("environ", []):
            if entry.startswith("DB_PASSWORD="):
                yield "DB_PASSWORD", entry.partition("=")[2].encode()


def written(secret: bytes) -> Iterator[bytes]:
    """A secret in both orders: raw, hex, base64 in every phase, and UTF-16 of these."""
    for data in (secret, secret[::-1]):
        texts = [data.hex().encode(), data.hex().upper().encode()]
        for phase in range(3):
            whole = base64.b64encode(bytes(phase) + data)
            texts.append(whole[(0, 2, 3)[phase] : (phase + len(data)) * 8 // 6])
        yield data
        yield from texts
        yield from (b"".join(bytes((byte, 0)) for byte in text) for text in texts)
    yield b"".join(bytes((byte, 0)) for byte in secret)


def left(data: bytes, truth: dict[str, Any]) -> list[str]:
    return sorted({name for name, secret in secrets_of(truth) for form in written(secret) if form in data})


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A dump and the truth about it."""
    if not (CORES / request.param).exists():
        pytest.skip(f"no dumps of real programs at {CORES}")
    truth = json.loads((CORES / f"{request.param.split('.')[0]}.truth.json").read_text())
    return unpacked_core(request.param, tmp_path), truth


def test_no_number_of_a_real_process_is_left(case: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    source, truth = case
    target = tmp_path / "clean"
    assert left(source.read_bytes(), truth)

    redact(source, target, RedactOptions())

    assert not left(target.read_bytes(), truth)
    assert target.stat().st_size == source.stat().st_size
    if source.suffix == ".dmp":
        with Minidump(source) as before, Minidump(target) as after:
            assert after.threads == before.threads
            assert after.modules == before.modules
            assert after.exception == before.exception


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb on this machine")
def test_gdb_walks_the_stacks_as_before(tmp_path: Path) -> None:
    if not (CORES / CASES[0]).exists():
        pytest.skip(f"no dumps of real programs at {CORES}")
    source, target = unpacked_core(CASES[0], tmp_path), tmp_path / "clean.core"
    redact(source, target, RedactOptions())

    before, after = (
        subprocess.run(
            ["gdb", "-q", "-nx", "-batch", "-ex", "info threads", "-ex", "thread apply all bt", "-c", path],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        ).stdout.replace(str(path), "")
        for path in (source, target)
    )

    assert "#0" in before
    assert after == before


def test_keys_of_symcrypt_are_gone(tmp_path: Path) -> None:
    packed = CORPUS / f"{WINE}.dmp.xz"
    if not packed.exists():
        pytest.skip(f"no real dump with keys of SymCrypt at {CORPUS}")
    truth = json.loads((CORPUS / f"{WINE}.truth.json").read_text())
    target = tmp_path / "clean.dmp"

    redact(packed, target, RedactOptions())

    data = target.read_bytes()
    numbers = [bytes.fromhex(key[name]) for key in truth["rsa"] if key["private"] for name in ("p", "q", "d")]
    assert len(numbers) >= 9
    assert not [number for number in numbers for form in written(number) if form in data]
    assert not examine(target, RedactOptions()).removed
