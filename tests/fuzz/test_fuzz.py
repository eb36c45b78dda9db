"""A moment of fuzzing with a fixed seed. `make fuzz` goes on for hours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if sys.platform == "win32":
    pytest.skip("limits on memory and CPU seconds need POSIX", allow_module_level=True)

from fuzz.harness import Target, fuzz
from fuzz.mutate import BYTES
from fuzz.targets import all_targets

if TYPE_CHECKING:
    from pathlib import Path

SEED = 20261126
SECONDS = 8.0
NAMES = ("minidump", "core", "image", "sample", "table", "carrier", "case")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return {each.name: each for each in all_targets(tmp_path_factory.mktemp("seeds"))}


@pytest.mark.parametrize("name", NAMES)
def test_no_mutant_escapes(name: str, targets: dict[str, Target], tmp_path: Path) -> None:
    outcome = fuzz(targets[name], seed=SEED, seconds=SECONDS, directory=tmp_path, mutants=1000)
    assert outcome.escaped == []
    assert outcome.mutants > 0


@pytest.mark.parametrize(
    ("command", "said"), [(("no-such-command", "{}"), ""), (("synth", "minidump", "{}", "-o", "/proc/none"), "")]
)
def test_errors_that_are_told_do_not_escape(command: tuple[str, ...], said: str, tmp_path: Path) -> None:
    target = Target(name="told", seeds={"a": b"x" * 64}, mutators=BYTES, commands=(command,))
    assert said in str(fuzz(target, seed=1, seconds=200, directory=tmp_path, mutants=1).escaped)
    assert fuzz(target, seed=1, seconds=200, directory=tmp_path, mutants=1).escaped == []


def test_a_fault_is_noticed_shrunk_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dumpscan.cli.app.run", fail)
    target = Target(name="fault", seeds={"a.bin": bytes(range(256)) * 4}, mutators=BYTES, commands=(("info", "{}"),))
    outcome = fuzz(target, seed=1, seconds=200, directory=tmp_path, mutants=3)
    ((problem, path),) = outcome.escaped[:1]
    assert "ZeroDivisionError" in problem
    assert path.stat().st_size < 64
    assert "ZeroDivisionError" in path.with_name(f"{path.name}.txt").read_text()
