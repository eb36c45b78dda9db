"""Data goes one way, upstairs: no module imports one of a floor above it, and none import each other in a circle."""

from __future__ import annotations

import ast
import tomllib
from graphlib import CycleError, TopologicalSorter

import pytest

from support.corpus import ROOT

FLOORS = (
    {"_version", "exceptions", "findings", "files", "model"},
    {"memory"},
    {"scan"},
    {"artifacts"},
    {"search"},
    {"api", "case", "redact", "synth"},
    {"output"},
    {"cli", "__main__", "__init__"},
)
"""From the ground up. What stands on one floor may import from its own and from those below."""
MAX_PARTS = 15
"""Modules and folders in one folder."""


def _modules() -> dict[str, ast.Module]:
    """Parse every module of the package, by its dotted name."""
    found = {}
    for path in sorted((ROOT / "dumpscan").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = _modules()


def _imports(name: str, *, typing: bool) -> set[str]:
    """Return the modules that one imports, also within functions; with `typing`, also those for annotations."""
    found = set()
    skipped = set() if typing else _for_typing(MODULES[name])
    for node in ast.walk(MODULES[name]):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dumpscan":
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                found.add(below if below in MODULES else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "dumpscan"}
    return {each if each in MODULES else f"{each}.__init__" for each in found}


def _for_typing(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes below `if TYPE_CHECKING:`."""
    blocks = [
        node for node in tree.body if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    return {below for block in blocks for below in ast.walk(block)}


def _floor(name: str) -> int:
    part = name.split(".")[1]
    return next(number for number, floor in enumerate(FLOORS) if part in floor)


@pytest.mark.parametrize("name", MODULES)
def test_no_import_goes_up(name: str) -> None:
    above = [each for each in _imports(name, typing=True) if _floor(each) > _floor(name)]
    assert not above


def test_no_circles() -> None:
    graph = {name: _imports(name, typing=True) for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules that import each other: {' -> '.join(error.args[1])}")


def test_no_folder_is_crowded() -> None:
    for folder in [ROOT / "dumpscan", *(path for path in (ROOT / "dumpscan").rglob("*") if path.is_dir())]:
        parts = [each for each in folder.iterdir() if (each.is_dir() or each.suffix == ".py") and each.name[:2] != "__"]
        assert len(parts) <= MAX_PARTS, f"{folder} has {len(parts)} parts"


def test_every_folder_is_a_package_that_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rpartition(".")[0] for name in MODULES}
    plugins = {"dumpscan.volatility_plugins", "dumpscan.volatility_plugins.dumpscan"}
    assert set(settings["tool"]["setuptools"]["packages"]) == packages | plugins
