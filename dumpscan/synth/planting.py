"""The planted objects of a process dump: made from the scenario, and the truth about them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from dumpscan.findings import Certificate, PrivateKey
from dumpscan.synth.objects.catalogue import make
from dumpscan.synth.objects.planted import DECOY
from dumpscan.synth.regions import file_extents, missing_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dumpscan.synth.objects.planted import PlantedObject
    from dumpscan.synth.placement import Placement
    from dumpscan.synth.regions import PlacedRange
    from dumpscan.synth.scenario import Common, PlantSpec


def make_planted(plants: Iterable[PlantSpec], common: Common) -> dict[str, PlantedObject]:
    """Return the objects that are planted, by name.

    Raises:
        ScenarioError: If one cannot be made. The message names the table of its plant.
    """
    objects: dict[str, PlantedObject] = {}
    for plant in plants:
        if plant.object not in objects:
            with plant.table.blamed("object"):
                objects[plant.object] = make(common.objects[plant.object], common.seed)
    return objects


def object_truths(
    objects: Mapping[str, PlantedObject], placements: Iterable[Placement], ranges: Sequence[PlacedRange]
) -> dict[str, list[dict[str, Any]]]:
    """Return `objects` and `decoys`, which a scanner must and must not find, and the `pairs` of keys and certificates.

    Args:
        objects: The objects by name.
        placements: Where they were planted.
        ranges: The memory that the dump holds, in ascending order.
    """
    spans = [(entry.address, entry.end) for entry in ranges]
    places = defaultdict(list)
    for placement in sorted(placements, key=lambda placement: placement.address):
        planted, address = objects[placement.object], placement.address
        location = {
            "virtual_address": address,
            "length": planted.length,
            "extents": file_extents(ranges, address, planted.length),
            "across_seam": placement.spec.across_seam,
            **planted.truth_at(address, missing_parts(spans, address, planted.size)),
        }
        places[placement.object].append(location)
    truths = [
        {"name": name, **planted.truth(), "locations": places[name]}
        for name, planted in objects.items()
        if places[name]
    ]
    return {
        "objects": [truth for truth in truths if truth["kind"] != DECOY],
        "decoys": [truth for truth in truths if truth["kind"] == DECOY],
        "pairs": _pairs(objects.values()),
    }


def _pairs(objects: Iterable[PlantedObject]) -> list[dict[str, Any]]:
    """Return the private keys among `objects` that have certificates there too."""
    keys: dict[str, None] = {}
    certificates = defaultdict(set)
    for planted in objects:
        if planted.key_id is not None and planted.kind == PrivateKey.kind:
            keys[planted.key_id] = None
        if planted.key_id is not None and planted.kind == Certificate.kind:
            certificates[planted.key_id].add(planted.thumbprint)
    return [
        {"key_id": key_id, "certificates": sorted(filter(None, certificates[key_id]))}
        for key_id in keys
        if certificates[key_id]
    ]
