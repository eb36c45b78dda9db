"""Converts input files, processes, findings and their places to rows of a case file, and back.

Columns have the names of the fields that they hold, and `details` holds fields without a column. So a new field needs
nothing here, and a new kind of finding needs a line in `KINDS`. Only key material may be left out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from itertools import chain
from typing import TYPE_CHECKING

from dumpscan.case.records import DumpRecord, MissingSymbols
from dumpscan.case.store.fields import details_of, fields_of, read_details, read_fields
from dumpscan.case.store.values import stored, stored_address
from dumpscan.findings import (
    Certificate,
    EncryptedContainer,
    Finding,
    KeyObject,
    Location,
    PrivateKey,
    Process,
    PublicKey,
    Status,
    SymmetricKey,
    TlsSecret,
)
from dumpscan.search.merge import MOST_LOCATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dumpscan.case.store.fields import Fields
    from dumpscan.case.store.values import Row

Columns = dict[str, object]
"""Values by column, as they are written."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of finding is stored.

    Attributes:
        finding: The kind.
        table: Its table.
        secret: The field with key material, which is stored in `secrets`; empty if there is none.
        derived: Fields that are not stored, because they follow from the rest of the case.
        of_copies: Lists to which each copy of the object may add; `sightings` has those of the copies in one dump.
    """

    finding: type[Finding]
    table: str = "others"
    secret: str = ""
    derived: frozenset[str] = frozenset()
    of_copies: frozenset[str] = frozenset()

    @property
    def own(self) -> Fields:
        """The fields that its table holds."""
        others = self.derived | self.of_copies | {self.secret} | {field.name for field in fields(Finding)}
        return fields_of(self.finding, self.table, others)  # type: ignore[arg-type]  # a class can be hashed


KINDS: Mapping[str, Kind] = {
    kind.finding.kind: kind
    for kind in (
        Kind(Certificate, "certificates", derived=frozenset({"private_keys"})),
        Kind(
            PrivateKey,
            "keys",
            "pkcs8",
            frozenset({"certificates", "needs_support"}),
            frozenset({"proof", "wrong_parts"}),
        ),
        Kind(PublicKey, "keys", derived=frozenset({"certificates"}), of_copies=frozenset({"proof"})),
        Kind(SymmetricKey, "keys", "key", of_copies=frozenset({"proof"})),
        Kind(EncryptedContainer, "containers", "data"),
        Kind(TlsSecret, "tls_secrets", "secret", of_copies=frozenset({"proof"})),
    )
}
"""All kinds of finding, in the order in which a case yields them."""

# --- Files and processes ---------------------------------------------------------------------------------------------


def status_of(row: Row, *, lacks_symbols: bool) -> Status:
    """Return the status of an input file from its row in `dumps`.

    Args:
        row: The row, in which a file that lacks nothing but symbols is `ok`.
        lacks_symbols: Whether it has rows in `missing_symbols`.
    """
    status = row.choice("status", Status)
    return Status.NO_SYMBOLS if status is Status.OK and lacks_symbols else status


def dump_of(row: Row, processes: tuple[Process, ...], *, lacks_symbols: bool = False) -> DumpRecord:
    """Return an input file from its row in `dumps` (see `status_of`)."""
    return DumpRecord(
        path=row.text("path"),
        size=row.optional(row.number, "size"),
        modified=row.optional(row.time, "modified"),
        captured=row.optional(row.time, "captured") if "captured" in row else None,  # older versions lack it
        sha256=row.optional(row.digest, "sha256"),
        format=row.optional(row.text, "format"),
        status=status_of(row, lacks_symbols=lacks_symbols),
        problems=row.texts("problems"),
        tool_version=row.text("tool_version"),
        settings=row.settings("settings"),
        started=row.time("started"),
        finished=row.time("finished"),
        processes=processes,
    )


_DUMP_COLUMNS = tuple(field.name for field in fields(DumpRecord) if field.name != "processes")


def dump_row(record: DumpRecord) -> Columns:
    """Return a row of `dumps`."""
    row = {name: stored(getattr(record, name)) for name in _DUMP_COLUMNS}
    if record.status is Status.NO_SYMBOLS:  # the table's own rule, older than this status, knows the others only
        row["status"] = Status.OK.value
    return row


def missing_symbols_of(row: Row) -> MissingSymbols:
    """Return a missing symbol table from its row in `missing_symbols`."""
    return MissingSymbols(**read_fields(row, MissingSymbols, _SYMBOLS_COLUMNS))


_SYMBOLS_COLUMNS = tuple(field.name for field in fields(MissingSymbols))
_APART = frozenset({"environment"})


def process_row(process: Process) -> Columns:
    """Return a process's row in `processes`, without the columns that say which dump it is of."""
    kept = fields_of(Process, "processes", _APART)
    row: Columns = {name: stored(getattr(process, name)) for name in kept.columns}
    return {**row, "details": details_of(process, kept.details)}


def process_of(row: Row, environment: tuple[str, ...]) -> Process:
    """Return a process from its row in `processes`."""
    kept = fields_of(Process, "processes", _APART)
    return Process(
        environment=environment,
        **read_fields(row, Process, kept.columns),
        **read_details(row, Process, kept.details),
    )


# --- Places ----------------------------------------------------------------------------------------------------------


