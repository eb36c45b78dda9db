r"""Findings as JSON documents: the one form from which every other format is derived.

A document is a nested dict of strings, integers, booleans, lists and dicts. `dumpscan.output.fields` says which values
it has. Names are those of the Elastic Common Schema (ECS) where it has one (`x509.*`, `file.hash.*`, `process.*`);
`x509.is_ca`, `process.architecture`, `process.session`, `process.wow64` and everything outside those groups are ours.

Unknown values are left out (Elasticsearch and jq read that as null); lists are always there, perhaps empty, so that
they can be iterated over without a guard. Strings are the dump's own, unescaped: `json.dumps` writes lone surrogates
of UTF-16 as `\udXXX`.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import numbers
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dumpscan.findings import SCHEMA_VERSION
from dumpscan.output.fields import members

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from dumpscan.findings import Finding, InputStatus, Location, Process
    from dumpscan.memory.symbols.store import SymbolsState

Record = dict[str, Any]
"""A document, as described above."""

_LONGEST_NUMBER = 64
"""Bits of the largest integer that is written as a number; Python refuses to print very long ones in decimal."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SymbolsNeed:
    """Which symbol table an image needs.

    Attributes:
        state: `present`, `missing` or `unknown`.
        pdb: Name of the PDB; None if the image has no kernel.
        guid: GUID of the PDB.
        age: Age of the PDB.
        url: Address of the PDB on Microsoft's symbol server.
        server_path: Path of the PDB on any symbol server.
        table: Path of the table on this machine.
        problem: What is doubtful.
    """

    state: str
    pdb: str | None = None
    guid: str | None = None
    age: int | None = None
    url: str | None = None
    server_path: str | None = None
    table: str | None = None
    problem: str | None = None


def finding_record(finding: Finding) -> Record:
    """Return a finding as a document: what all kinds have, what its kind has, then where it lies."""
    return {"schema": SCHEMA_VERSION, "kind": finding.kind, **document(finding)}


def process_record(process: Process, dump: str, *, environment: bool) -> Record:
    """Return a process as a document.

    Args:
        process: The process.
        dump: Path of the dump that it was read from.
        environment: Whether its environment goes in (as ECS's `process.env_vars`).
    """
    own = document(process)
    notes = own.pop("notes")
    if not environment:
        del own["env_vars"]
    return {"schema": SCHEMA_VERSION, "kind": "process", "dump": dump, "process": own, "notes": notes}


def symbols_record(image: str, needed: SymbolsState) -> Record:
    """Return which symbol table an image needs as a document; `image` is its path as it was given."""
    pdb = needed.pdb
    need = SymbolsNeed(
        state=needed.state,
        pdb=None if pdb is None else pdb.name,
        guid=None if pdb is None else pdb.guid,
        age=None if pdb is None else pdb.age,
        url=needed.url,
        server_path=needed.server_path,
        table=str(needed.table) if needed.table else None,
        problem=needed.problem,
    )
    return {"schema": SCHEMA_VERSION, "kind": "symbols", "dump": image, "symbols": document(need)}


def info_record(kind: str, dump: str, info: object) -> Record:
    """Return a dump's description of itself as a document.

    Args:
        kind: The record's kind, e.g. `minidump`; the description stands under the same name.
        dump: Path of the dump.
        info: The description: a dataclass or mapping of any depth.
    """
    return {"schema": SCHEMA_VERSION, "kind": kind, "dump": dump, kind: plain(info)}


def location_record(location: Location) -> Record:
    """Return a place as a document. `address` is the virtual address in hex, exact where jq's numbers end at 2^53."""
    return document(location)


def input_record(status: InputStatus) -> Record:
    """Return what became of an input as a document."""
    return document(status)


def document(source: DataclassInstance) -> Record:
    """Return a dataclass's instance as a document."""
    result: Record = {}
    for member in members(type(source)):
        value = plain(member.read(source))
        if value is not None:
            inner = result
            for group in member.path[:-1]:
                inner = inner.setdefault(group, {})
            inner[member.path[-1]] = value
    return result


def plain(value: object) -> Any:  # noqa: ANN401 - JSON's own types
    """Return any value as JSON's types: dataclasses become documents, None inside one or in a mapping is left out.

    Times become ISO 8601, bytes hex, enumeration members their names; infinity and other numbers that JSON lacks
    become text.
    """
    if value is None or type(value) in {str, bool}:
        return value
    match value:
        case enum.Enum():
            return plain(value.value) if value.name is None else value.name
        case int():
            return _number(value)
        case datetime():
            return timestamp(value)
        case str():
            return str(value)  # of a subclass, the plain string
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return document(value)
        case _:
            return _uncommon(value)


def _uncommon(value: object) -> Any:  # noqa: ANN401 - JSON's own types
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case numbers.Integral():
            return _number(int(value))
        case numbers.Real():
            number = float(value)
            return number if math.isfinite(number) else str(number)
        case Mapping():
            items = ((str(plain(key)), plain(item)) for key, item in value.items())
            return {name: item for name, item in items if item is not None}
        case Sequence() | AbstractSet():
            return [plain(item) for item in value]
        case _:
            return str(value)


def value_at(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON's own types
    """Return the value at a dotted path in a document; through a list of dicts, a list of what each has there."""
    name, _, rest = path.partition(".")
    if isinstance(value, list):
        return [value_at(item, path) for item in value]
    if not isinstance(value, dict) or name not in value:
        return None
    return value_at(value[name], rest) if rest else value[name]


def timestamp(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC with a final `Z`; one without a time zone is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:  # hours from the year 1 or 9999, in another zone: as it stands
        return moment.isoformat()
    return moment.isoformat().replace("+00:00", "Z")


def environment_entry(entry: str) -> tuple[str, str]:
    """Split `NAME=value` of an environment block; the `=` that opens a name such as `=C:` belongs to the name."""
    cut = entry.find("=", 1)
    return (entry, "") if cut < 0 else (entry[:cut], entry[cut + 1 :])


def _number(number: int) -> int | str:
    return number if number.bit_length() <= _LONGEST_NUMBER else hex(number)
