"""Objects get addresses in the areas, do not overlap, and lie across seams only if the plant asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.placement import Area, Placer, place
from dumpscan.synth.scenario import PlantSpec
from dumpscan.synth.seeded import SeededBytes
from dumpscan.synth.toml_table import Table


@dataclass(frozen=True)
class Bytes:
    """An object of this many bytes."""

    size: int
    alignment: int = 1

    @property
    def length(self) -> int:
        return self.size


HERE = Table(Path("x.toml"), "process.plants #1", {})
AREAS = [
    Area("heap", 0x10000, 0x4000, (0x11000, 0x12000, 0x14000)),
    Area("more", 0x14000, 0x1000),
    Area("apart", 0x80000, 0x8000, range(0x81000, 0x88001, 0x1000)),
]
SEAMS = {0x11000, 0x12000, 0x14000, *range(0x81000, 0x88000, 0x1000)}


def crosses(address: int, size: int) -> bool:
    return any(address < seam < address + size for seam in SEAMS)


def inside(address: int, size: int) -> bool:
    return 0x10000 <= address <= address + size <= 0x15000 or 0x80000 <= address <= address + size <= 0x88000


plants = st.lists(
    st.builds(
        lambda name, kind, region, copies, alignment: PlantSpec(
            object=name, across_seam=kind, region=region, copies=copies, alignment=alignment, table=HERE
        ),
        st.sampled_from("abc"),
        st.booleans(),
        st.sampled_from([None, "heap", "apart"]),
        st.integers(1, 3),
        st.sampled_from([1, 16, 256]),
    ),
    max_size=8,
)


@given(plants, st.fixed_dictionaries({name: st.integers(2, 0xFFF).map(Bytes) for name in "abc"}), st.text(max_size=4))
def test_addresses_are_free_and_satisfy_the_plants(specs: list[PlantSpec], sizes: dict[str, Bytes], seed: str) -> None:
    def attempt() -> list[tuple[int, int, PlantSpec]]:
        placed = place(specs, sizes, Placer(AREAS, SeededBytes(seed), avoid_seams=True))
        return sorted(((p.address, sizes[p.object].size, p.spec) for p in placed), key=lambda entry: entry[0])

    try:
        placed = attempt()
    except ScenarioError as error:
        assert "no room for" in str(error) or "no seam left" in str(error)  # noqa: PT017 -- often there is room
        return
    assert placed == attempt()
    assert len(placed) == sum(spec.copies for spec in specs)
    assert all(low[0] + low[1] <= high[0] for low, high in pairwise(placed))
    for address, size, spec in placed:
        assert inside(address, size)
        assert crosses(address, size) == spec.across_seam
        assert address % spec.alignment == 0 or spec.across_seam
        if spec.region == "apart":
            assert address >= 0x80000
        if spec.region == "heap" and not spec.across_seam:
            assert address + size <= 0x14000


@given(st.integers(2, 300), st.data())
def test_seam_lies_after_the_bytes_asked_for(size: int, data: st.DataObject) -> None:
    before = data.draw(st.integers(1, size - 1))
    address = Placer(AREAS, SeededBytes("x"), avoid_seams=True).across(size, before)
    assert address + before in SEAMS


def test_each_seam_is_used_once() -> None:
    placer = Placer(AREAS, SeededBytes("x"), avoid_seams=True)
    used = {placer.across(16, 8, "apart") + 8 for _ in range(7)}
    assert used == set(range(0x81000, 0x88000, 0x1000))  # the area's own end is a seam, but nothing follows
    with pytest.raises(ScenarioError, match="no seam left in region 'apart'"):
        placer.across(16, 8, "apart")


def test_the_border_of_adjacent_areas_is_a_seam() -> None:
    placer = Placer(AREAS, SeededBytes("x"), avoid_seams=True)
    assert 0x14000 in {placer.across(16, 8, "heap") + 8 for _ in range(3)}


def test_every_byte_can_be_used() -> None:
    placer = Placer([Area("a", 0x1000, 64)], SeededBytes("x"), avoid_seams=True)
    assert sorted(placer.anywhere(8, 8) for _ in range(8)) == list(range(0x1000, 0x1040, 8))
    with pytest.raises(ScenarioError, match="no room for 1 bytes in any region"):
        placer.anywhere(1, 1)


def test_objects_may_cross_seams_where_that_is_allowed() -> None:
    area = Area("a", 0x1000, 0x3000, range(0x2000, 0x4000, 0x1000))
    assert Placer([area], SeededBytes("x"), avoid_seams=False).anywhere(0x2800, 1) >= 0x1000
    with pytest.raises(ScenarioError, match="no room"):
        Placer([area], SeededBytes("x"), avoid_seams=True).anywhere(0x2800, 1)


@pytest.mark.parametrize(
    ("address", "size", "message"),
    [
        (0xFFFF, 2, "do not lie in any region"),
        (0x14FFF, 2, "do not lie in any region"),
        (0x87FF8, 9, "do not lie in any region"),
        (0x10108, 1, "overlap an object at 0x10100"),
        (0x100F0, 17, "overlap an object at 0x10100"),
    ],
)
def test_addresses_that_cannot_be_given(address: int, size: int, message: str) -> None:
    placer = Placer(AREAS, SeededBytes("x"), avoid_seams=True)
    placer.at(0x10100, 0x10)
    with pytest.raises(ScenarioError, match=message):
        placer.at(address, size)
    placer.at(0x10110, 0x10)
    placer.at(0x100F0, 0x10)
    placer.at(0x13FF0, 0x1010)  # to the very end, across adjacent areas


def test_errors_name_the_plant() -> None:
    spec = PlantSpec(object="a", address=0x20000, table=HERE)
    with pytest.raises(ScenarioError, match=r"^x.toml: \[process.plants #1\]: 5 bytes at 0x20000 do not lie"):
        place([spec], {"a": Bytes(5)}, Placer(AREAS, SeededBytes("x"), avoid_seams=True))
    with pytest.raises(ScenarioError, match="5 bytes has no seam after its first 9"):
        place(
            [PlantSpec(object="a", across_seam=True, seam_at=9, table=HERE)],
            {"a": Bytes(5)},
            Placer(AREAS, SeededBytes("x"), avoid_seams=True),
        )


def test_an_object_lies_at_a_multiple_of_its_own_alignment_too() -> None:
    specs = [
        PlantSpec(object="a", alignment=24, copies=5, table=HERE),
        PlantSpec(object="a", across_seam=True, table=HERE),
    ]
    placed = place(specs, {"a": Bytes(72, alignment=32)}, Placer(AREAS, SeededBytes("x"), avoid_seams=True))
    across, *apart = [placement.address for placement in placed]
    assert across + 32 in SEAMS
    assert [address % 96 for address in apart] == [0] * 5


def test_only_what_has_an_address_lies_in_a_hole() -> None:
    areas = [
        Area("a", 0x10000, 0x1000, (0x11000,)),
        Area("a", 0x11000, 0x1000, (0x12000,), hole=True),
        Area("a", 0x12000, 0x1000, (0x12800,)),
    ]
    placer = Placer(areas, SeededBytes("x"), avoid_seams=True)
    assert placer.across(0x800, 0x400) == 0x12400
    assert placer.anywhere(0x1000, 1) == 0x10000
    with pytest.raises(ScenarioError, match="no room"):
        placer.anywhere(0x500, 1)
    with pytest.raises(ScenarioError, match="no seam left"):
        placer.across(16, 8)
    assert placer.at(0x11000, 0x1000) == 0x11000
