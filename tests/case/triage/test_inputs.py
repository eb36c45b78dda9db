from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.triage.inputs import list_inputs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "b" / "deep").mkdir(parents=True)
    for name in ("a.dmp", "b/c.dmp", "b/deep/d", "z"):
        (root / name).write_bytes(name.encode())
    return root


def names(root: Path, *inputs: object, **options: frozenset[str]) -> list[str]:
    return [os.path.relpath(each.path, root) for each in list_inputs(list(map(str, inputs)), **options)]


def test_all_files_of_a_tree_once(tree: Path) -> None:
    assert names(tree, tree) == ["a.dmp", "z", "b/c.dmp", "b/deep/d"]
    assert names(tree, tree / "z", tree, tree / "b") == ["z", "a.dmp", "b/c.dmp", "b/deep/d"]
    (first, *_) = list_inputs([str(tree)])
    status = (tree / "a.dmp").stat()
    assert (first.size, first.modified_ns, first.named) == (status.st_size, status.st_mtime_ns, False)


def test_paths_are_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    (each,) = list_inputs(["b/../z"])
    assert each.path == str(tree / "z")
    assert each.named


def test_links_that_go_round_end(tree: Path) -> None:
    (tree / "b" / "up").symlink_to("..")
    (tree / "b" / "deep" / "self").symlink_to("self")
    (tree / "gone").symlink_to("nowhere")
    found = {os.path.relpath(each.path, tree): each for each in list_inputs([str(tree)])}
    assert set(found) == {"a.dmp", "z", "gone", "b/c.dmp", "b/up", "b/deep/d", "b/deep/self"}
    assert found["b/up"].other
    assert "another name" in str(found["b/up"].unusable)
    for name in ("b/deep/self", "gone"):
        assert "cannot be opened" in str(found[name].unusable)


def test_what_is_no_regular_file_is_named_and_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    found = {os.path.relpath(each.path, tree): each for each in list_inputs([str(tree)])}
    assert found["pipe"].unusable == "no regular file"
    assert found["pipe"].other


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_directory_without_permission(tree: Path) -> None:
    (tree / "b").chmod(0)
    found = {os.path.relpath(each.path, tree): each for each in list_inputs([str(tree)])}
    (tree / "b").chmod(0o700)
    assert "cannot be listed" in str(found["b"].unusable)
    assert not found["b"].other


def test_an_input_that_is_not_there(tree: Path) -> None:
    (each,) = list_inputs([str(tree / "absent")])
    assert each.named
    assert "No such file" in str(each.unusable)


def test_own_files_are_left_out(tree: Path) -> None:
    assert names(tree, tree, without=frozenset({str((tree / "z").resolve())})) == ["a.dmp", "b/c.dmp", "b/deep/d"]


def test_names_that_are_no_text(tree: Path) -> None:
    strange = os.fsencode(tree) + b"/\xff\xfe"
    with open(strange, "wb"):  # noqa: PTH123 - a name in bytes
        pass
    assert os.fsdecode(strange) in [each.path for each in list_inputs([str(tree)])]
