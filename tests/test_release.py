"""What a release promises: bounds of dependencies, where to find things, definitions for CI."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from support.corpus import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: PROJECT["optional-dependencies"][name] for name in ("cluster", "remote", "stix")}
BOUNDS = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+),<([0-9.]+)(?:; .*)?")
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
ACTION = ROOT / ".github" / "actions" / "gate" / "action.yml"


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.mark.parametrize(
    "dependency", [*PROJECT["dependencies"], *(each for extra in EXTRAS.values() for each in extra)]
)
def test_every_dependency_has_both_bounds_and_they_hold_what_is_tested(dependency: str) -> None:
    found = BOUNDS.fullmatch(dependency)
    assert found, dependency
    name, lowest, above = found.groups()
    assert numbers(lowest) <= numbers(version(name)) < numbers(above)


def test_libraries_that_were_left_behind_are_no_dependencies() -> None:
    names = {re.split(r"[>;]", each)[0] for each in PROJECT["dependencies"]}
    assert {"click", "cryptography", "dissect.cstruct", "hyperscan", "jinja2", "numpy", "rich", "volatility3"} <= names
    assert not {"typer", "asn1crypto", "pydantic"} & names


def lowest_versions() -> Callable[[list[str]], list[str]]:
    path = ROOT / ".ci" / "lowest_versions.py"
    spec = importlib.util.spec_from_file_location("lowest_versions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[list[str]], list[str]] = module.lowest_versions
    return found


def test_constraints_of_the_lowest_versions() -> None:
    made = lowest_versions()
    assert made(["click>=8.5,<9", "isal>=1.6,<2; platform_machine == 'x86_64'"]) == [
        "click==8.5",
        "isal==1.6; platform_machine == 'x86_64'",
    ]
    assert len(made(PROJECT["dependencies"])) == len(PROJECT["dependencies"])
    with pytest.raises(ValueError, match="click>=8"):
        made(["click>=8"])


def test_where_to_find_things() -> None:
    assert {"Homepage", "Documentation", "Changelog", "Issues", "Security"} <= PROJECT["urls"].keys()
    base = PROJECT["urls"]["Homepage"]
    for url in PROJECT["urls"].values():
        assert url.startswith(base)
        path = url.removeprefix(base).removeprefix("/blob/main/").removeprefix("/tree/main/")
        assert not path or path == "/issues" or (ROOT / path).exists()
    for system in ("MacOS", "Microsoft :: Windows", "POSIX :: Linux"):
        assert f"Operating System :: {system}" in PROJECT["classifiers"]


@pytest.mark.parametrize("target", ["test-lowest", "sbom", "wheel", "lint"])
def test_make_has_what_ci_runs(target: str) -> None:
    if not shutil.which("make"):
        pytest.skip("no make on this machine")
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"make {target}" in WORKFLOW.read_text(encoding="utf-8")


def test_the_definitions_for_ci_are_sound() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    assert {"lint", "test", "lowest", "wheel"} <= jobs.keys()
    systems = {"ubuntu-latest", "macos-latest", "windows-latest"}
    assert set(jobs["test"]["strategy"]["matrix"]["os"]) == systems
    action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert "inputs." not in step.get("run", ""), "an input in a script is a script of whoever gives the input"


def test_the_script_of_the_action(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    if not shutil.which("bash"):
        pytest.skip("no bash on this machine")
    script = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"][-1]["run"]
    (tmp_path / "dumpscan").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "dumpscan").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "DUMPS": "a.dmp dumps/",
        "RULES": "private-key live-key",
        "ALLOW": "known keys.txt",
        "RUNNER_TEMP": str(tmp_path),
    }
    done = subprocess.run(["bash", "-e", "-c", script], capture_output=True, text=True, check=True, env=environment)
    said = done.stdout.splitlines()
    assert said[:3] == ["triage", "a.dmp", "dumps/"]
    assert said[-6:] == ["--fail-on", "private-key", "--fail-on", "live-key", "--allow", "known keys.txt"]
