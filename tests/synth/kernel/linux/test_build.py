"""The sample scenario of a Linux machine: what was put into it is what our reader gets out, in every container."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dumpscan import open_dump, search
from dumpscan.exceptions import ScenarioError
from dumpscan.findings import Certificate, PrivateKey
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.synth.kernel.linux.build import build_linux, is_linux
from support.corpus import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from dumpscan.findings import Finding

SCENARIO = SAMPLES / "linux-server.toml"


@dataclass(frozen=True)
class Built:
    """An image and its truth."""

    image: Path
    truth: dict[str, Any]
    cache: Path

    def open(self) -> KernelImage:
        return KernelImage(self.image, cache_dir=self.cache)


def build(directory: Path, scenario: Path = SCENARIO, **options: Any) -> Built:  # noqa: ANN401
    image, truth = build_linux(scenario, directory, **options)
    return Built(image, json.loads(truth.read_text()), directory / "cache")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("linux"))


@pytest.fixture(scope="module")
def findings(server: Built) -> tuple[Finding, ...]:
    with open_dump(server.image) as dump:
        result = search(dump, "x509")
    assert result.problems == ()
    return result.findings


def changed(directory: Path, *changes: tuple[str, str]) -> Path:
    """The sample scenario with other text in some places."""
    text = SCENARIO.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = directory / "changed.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("trace", ["numbered = false", "child = false"])
@pytest.mark.parametrize("hidden", [(613,), (612, 613)])
def test_hidden_processes_are_found_among_the_children_of_others_and_by_their_ids(
    tmp_path: Path, hidden: tuple[int, ...], trace: str
) -> None:
    """A process whose parent is hidden too is found through the parent; command line and memory are theirs as ever."""
    changes = [(f"]\npid = {pid}\n", f"]\npid = {pid}\nlinked = false\n{trace}\n") for pid in hidden]
    built = build(tmp_path, changed(tmp_path, *changes))
    with built.open() as image:
        assert not {entry.process.pid for entry in image.listed} & set(hidden)
        processes = {process.pid: process for process in image.processes()}
        assert {pid for pid, process in processes.items() if process.unlisted} == set(hidden)
        assert {process["pid"] for process in built.truth["processes"]} == set(processes)
        for told in built.truth["processes"]:
            if told["pid"] in hidden:
                assert list(processes[told["pid"]].arguments or ()) == told["arguments"]
        assert image.damage == ()
    with open_dump(built.image) as dump:
        found = search(dump, "x509").findings
    keys = [place for each in found if isinstance(each, PrivateKey) for place in each.locations]
    owners = {place.process.pid for place in keys if place.process and place.process.unlisted}
    assert owners <= set(hidden)
    assert 613 in owners


def test_the_kernel(server: Built) -> None:
    told = server.truth["kernel"]
    with server.open() as image:
        described = image.describe()
        assert described["kernel"] == {
            "release": told["release"],
            "build_id": told["build_id"],
            "kaslr_shift": hex(told["kaslr_shift"]),
            "phys_base": hex(told["phys_base"] % (1 << 64)),
            "page_table": hex(told["page_table"]),
            "levels": 4,
            "direct_map": hex(told["direct_map"]),
            "note": hex(told["note"]),
        }
        assert described["system"] == {
            "architecture": "x64",
            "name": "Linux",
            "version": told["banner"].strip(),
        }
        assert (image.damage, image.warnings) == ((), [])
        assert image.captured is not None
        assert image.captured.strftime("%Y-%m-%dT%H:%M:%SZ") == server.truth["time"]


def compare_processes(built: Built) -> None:
    with built.open() as image:
        found = image.processes(environment=True)
    assert [process.pid for process in found] == [told["pid"] for told in built.truth["processes"]]
    for process, told in zip(found, built.truth["processes"], strict=True):
        assert process.created is not None
        assert {
            "parent_pid": process.parent_pid,
            "name": process.name,
            "user_id": process.user_id,
            "state": process.state,
            "kernel_thread": process.kernel_thread,
            "threads": process.thread_count,
            "created": process.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "executable": process.executable,
            "arguments": list(process.arguments or ()),
            "environment": list(process.environment or ()),
        } == {
            **{key: told[key] for key in ("parent_pid", "name", "user_id", "state", "kernel_thread", "threads")},
            "created": told["created"],
            "executable": told["executable"],
            "arguments": told["arguments"] or [],
            "environment": told["environment"] or [],
        }


def test_the_processes(server: Built) -> None:
    compare_processes(server)


@pytest.mark.parametrize("container", ["lime", "elf", "kdump"])
def test_other_containers(tmp_path: Path, container: str) -> None:
    compare_processes(build(tmp_path, container=container))


def test_without_kaslr(tmp_path: Path) -> None:
    built = build(tmp_path, changed(tmp_path, ('size = "32 MiB"', 'size = "32 MiB"\nkaslr = false')))
    assert built.truth["kernel"]["kaslr_shift"] == 0
    compare_processes(built)


def test_what_lies_in_processes(server: Built, findings: tuple[Finding, ...]) -> None:
    """Across pages that are not neighbours, under PROT_NONE, and in the swap cache."""
    found = {
        (finding.kind, place.encoding, place.process.pid, place.virtual_address, place.extents)
        for finding in findings
        for place in finding.locations
        if place.process is not None
    }
    assert found == {
        (
            told["kind"],
            told["encoding"],
            process["pid"],
            place["virtual_address"],
            tuple((offset, length) for offset, length in place["extents"]),
        )
        for process in server.truth["processes"]
        for told in process.get("objects", ())
        for place in told["locations"]
    }
    assert any(len(extents) > 1 for *_, extents in found)


def test_what_lies_in_files(server: Built, findings: tuple[Finding, ...]) -> None:
    found = {
        (finding.kind, place.page_owner, place.page_path, place.page_offset, place.page_inode)
        for finding in findings
        for place in finding.locations
        if place.page_inode is not None
    }
    assert found == {
        (
            told["kind"],
            "deleted file" if told["deleted"] else "page cache",
            told["path"],
            told["offset"],
            told["inode"],
        )
        for told in server.truth["files"]
    }


def test_what_lies_in_free_memory(server: Built, findings: tuple[Finding, ...]) -> None:
    found = {
        place.physical_address for finding in findings for place in finding.locations if place.page_owner == "free"
    }
    assert found == {told["physical_address"] for told in server.truth["unmapped"]}


def test_nothing_else_is_found(server: Built, findings: tuple[Finding, ...]) -> None:
    told = [each for process in server.truth["processes"] for each in process.get("objects", ())]
    told += [*server.truth["files"], *server.truth["unmapped"]]
    assert {finding.key_id for finding in findings if isinstance(finding, PrivateKey)} == {
        each["key_id"] for each in told if each["kind"] == "private_key"
    }
    assert {finding.thumbprint for finding in findings if isinstance(finding, Certificate)} == {
        each["thumbprint"] for each in told if each["kind"] == "certificate"
    }


def test_pages_that_were_swapped_out(server: Built) -> None:
    with server.open() as image:
        page_map = image.page_map(pids=[612])
        owner = next(number for number, each in enumerate(page_map.owners) if each.process.pid == 612)
        first = 0x7F12_3400_0000 >> 12
        assert [page_map.frame(owner, first + page) >= 0 for page in (59, 60, 63)] == [True, False, False]


def test_the_same_scenario_gives_the_same_bytes(server: Built, tmp_path: Path) -> None:
    assert build(tmp_path).image.read_bytes() == server.image.read_bytes()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ((("pid = 612\nparent_pid = 1\n", "pid = 1\nparent_pid = 1\n"),), "each of one process only"),
        ((('parent_pid = 612\nname = "backup.sh"', 'parent_pid = 99\nname = "backup.sh"'),), "no process 99"),
        ((('name = "backup.sh"', 'name = "a-name-that-is-long"'),), "expected 1 to 15 bytes"),
        ((('size = "32 MiB"', 'size = "16 MiB"'),), "expected whole pages, 32 to 128 MiB"),
        ((('swapped = "60-63"', 'swapped = "60-64"'),), "expected numbers below 64"),
        ((('swapped = "60-63"', 'swapped = "60-63"\nprotected = "61"'),), "a page has two states"),
        ((("[process.paging.idle]", "[process.paging.absent]"),), "no region of that name"),
        ((('path = "/run/credentials/old.key"', 'path = "/etc/nginx/tls"'),), "a file or directory of this name"),
        ((('path = "/run/credentials/old.key"', 'path = "relative"'),), "expected a string like"),
        ((('state = "zombie"', 'state = "zombie"\nregions = [{ name = "heap", size = "4 KiB" }]'),), "has no regions"),
        ((('object = "client-key"\n', 'object = "client-key"\noffset = 4090\n'),), "do not fit a frame"),
    ],
)
def test_what_cannot_be_built_is_said(tmp_path: Path, changes: tuple[tuple[str, str], ...], problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        build(tmp_path, changed(tmp_path, *changes))


@pytest.mark.parametrize("container", ["crash", "crash-bitmap"])
def test_containers_of_windows_are_refused(tmp_path: Path, container: str) -> None:
    with pytest.raises(ScenarioError, match="expected one of raw, lime, elf, kdump"):
        build(tmp_path, container=container)


def test_scenarios_are_told_apart() -> None:
    assert is_linux(SCENARIO)
    assert not is_linux(SAMPLES / "workstation.toml")
