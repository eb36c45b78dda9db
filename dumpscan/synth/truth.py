"""Ground truth: the content of a synthetic dump as JSON. It holds no key material."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from dumpscan.findings import Certificate, PrivateKey
from dumpscan.synth.objects.planted import DECOY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from dumpscan.synth.objects.planted import PlantedObject
    from dumpscan.synth.scenario import ProcessSpec

TRUTH_FORMAT = 1
"""Version of the JSON form, as `format` in every truth."""


def process_truth(process: ProcessSpec, architecture: str) -> dict[str, Any]:
    """Return a process in the terms of `dumpscan.findings.Process`."""
    return {
        "pid": process.pid,
        "name": process.name,
        "parent_pid": process.parent_pid,
        "executable": process.executable,
        "command_line": process.command_line,
        "environment": list(process.environment),
        "architecture": architecture,
        "session": process.session,
        "wow64": process.wow64,
        "created": timestamp(process.created),
    }


def object_truths(
    objects: Mapping[str, PlantedObject], locations: Iterable[tuple[str, dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """Return `objects` and `decoys`: what a scanner must find, and what it must not.

    Args:
        objects: By name.
        locations: (name of the object, where it lies) pairs.
    """
    places = defaultdict(list)
    for name, location in locations:
        places[name].append(location)
    truths = [
        {"name": name, **planted.truth(), "locations": places[name]}
        for name, planted in objects.items()
        if places[name]
    ]
    return {
        "objects": [truth for truth in truths if truth["kind"] != DECOY],
        "decoys": [truth for truth in truths if truth["kind"] == DECOY],
    }


def pairs(objects: Iterable[PlantedObject]) -> list[dict[str, Any]]:
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


def timestamp(moment: datetime) -> str:
    """Return a UTC moment in ISO 8601."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def truth_bytes(truth: Mapping[str, Any]) -> bytes:
    """Return the truth as JSON text, the same on every run. Lone surrogates are written as escapes."""
    return (json.dumps(truth, indent=1, ensure_ascii=True) + "\n").encode()
