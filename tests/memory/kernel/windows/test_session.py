from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dumpscan.exceptions import InputError
from dumpscan.memory import volatility
from dumpscan.memory.kernel.image import KernelImage
from dumpscan.memory.kernel.windows.finder import find_kernels
from dumpscan.memory.kernel.windows.session import ADDRESS_MASK, KernelSession, adopted_kernel, image_path, search
from support.kernel_images import Lab, build_lab
from support.page_table_images import PAGE, open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dumpscan.memory.physical.image import PhysicalImage


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def physical(lab: Lab) -> Iterator[PhysicalImage]:
    with lab.physical() as image:
        yield image


@pytest.fixture
def session(lab: Lab, physical: PhysicalImage) -> KernelSession:
    return KernelSession.build(physical, find_kernels(physical)[0], lab.table)


def test_a_session_reads_the_kernels_memory(lab: Lab, session: KernelSession) -> None:
    base = lab.truth["kernel_base"] & ADDRESS_MASK
    assert session.bytes(base, 2) == b"MZ"
    assert session.bytes(0x1234, 2) == b""
    assert session.number(0x1234) is None
    lab_text = session.symbol("NtBuildLab")
    assert lab_text == base + lab.offsets.rva("NtBuildLab")
    assert session.bytes(lab_text, 10) == lab.truth["build_lab"][:10].encode()
    assert session.symbol("NoSuchThing") is None
    assert session.offset("_EPROCESS", "Peb") == lab.offsets.offset("_EPROCESS", "Peb")
    assert session.has("_EPROCESS", "Peb")
    assert not session.has("_EPROCESS", "NoSuchField")
    assert not session.has("_NO_SUCH_TYPE", "Peb")
    assert session.has_processes()
    assert not session.is_32bit
    assert session.table == lab.table.as_uri()


def test_volatilitys_plugins_run_on_it(lab: Lab, session: KernelSession) -> None:
    rows = list(session.rows(session.plugin("windows.cmdline", "CmdLine")))
    assert [row[0] for row in rows] == [process["pid"] for process in lab.listed()]


def test_a_list_that_does_not_point_back_is_none(lab: Lab, tmp_path: Path) -> None:
    head = lab.truth["kernel_base"] + lab.offsets.rva("PsActiveProcessHead")
    with lab.changed(tmp_path, {lab.locate(head): bytes(16)}).physical() as image:
        assert not KernelSession.build(image, find_kernels(image)[0], lab.table).has_processes()


def test_volatilitys_own_search_finds_the_same_kernel(physical: PhysicalImage) -> None:
    (ours,) = find_kernels(physical)
    theirs = search(physical)
    assert theirs is not None
    assert (theirs.root, theirs.self_index, theirs.pdb, theirs.layer) == (
        ours.root,
        ours.self_index,
        ours.pdb,
        ours.layer,
    )
    assert theirs.base & ADDRESS_MASK == ours.base & ADDRESS_MASK


def test_where_we_find_nothing_volatilitys_search_steps_in(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dumpscan.memory.kernel.windows.profile.find_kernels", lambda _image: [])
    with lab.open(cache_dir=lab.cache / "other") as image:
        found = [process.pid for process in image.processes() if not process.unlisted]
        assert found == [process["pid"] for process in lab.listed()]
        assert len(image.page_map()) > 1000


def test_it_finds_nothing_where_nothing_is(tmp_path: Path) -> None:
    with open_bytes(tmp_path, bytes(32 * PAGE)) as image:
        assert search(image) is None


def test_what_volatility_found_is_adopted(lab: Lab, session: KernelSession, physical: PhysicalImage) -> None:
    kernel = adopted_kernel(session, physical)
    assert (kernel.root, kernel.base, kernel.self_index) == (
        lab.truth["dtb"],
        lab.truth["kernel_base"],
        lab.truth["self_map_index"],
    )


def test_an_adopted_image_uses_what_is_known(lab: Lab, session: KernelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def search_again(_image: object) -> None:
        pytest.fail("what volatility3 has found is looked for again")

    monkeypatch.setattr("dumpscan.memory.kernel.windows.profile.find_kernels", search_again)
    layer: Any = session.context.layers["memory_layer"]
    layer.location = lab.image.as_uri()
    with KernelImage.adopt(session.context, session.module_name) as image:
        assert [kernel.base for kernel in image.profile.kernels] == [lab.truth["kernel_base"]]
        assert image.profile.session.context is session.context
        found = [process.pid for process in image.processes() if not process.unlisted]
        assert found == [process["pid"] for process in lab.listed()]


def test_only_a_local_file_can_be_adopted(session: KernelSession) -> None:
    # Our own layer has no location, as layers of devices and networks have others than files.
    with pytest.raises(InputError, match="is no local file"):
        image_path(session)
    layer: Any = session.context.layers["memory_layer"]
    layer.location = "http://example.org/image.raw"
    with pytest.raises(InputError, match=r"http://example\.org/image\.raw: is no local file"):
        image_path(session)
    layer.location = "file:///a%20b/image.raw"
    assert str(image_path(session)) == "/a b/image.raw"


def test_physical_memory_has_holes_for_volatility_too(tmp_path: Path) -> None:
    volatility.load()
    from dumpscan.memory.physical.volatility_layers import MemoryLayer  # noqa: PLC0415 - it imports volatility3

    absent = volatility.module("framework.exceptions").InvalidAddressException
    context = volatility.module("framework.contexts").Context()
    with open_bytes(tmp_path, b"\1" * PAGE + b"\2" * PAGE, [(0, PAGE, 0), (3 * PAGE, PAGE, PAGE)]) as image:
        layer = MemoryLayer(context, "config", "memory", image)
        assert (layer.minimum_address, layer.maximum_address) == (0, 4 * PAGE - 1)
        assert layer.read(10, 2) == b"\1\1"
        assert layer.is_valid(0, PAGE)
        assert not layer.is_valid(0, PAGE + 1)
        with pytest.raises(absent):
            layer.read(PAGE - 1, 2)
        with pytest.raises(absent):
            layer.write(0, b"no")
        assert layer.read(PAGE - 1, 2 * PAGE + 3, pad=True) == b"\1" + bytes(2 * PAGE) + b"\2\2"
