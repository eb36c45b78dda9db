"""Reads findings from a case file, many with one question.

A case may hold a million findings, and one finding may lie in every dump. So the number of places limits how many
findings are read at once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from dumpscan.case.records import CaseError
from dumpscan.case.store.database import ask
from dumpscan.case.store.rows import KINDS, Sighting, finding_of, location_of, process_of, sighting_of
from dumpscan.findings import Certificate, PrivateKey, PublicKey
from dumpscan.search.merge import MOST_LOCATIONS
from dumpscan.search.pairs import with_pairs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dumpscan.case.store.values import Row
    from dumpscan.findings import Finding, Location, Process

T = TypeVar("T")

_MAX_AT_ONCE = 500
"""Parameters of one question. SQLite allows 32766."""
_MAX_SIGHTINGS_AT_ONCE = 4000
_MAX_LOCATIONS_AT_ONCE = 2 * MOST_LOCATIONS


@dataclass(frozen=True, slots=True)
class Chosen:
    """A finding to read.

    Attributes:
        number: Its number in the case.
        sightings: How many dumps it lies in.
    """

    number: int
    sightings: int


class Loader:
    """Reads findings of one case.

    Args:
        connection: The case.
        path: Its file, for messages.
        secrets: Whether findings include their key material, if the case has it.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, secrets: bool) -> None:
        self._connection = connection
        self._path = path
        self._secrets = secrets
        self._known_processes: dict[int, dict[int, Process]] = {}

    def _ask(self, table: str, question: str, *values: object) -> Iterator[Row]:
        return ask(self._connection, self._path, table, question, *values)

    def _ask_for(self, table: str, question: str, values: Iterable[object]) -> Iterator[Row]:
        """Yield the rows for many values. In the question, `?*` stands for them."""
        for part in _parts(list(values)):
            yield from self._ask(table, question.replace("?*", ", ".join("?" * len(part))), *part)

    # --- Processes ---------------------------------------------------------------------------------------------------

    def processes(self, dump_id: int) -> Mapping[int, Process]:
        """Return the processes of a dump by number, in the order of the dump."""
        if dump_id not in self._known_processes:
            environments: defaultdict[int, list[str]] = defaultdict(list)
            for row in self._ask(
                "environment",
                "SELECT process_id, entry FROM environment JOIN processes ON processes.id = process_id "
                "WHERE dump_id = ? ORDER BY process_id, environment.position",
                dump_id,
            ):
                environments[row.integer("process_id")].append(row.text("entry"))
            self._known_processes[dump_id] = {
                row.integer("id"): process_of(row, tuple(environments[row.integer("id")]))
                for row in self._ask(
                    "processes", "SELECT * FROM processes WHERE dump_id = ? ORDER BY position", dump_id
                )
            }
        return self._known_processes[dump_id]

    # --- Findings ----------------------------------------------------------------------------------------------------

    def paired(self, kind: str, chosen: Iterable[Chosen]) -> Iterator[Finding]:
        """Yield findings of one kind in the given order. Keys and certificates name each other over the whole case."""
        for found in self._read(kind, chosen):
            if kind == Certificate.kind:
                yield from self._with_keys(found)
            elif "certificates" in KINDS[kind].derived:
                certificates = self.certificates(key.identity[1] for key in found)
                public = self._public_keys(found)
                for key in found:
                    name = key.identity[1]
                    yield with_pairs([key, *certificates.get(name, ()), *public.get(name, ())])[0]
            else:
                yield from found

    def keys(self, chosen: Iterable[Chosen]) -> Iterator[tuple[PrivateKey, list[Certificate]]]:
        """Yield private keys in the given order, each with its certificates. All have their first place only."""
        for found in self._read(PrivateKey.kind, chosen, max_places=1):
            certificates = self.certificates((key.identity[1] for key in found), max_places=1)
            public = self._public_keys(found)
            for key in found:
                name = key.identity[1]
                paired = with_pairs([key, *certificates.get(name, ()), *public.get(name, ())])[0]
                if isinstance(paired, PrivateKey):
                    yield replace(paired, certificates=()), certificates.get(name, [])

    def first_places(self, kind: str, chosen: Iterable[Chosen]) -> Iterator[Finding]:
        """Yield findings of one kind in the given order, each with its first place only and without its partners."""
        for found in self._read(kind, chosen, max_places=1):
            yield from found

    def certificates(self, key_ids: Iterable[str], *, max_places: int = MOST_LOCATIONS) -> dict[str, list[Certificate]]:
        """Return the certificates for some public keys, by key id; those of one key are sorted by thumbprint."""
        question = (
            "SELECT certificates.finding_id, count(*) AS sightings FROM certificates "
            "JOIN sightings ON sightings.finding_id = certificates.finding_id WHERE key_id IN (?*) "
            "GROUP BY certificates.finding_id ORDER BY thumbprint"
        )
        rows = self._ask_for("certificates", question, sorted(set(key_ids)))
        chosen = (Chosen(row.integer("finding_id"), row.number("sightings")) for row in rows)
        certificates: defaultdict[str, list[Certificate]] = defaultdict(list)
        for found in self._read(Certificate.kind, chosen, max_places=max_places):
            for certificate in self._with_keys(found):
                if isinstance(certificate, Certificate) and certificate.key_id is not None:
                    certificates[certificate.key_id].append(certificate)
        return certificates

    def _public_keys(self, keys: Sequence[Finding]) -> dict[str, list[Finding]]:
        """Return the public keys that prove private keys whose own bytes prove nothing, by key id."""
        unproven = [key.key_id for key in keys if isinstance(key, PrivateKey) and not key.proof]
        question = (
            "SELECT keys.finding_id, count(*) AS sightings FROM keys JOIN sightings ON sightings.finding_id = "
            "keys.finding_id WHERE keys.kind = 'public_key' AND key_id IN (?*) GROUP BY keys.finding_id"
        )
        rows = self._ask_for("keys", question, unproven)
        chosen = [Chosen(row.integer("finding_id"), row.number("sightings")) for row in rows]
        public: defaultdict[str, list[Finding]] = defaultdict(list)
        for found in self.first_places(PublicKey.kind, chosen):
            public[found.identity[1]].append(found)
        return public

    def _with_keys(self, certificates: Sequence[Finding]) -> Iterator[Finding]:
        ids = {found.key_id for found in certificates if isinstance(found, Certificate) and found.key_id is not None}
        question = "SELECT key_id FROM keys WHERE kind = 'private_key' AND key_id IN (?*)"
        there = {row.digest("key_id") for row in self._ask_for("keys", question, sorted(ids))}
        for found in certificates:
            if isinstance(found, Certificate) and found.key_id in there:
                yield replace(found, private_keys=(found.key_id,))
            else:
                yield found

    def _read(
        self, kind: str, chosen: Iterable[Chosen], *, max_places: int = MOST_LOCATIONS
    ) -> Iterator[list[Finding]]:
        """Yield findings of one kind in the given order, as many at a time as the limits allow."""
        for batch in _batches(chosen):
            seen = self._sightings(kind, batch)
            for numbers in _groups(batch, seen, max_places):
                yield self._findings(kind, numbers, seen, max_places)

    def _findings(
        self, kind: str, numbers: list[int], seen: Mapping[int, list[Sighting]], max_places: int
    ) -> list[Finding]:
        table = KINDS[kind].table
        question = (
            f"SELECT {table}.*, findings.kind AS finding_kind, identity FROM {table} "  # noqa: S608 - one of our tables
            "JOIN findings ON findings.id = finding_id WHERE finding_id IN (?*)"
        )
        rows = {row.integer("finding_id"): row for row in self._ask_for(table, question, numbers)}
        secrets: dict[int, bytes] = {}
        if self._secrets:
            question = "SELECT finding_id, material FROM secrets WHERE finding_id IN (?*)"
            for row in self._ask_for("secrets", question, numbers):
                secrets[row.integer("finding_id")] = row.blob("material")
        places = self._locations(numbers, seen, max_places)
        made = []
        for number in numbers:
            if number not in rows:
                raise CaseError(f"{self._path}: findings: the case file is damaged: {kind} {number} is not in {table}")
            made.append(_finding(rows[number], kind, seen[number], places[number], secrets.get(number, b"")))
        return made

    def _sightings(self, kind: str, batch: list[Chosen]) -> Mapping[int, list[Sighting]]:
        seen: defaultdict[int, list[Sighting]] = defaultdict(list)
        question = (
            "SELECT sightings.*, path FROM sightings JOIN dumps ON dumps.id = dump_id WHERE finding_id IN (?*) "
            "ORDER BY finding_id, path"
        )
        for row in self._ask_for("sightings", question, [each.number for each in batch]):
            seen[row.integer("finding_id")].append(sighting_of(row, KINDS[kind]))
        return seen

    def _locations(
        self, numbers: list[int], seen: Mapping[int, list[Sighting]], max_places: int
    ) -> Mapping[int, list[Location]]:
        """Return the first places of each finding, by the path of the dump and the position in it, up to a limit."""
        wanted = {
            (number, sighting.dump_id): sighting for number in numbers for sighting in _first(seen[number], max_places)
        }
        found: defaultdict[tuple[int, int], list[tuple[int, Row]]] = defaultdict(list)
        for part in _parts(list(wanted)):
            question = (
                f"WITH wanted (finding_id, dump_id) AS (VALUES {', '.join(['(?, ?)'] * len(part))}) "  # noqa: S608
                "SELECT locations.* FROM wanted CROSS JOIN locations USING (finding_id, dump_id) WHERE position < ?"
            )
            for row in self._ask("locations", question, *chain.from_iterable(part), max_places):
                pair = row.integer("finding_id"), row.integer("dump_id")
                found[pair].append((row.integer("position"), row))
        places: defaultdict[int, list[Location]] = defaultdict(list)
        for (number, dump_id), sighting in wanted.items():
            rows = sorted(found[number, dump_id], key=itemgetter(0))
            for _, row in rows[: max_places - len(places[number])]:
                places[number].append(self._location(row, sighting, whole=max_places > 1))
        return places

    def _location(self, row: Row, sighting: Sighting, *, whole: bool) -> Location:
        """Return a place. Unless `whole`, its process has only its id and name."""
        process = None
        if whole and (number := row.optional(row.integer, "process_id")) is not None:
            process = self.processes(sighting.dump_id).get(number)
            if process is None:
                row.refuse("process_id", "a process of the same dump")
        return location_of(row, sighting.path, process)


