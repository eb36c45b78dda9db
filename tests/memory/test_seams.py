"""What is behind which seam: the folders of a format and of an operating system are known in one place each."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from dumpscan.exceptions import InputError
from dumpscan.findings import Process
from dumpscan.memory.dump import PageUse
from dumpscan.memory.kernel import systems
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.kernel.profile import ListedProcess
from dumpscan.memory.physical.page_map import Owner, PageMap
from support.corpus import ROOT
from support.page_table_images import PAGE, TableImage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dumpscan.memory.kernel.budget import TextBudgets
    from dumpscan.memory.kernel.profile import ImageContext, KernelProfile
    from dumpscan.memory.symbols.store import SymbolsState


def importers(folder: str) -> set[str]:
    """Return the modules outside of a folder of the package that import from it, even only for annotations."""
    package, found = "dumpscan." + folder.replace("/", "."), set()
    for path in (ROOT / "dumpscan").rglob("*.py"):
        if path.is_relative_to(ROOT / "dumpscan" / folder):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
                found.add(str(path.relative_to(ROOT / "dumpscan")))
    return found


@pytest.mark.parametrize(
    ("folder", "known_to"),
    [
        # A redaction writes over the structures of a minidump, and must know them.
        ("memory/minidump", {"memory/formats.py", "redact/run.py", "redact/structures.py", "redact/stacks.py"}),
        ("memory/kernel/windows", {"memory/kernel/systems.py"}),
        ("memory/kernel/linux", {"memory/kernel/systems.py"}),
    ],
)
def test_a_folder_is_known_in_one_place(folder: str, known_to: set[str]) -> None:
    assert importers(folder) == known_to


class OtherProfile:
    """A made-up operating system: its kernel begins with its name, and has one process, whose tables come first."""

    mark = b"OTHER SYSTEM"
    root = 0

    def __init__(self, context: ImageContext) -> None:
        self._context = context

    def is_found(self) -> bool:
        return self._context.physical.contains(self.mark)

    def search_further(self) -> bool:
        return False

    def make_table(self, *, whole: bool) -> tuple[str, bytes]:
        raise InputError(self._context.path, f"has no types, whether they are wanted whole ({whole}) or not")

    def cached_files(self) -> None:
        return None

    def page_use(self, physical: int) -> PageUse:
        return PageUse(f"other {physical}")

    def describe(self) -> dict[str, object]:
        return {"kernel": {"base": "0x0"}, "system": {"name": "other"}, "symbols": {"state": "present"}}

    def symbols_states(self) -> list[SymbolsState]:
        return []

    def list_processes(self) -> tuple[ListedProcess, ...]:
        return (ListedProcess(Process(pid=1, name="init"), self.root, 0, 0),)

    def list_unlisted(self, listed: Sequence[ListedProcess]) -> tuple[ListedProcess, ...]:
        return listed[:0] if isinstance(listed, tuple) else ()

    def describe_process(self, listed: ListedProcess, budgets: TextBudgets, *, environment: bool) -> Process:
        budgets.environments.cut += environment
        return listed.process

    def walk(self, chosen: Sequence[ListedProcess]) -> PageMap:
        return PageMap(self._context.physical, [Owner(entry.process, entry.root or 0) for entry in chosen])

    def walk_unlisted(self) -> PageMap:
        raise InputError(self._context.path, "has no tables but those of processes")


def test_another_operating_system_is_one_more_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "SYSTEMS", (*systems.SYSTEMS, OtherProfile))
    memory = TableImage()
    root = memory.root()
    memory.map(root, 0x40_0000, 0x10)
    monkeypatch.setattr(OtherProfile, "root", root)
    memory.write(0x10 * PAGE, OtherProfile.mark)
    path = tmp_path / "other.raw"
    path.write_bytes(bytes(memory.data))
    with KernelImage(path, cache_dir=tmp_path / "cache") as image:
        profile: KernelProfile = image.profile
        assert isinstance(profile, OtherProfile)
        assert image.has_kernel()
        assert image.symbols_states() == []
        assert [process.name for process in image.processes(names=["in*"], environment=True)] == ["init"]
        assert image.page_map(pids=[1]).frame(0, 0x400) == 0x10
        assert image.describe()["processes"] == 1
        assert image.page_use(7) == PageUse("other 7")
        assert any("environments are cut or left out" in sentence for sentence in image.damage)


def test_where_no_system_is_found_the_first_says_what_it_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "SYSTEMS", (*systems.SYSTEMS, OtherProfile))
    path = tmp_path / "zeros.raw"
    path.write_bytes(bytes(16 * PAGE))
    with KernelImage(path, cache_dir=tmp_path / "cache") as image:
        assert not image.has_kernel()
        with pytest.raises(InputError, match="no Windows kernel in it"):
            image.processes()
