"""Scenarios of process cores: what all scenarios share (`dumpscan.synth.scenario`), `[core]`, and one `[process]`.

[core]                              # how the core is written
writer = "kernel"                   # or "gcore", which writes file-backed memory too
signal = 11
title = "served: worker process"    # what the program has written over its arguments

[process]
pid = 1234
name = "served"
executable = "/usr/sbin/served"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.synth.scenario import parse_common, parse_process
from dumpscan.synth.toml_table import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.synth.scenario import Common, ProcessSpec
    from dumpscan.synth.toml_table import Table

ARCHITECTURES = {"x64": 62, "arm64": 183}
"""`e_machine` of the processors that cores are built for."""
WRITERS = ("kernel", "gcore")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSpec:
    """How the core is written: the scenario's `[core]`."""

    architecture: str
    writer: str
    signal: int
    title: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreScenario:
    """The scenario of a process core. `table` is that of its process, for messages."""

    common: Common
    core: CoreSpec
    process: ProcessSpec
    table: Table


def load_core_scenario(path: Path) -> CoreScenario:
    """Read a scenario file.

    Raises:
        ScenarioError: If the file cannot be read, is not TOML, or a value is malformed.
    """
    return load_scenario(path).read(_parse)


def _parse(root: Table) -> CoreScenario:
    common = parse_common(root)
    core = root.table("core").read(_parse_core)
    table = root.table("process", required=True)
    process = table.read(lambda table: parse_process(table, common.objects))
    return CoreScenario(common=common, core=core, process=process, table=table)


def _parse_core(table: Table) -> CoreSpec:
    return CoreSpec(
        architecture=table.choice("architecture", ARCHITECTURES, "x64"),
        writer=table.choice("writer", WRITERS, "kernel"),
        signal=table.integer("signal", 6, maximum=64),
        title=table.text("title", None),
    )
