"""Unmodified volatility3 as a referee: it reads the synthetic machine with the table that is made of the image."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dumpscan.memory.kernel.image import KernelImage
from dumpscan.synth.kernel.linux.build import build_linux
from support.corpus import SAMPLES
from support.volatility_jobs import run_volatility

PLUGINS = ("linux.pslist", "linux.psaux", "linux.envars")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[list[dict[str, Any]]]]:
    """The truth, and the rows of each plugin."""
    directory = tmp_path_factory.mktemp("linux")
    paths = build_linux(SAMPLES / "linux-server.toml", directory)
    with KernelImage(paths.image, cache_dir=directory / "cache") as image:
        name, table = image.make_table(whole=False)
    made = directory / "symbols" / name
    made.parent.mkdir(parents=True)
    made.write_bytes(table)
    rows = run_volatility([[paths.image, directory / "symbols", plugin] for plugin in PLUGINS])
    return json.loads(paths.truth.read_text()), rows


def test_processes(read: tuple[dict[str, Any], list[list[dict[str, Any]]]]) -> None:
    truth, (listed, _, _) = read
    found = [
        (row["PID"], row["PPID"], row["COMM"], row["UID"], row["OFFSET (V)"], row["CREATION TIME"][:19])
        for row in listed
    ]
    assert found == [
        (
            process["pid"],
            process["parent_pid"],
            process["name"],
            process["user_id"],
            process["task"] & (1 << 48) - 1,
            process["created"].removesuffix("Z"),
        )
        for process in truth["processes"]
        if process["state"] != "zombie"  # it has let go of its namespaces, and volatility3 takes it for damaged
    ]


def test_command_lines_and_environments(read: tuple[dict[str, Any], list[list[dict[str, Any]]]]) -> None:
    truth, (_, command_lines, variables) = read
    own = [process for process in truth["processes"] if process["arguments"]]
    lines = {row["PID"]: row["ARGS"] for row in command_lines}
    assert {process["pid"]: lines[process["pid"]] for process in own} == {
        process["pid"]: " ".join(process["arguments"]) for process in own
    }
    assert [(row["PID"], f"{row['KEY']}={row['VALUE']}") for row in variables] == [
        (process["pid"], entry) for process in own for entry in process["environment"]
    ]