def _finding(row: Row, kind: str, seen: list[Sighting], places: list[Location], secret: bytes) -> Finding:
    if not places:
        row.refuse("finding_id", "a finding with places")
    found = finding_of(row, KINDS[kind], seen, tuple(places), secret)
    if found.identity != (row.text("finding_kind"), row.text("identity")):
        row.refuse("identity", "what names the finding")
    return found


def _batches(chosen: Iterable[Chosen]) -> Iterator[list[Chosen]]:
    """Split findings into batches, none of which has too many sightings."""
    batch: list[Chosen] = []
    sightings = 0
    for each in chosen:
        if batch and (len(batch) == _MAX_AT_ONCE or sightings + each.sightings > _MAX_SIGHTINGS_AT_ONCE):
            yield batch
            batch, sightings = [], 0
        batch.append(each)
        sightings += each.sightings
    if batch:
        yield batch


def _groups(batch: list[Chosen], seen: Mapping[int, list[Sighting]], max_places: int) -> Iterator[list[int]]:
    """Split a batch into groups, none of which has too many places."""
    group: list[int] = []
    places = 0
    for each in batch:
        own = sum(min(sighting.kept, max_places) for sighting in _first(seen[each.number], max_places))
        if group and places + own > _MAX_LOCATIONS_AT_ONCE:
            yield group
            group, places = [], 0
        group.append(each.number)
        places += own
    if group:
        yield group


def _first(seen: list[Sighting], max_places: int) -> Iterator[Sighting]:
    """Yield sightings until they have enough places."""
    places = 0
    for sighting in seen:
        if places >= max_places:
            return
        yield sighting
        places += sighting.kept


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(values), _MAX_AT_ONCE):
        yield values[at : at + _MAX_AT_ONCE]