def location_row(location: Location) -> Columns:
    """Return a place's row in `locations`, without the columns that say which finding, dump and process it is of."""
    process, region = location.process, location.region
    return {
        "virtual_address": stored_address(location.virtual_address),
        "physical_address": stored_address(location.physical_address),
        "file_offset": location.file_offset,
        "length": stored(location.length),
        "missing": stored(location.missing),
        "encoding": location.encoding,
        "sha256": location.sha256,
        "extents": stored(location.extents),
        "region_start": None if region is None else stored_address(region[0]),
        "region_size": None if region is None else stored(region[1]),
        "module": location.module,
        "pid": None if process is None else stored(process.pid),
        "process_name": None if process is None else process.name,
        "key_object": None if location.key_object is None else stored(asdict(location.key_object)),
        "details": details_of(location, _other_fields_of_location()),
    }


def location_of(row: Row, file: str, process: Process | None) -> Location:
    """Return a place from its row in `locations`.

    Args:
        row: The row.
        file: The path of the dump.
        process: The process that the row refers to; None if it refers to none.
    """
    if process is None:
        pid, name = row.optional(row.number, "pid"), row.optional(row.text, "process_name")
        process = None if pid is None and name is None else Process(pid=pid, name=name)
    region_start = row.optional(row.address, "region_start")
    return Location(
        file=file,
        virtual_address=row.optional(row.address, "virtual_address"),
        physical_address=row.optional(row.address, "physical_address"),
        length=row.number("length"),
        missing=row.number("missing"),
        encoding=row.text("encoding"),
        sha256=row.digest("sha256"),
        extents=row.extents("extents"),
        region=None if region_start is None else (region_start, row.number("region_size")),
        module=row.optional(row.text, "module"),
        process=process,
        key_object=row.optional(lambda column: _key_object_of(row.nested(column)), "key_object"),
        **read_details(row, Location, _other_fields_of_location()),
    )


def _other_fields_of_location() -> tuple[str, ...]:
    """Return the fields of a place that `details` holds."""
    return fields_of(Location, "locations", frozenset({"file", "region", "process"})).details


_KEY_OBJECT_FIELDS = tuple(field.name for field in fields(KeyObject))


def _key_object_of(row: Row) -> KeyObject:
    return KeyObject(**read_fields(row, KeyObject, _KEY_OBJECT_FIELDS))


# --- Findings --------------------------------------------------------------------------------------------------------


def finding_row(finding: Finding) -> Columns:
    """Return a finding's row in the table of its kind, without the number of the finding."""
    kind = KINDS[finding.kind]
    row: Columns = {name: stored(getattr(finding, name)) for name in kind.own.columns}
    row["details"] = details_of(finding, kind.own.details)
    return {"kind": finding.kind, **row} if kind.table == "keys" else row


def sighting_row(finding: Finding) -> Columns:
    """Return a finding's row in `sightings`, without the columns that say which finding and dump it is of."""
    return {
        "location_count": finding.place_count,
        "sha256": finding.sha256,
        "size": finding.size,
        "proof": stored(getattr(finding, "proof", ())),
        "details": details_of(finding, KINDS[finding.kind].of_copies - {"proof"}),
    }


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finding in one dump.

    Attributes:
        dump_id: The number of the dump.
        path: The path of the dump.
        sha256: As in the finding.
        size: As in the finding.
        location_count: As in the finding.
        of_copies: What the copies in this dump add to the lists, by field.
    """

    dump_id: int
    path: str
    sha256: str
    size: int
    location_count: int
    of_copies: Mapping[str, tuple[str, ...]]

    @property
    def kept(self) -> int:
        """How many places of it the case has."""
        return min(self.location_count, MOST_LOCATIONS)


def sighting_of(row: Row, kind: Kind) -> Sighting:
    """Return a sighting from its row in `sightings`, joined with the path of the dump."""
    proof = {"proof": row.texts("proof")} if "proof" in kind.of_copies else {}
    return Sighting(
        dump_id=row.integer("dump_id"),
        path=row.text("path"),
        sha256=row.digest("sha256"),
        size=row.number("size"),
        location_count=row.number("location_count"),
        of_copies={**proof, **read_details(row, kind.finding, kind.of_copies)},
    )


def finding_of(
    row: Row, kind: Kind, seen: Sequence[Sighting], places: tuple[Location, ...], secret: bytes = b""
) -> Finding:
    """Return a finding from its row in the table of its kind.

    Args:
        row: The row.
        kind: The finding's kind.
        seen: The finding in each dump, sorted by path; at least one.
        places: Its places.
        secret: Its key material; empty if it is not stored.
    """
    given = {**read_fields(row, kind.finding, kind.own.columns), **read_details(row, kind.finding, kind.own.details)}
    for name in kind.of_copies:
        lists = [sighting.of_copies.get(name, ()) for sighting in seen]
        given[name] = tuple(dict.fromkeys(chain.from_iterable(lists)))
    if kind.secret:
        given[kind.secret] = secret
    return kind.finding(
        sha256=seen[0].sha256,
        size=seen[0].size,
        location_count=sum(sighting.location_count for sighting in seen),
        locations=places,
        **given,
    )


def secret_of(finding: Finding) -> bytes:
    """Return a finding's key material (of an encrypted container: its bytes); empty if it has none."""
    name = KINDS[finding.kind].secret
    material: bytes = getattr(finding, name) if name else b""
    return material
