"""A symbol table made of a real image, used by volatility3 as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from dumpscan.cli.app import app
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.kernel.linux.profile import LinuxProfile
from dumpscan.memory.kernel.linux.symbols.isf import IsfTypes
from dumpscan.memory.symbols.files import LinuxIdentity, add_tables

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tables(linux_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tables")
    done = CliRunner().invoke(app, ["symbols", "make", str(linux_image), "-o", str(directory)])
    assert done.exit_code == 0
    return directory


def table_in(directory: Path) -> Path:
    (found,) = directory.glob("linux/*.json")
    return found


def volatility(tables: Path, cache: Path, image: Path, plugin: str) -> list[dict[str, Any]]:
    code = "import sys; from volatility3.cli import main; sys.argv[0] = 'vol'; sys.exit(main())"
    options = ["-q", "-r", "json", "--offline", "--cache-path", str(cache), "-s", str(tables), "-f", str(image)]
    done = subprocess.run(
        [sys.executable, "-c", code, *options, plugin], check=False, capture_output=True, text=True, timeout=300
    )
    assert not done.returncode, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_volatility_lists_the_same_processes(
    tables: Path, linux_image: Path, linux_truth: dict[str, Any], tmp_path: Path
) -> None:
    rows = volatility(tables, tmp_path, linux_image, "linux.pslist.PsList")
    alive = {each["pid"] for each in linux_truth["processes"] if not each["state"].startswith("Z")}
    assert {row["PID"] for row in rows} == alive
    rows = volatility(tables, tmp_path, linux_image, "linux.proc.Maps")
    wanted = sum(len(each["maps"] or ()) for each in linux_truth["processes"])
    assert abs(len(rows) - wanted) < 0.05 * wanted  # of the first process, which went on running, /proc has others


def test_the_table_gives_the_same_offsets_as_the_kernels_own_types(tables: Path, linux_image: Path) -> None:
    with KernelImage(linux_image) as image:
        profile = image.profile
        assert isinstance(profile, LinuxProfile)
        own = profile.types.source
        made = IsfTypes(table_in(tables), profile.kernel.shift)
        for name in ("task_struct.comm", "mm_struct.arg_start", "page.mapping", "dentry.d_alias", "inode.i_mapping"):
            structure, _, member = name.partition(".")
            assert made.offset(structure, member) == own.offset(structure, member), name
        assert made.address("init_task") == profile.types.address("init_task")


def test_a_table_is_added_under_the_name_of_its_kernel(tables: Path, tmp_path: Path) -> None:
    (added,), problems = add_tables(table_in(tables), tmp_path)
    assert not problems
    assert isinstance(added.identity, LinuxIdentity)
    assert added.identity.banner.startswith(b"Linux version 6.1.0-")
    assert added.path.parent == tmp_path / "linux"


def test_a_kernel_without_types_in_memory_is_read_with_a_table(
    tables: Path, linux_image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.linux.symbols.types.MAX_BTF", 0)
    with KernelImage(linux_image, symbols=[tables], cache_dir=tmp_path) as image:
        assert len(image.processes()) > 80
