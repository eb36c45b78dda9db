"""Reads a case file: its dumps, what was found in them, and which keys are exposed most."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dumpscan.artifacts.x509.well_known import is_well_known
from dumpscan.case.moments import At
from dumpscan.case.records import CaseSummary, DumpRecord, ExposedKey, Exposure
from dumpscan.case.store.database import ask, open_for_reading, stored_text
from dumpscan.case.store.loading import Chosen, Loader
from dumpscan.case.store.rows import KINDS, dump_of, status_of
from dumpscan.case.store.schema import check_structure
from dumpscan.case.store.values import stored
from dumpscan.findings import Certificate, PrivateKey, Status, Validity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from dumpscan.case.store.values import Row
    from dumpscan.findings import Finding

_VERSION_WITH_SYMBOLS = 2
_VERSION_WITH_CAPTURED = 3
_NEVER = datetime.min.replace(tzinfo=UTC)
_CHOSEN = (
    "SELECT findings.id, count(*) AS sightings, min(dumps.path) AS path, sightings.position AS position FROM findings "
    "JOIN sightings ON finding_id = findings.id JOIN dumps ON dumps.id = dump_id "
    "WHERE {} GROUP BY findings.id ORDER BY {}"
)
_BY_PLACE = "path, position"
_BY_THUMBPRINT = "(SELECT thumbprint FROM certificates WHERE finding_id = findings.id)"


class Case:
    """A case file as it was when it was opened; what is added later is not seen.

    Attributes:
        path: The file.
        schema_version: The version of its tables.
        created: When the case was created, UTC.
        has_captured: Whether it says when dumps were made; older ones do not.

    Raises:
        CaseError: It is not a case file, or it is damaged. All methods raise it if they find damage.
    """

    def __init__(self, path: Path | str, *, secrets: bool = False) -> None:
        self.path = Path(path)
        self._connection = open_for_reading(self.path)
        self._loader = Loader(self._connection, self.path, secrets=secrets)
        try:
            self._connection.execute("BEGIN")
            check_structure(self._connection, self.path)
            (version,) = self._ask("user_version", "PRAGMA user_version")
            self.schema_version = version.integer("user_version")
            self.has_captured = self.schema_version >= _VERSION_WITH_CAPTURED
            kinds = ", ".join("?" * len(KINDS))
            for row in self._ask("findings", f"SELECT kind FROM findings WHERE kind NOT IN ({kinds}) LIMIT 1", *KINDS):  # noqa: S608
                row.refuse("kind", f"one of {', '.join(KINDS)}")
            begun = self._ask("case_info", "SELECT value FROM case_info WHERE name = 'created'")
            self.created = begun[0].time("value") if begun else _NEVER
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def open(cls, path: Path | str, *, secrets: bool = False) -> Self:
        """Open a case file.

        Args:
            path: The file.
            secrets: Whether findings include their key material, if the case has it.

        Raises:
            CaseError: As for the class.
        """
        return cls(path, secrets=secrets)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, table: str, question: str, *values: object) -> list[Row]:
        return list(ask(self._connection, self.path, table, question, *values))

    def columns(self) -> dict[str, list[tuple[str, str]]]:
        """Return the columns of each table and view, by its name: names, and the types that they are declared with."""
        question = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        names = [row.text("name") for row in self._ask("sqlite_master", f"{question} ORDER BY type, name")]
        found = {}
        for name in names:
            quoted = name.replace('"', '""')
            rows = self._ask(name, f'PRAGMA table_xinfo("{quoted}")')
            found[name] = [(row.text("name"), row.text("type")) for row in rows]
        return found

    # --- Dumps -------------------------------------------------------------------------------------------------------

    def dumps(self, *, processes: bool = True) -> list[DumpRecord]:
        """Return all input files, sorted by path.

        Args:
            processes: Whether to read their processes.
        """
        return [self._dump(row, processes=processes) for row in self._ask("dumps", "SELECT * FROM dumps ORDER BY path")]

    def dump(self, path: str) -> DumpRecord | None:
        """Return the input file with this path; None if it is not in the case."""
        found = self._ask("dumps", "SELECT * FROM dumps WHERE path = CAST(? AS TEXT)", stored_text(path))
        return self._dump(found[0]) if found else None

    def _dump(self, row: Row, *, processes: bool = True) -> DumpRecord:
        number = row.integer("id")
        listed = tuple(self._loader.processes(number).values()) if processes else ()
        return dump_of(row, listed, lacks_symbols=number in self._without_symbols)

    @cached_property
    def _without_symbols(self) -> frozenset[int]:
        """The numbers of the dumps whose kernels' symbol tables were missing; older cases do not say."""
        if self.schema_version < _VERSION_WITH_SYMBOLS:
            return frozenset()
        rows = self._ask("missing_symbols", "SELECT DISTINCT dump_id FROM missing_symbols")
        return frozenset(row.integer("dump_id") for row in rows)

    # --- Findings ----------------------------------------------------------------------------------------------------

    def findings(self, kind: str | None = None, *, dump: str | None = None) -> Iterator[Finding]:
        """Yield the findings of the case: each object once, with its places in all dumps.

        Keys and certificates name each other over the whole case. The order is that of the kinds in
        `dumpscan.case.store.rows.KINDS`, and of the first places within a kind; it does not depend on the order in
        which dumps were read.

        Args:
            kind: Only this kind.
            dump: Only findings that lie in the dump with this path; they have their places in other dumps too.
        """
        condition = "findings.kind = ?"
        values: tuple[object, ...] = ()
        if dump is not None:
            condition += (
                " AND findings.id IN (SELECT finding_id FROM sightings WHERE dump_id = "
                "(SELECT id FROM dumps WHERE path = CAST(? AS TEXT)))"
            )
            values = (stored_text(dump),)
        for each in KINDS if kind is None else (kind,):
            yield from self._loader.paired(each, self._chosen(condition, _BY_PLACE, each, *values))

    def keyed(self, prefix: str) -> list[Finding]:
        """Return the keys and certificates whose key id begins with a prefix."""
        found: list[Finding] = []
        for kind in sorted(KINDS, reverse=True):
            if "key_id" in KINDS[kind].own.columns:
                ids = f"SELECT finding_id FROM {KINDS[kind].table} WHERE key_id >= ? AND key_id < ?"  # noqa: S608 - ours
                condition = f"findings.kind = ? AND findings.id IN ({ids})"
                chosen = self._chosen(condition, "findings.id", kind, *_between(prefix.lower()))
                found += self._loader.paired(kind, chosen)
        return found

    def certificates(self, prefix: str) -> list[Finding]:
        """Return the certificates whose thumbprint or SHA-256 begins with a prefix, and then their keys."""
        condition = (
            "findings.kind = ? AND (identity >= ? AND identity < ? OR findings.id IN "
            "(SELECT finding_id FROM certificates WHERE thumbprint >= ? AND thumbprint < ?))"
        )
        values = (Certificate.kind, *_between(prefix.lower()), *_between(prefix.upper()))
        named = list(self._loader.paired(Certificate.kind, self._chosen(condition, _BY_THUMBPRINT, *values)))
        ids = dict.fromkeys(found.key_id for found in named if isinstance(found, Certificate) and found.key_id)
        return named + [finding for key_id in ids for finding in self.keyed(key_id) if finding.kind != Certificate.kind]

    def identities(self, dumps: Iterable[str]) -> set[tuple[str, str]]:
        """Return the identities (`Finding.identity`) of the findings in some dumps."""
        wanted = set(dumps)
        rows = self._ask("dumps", "SELECT id, path FROM dumps")
        ids = {row.integer("id") for row in rows if row.text("path") in wanted}
        question = "SELECT dump_id, kind, identity FROM sightings JOIN findings ON findings.id = finding_id"
        return {
            (row.text("kind"), row.text("identity"))
            for row in ask(self._connection, self.path, "findings", question)
            if row.integer("dump_id") in ids
        }

    def holders(self, identities: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        """Return the dumps, sorted by path, in which each of some findings lies, by its identity."""
        held: dict[tuple[str, str], list[str]] = {identity: [] for identity in identities}
        for row in ask(self._connection, self.path, "findings", _HOLDERS):
            dumps = held.get((row.text("kind"), row.text("identity")))
            if dumps is not None:
                dumps.append(row.text("path"))
        return held

    def _chosen(self, condition: str, order: str, *values: object) -> Iterator[Chosen]:
        question = _CHOSEN.format(condition, order)
        for row in ask(self._connection, self.path, "findings", question, *values):
            yield Chosen(row.integer("id"), row.number("sightings"))

    # --- What is worst -----------------------------------------------------------------------------------------------

    def first_places(self, kind: str) -> Iterator[tuple[Finding, int]]:
        """Yield the findings of one kind in the order of `findings`, but in short, and how many dumps each lies in.

        Each has its first place only, of that place's process the id and the name, and names no keys or certificates.
        """
        chosen = list(self._chosen("findings.kind = ?", _BY_PLACE, kind))
        found = self._loader.first_places(kind, chosen)
        return ((finding, each.sightings) for each, finding in zip(chosen, found, strict=True))

    def captured(self, kind: str) -> dict[tuple[str, str], tuple[datetime | None, ...]]:
        """Return when the dumps were made that each finding of a kind lies in, by its identity."""
        if not self.has_captured:
            return {}
        times: defaultdict[tuple[str, str], list[datetime | None]] = defaultdict(list)
        for row in ask(self._connection, self.path, "dumps", _CAPTURED, kind):
            times[kind, row.text("identity")].append(row.optional(row.time, "captured"))
        return {identity: tuple(each) for identity, each in times.items()}

    def exposed_keys(self, at: At | datetime | None = None) -> list[ExposedKey]:
        """Return the private keys, the worst first, in the order of `Exposure`.

        Among equals those come first that lie in more dumps, then as `findings` has them.

        Args:
            at: By which moments certificates are judged; by default, now and when the dumps were made.
        """
        judged = At.of(at)
        captured = self.captured(PrivateKey.kind)
        chosen = list(self._chosen("findings.kind = ?", _BY_PLACE, PrivateKey.kind))
        exposed = []
        for each, (key, certificates) in zip(chosen, self._loader.keys(chosen), strict=True):
            own = sorted(certificates, key=lambda found: found.not_after or _NEVER, reverse=True)
            times = captured.get(key.identity, ())
            exposed.append(
                ExposedKey(
                    key=key,
                    certificates=tuple(own),
                    exposure=_exposure(key, own, judged, times),
                    captured=tuple(sorted(time for time in times if time is not None)),
                    dump_count=each.sightings,
                )
            )
        return sorted(exposed, key=lambda each: (each.severity, -each.dump_count))

    def summary(self, at: At | datetime | None = None) -> CaseSummary:
        """Return the case in numbers.

        Args:
            at: By which moments certificates are judged; by default, now and when the dumps were made.
        """
        judged = At.of(at)
        moment = stored(judged.now.replace(microsecond=0))
        moments = (moment if judged.present or not judged.capture else None, judged.capture, moment)
        rows = self._ask("dumps", "SELECT id, status FROM dumps")
        statuses = Counter(status_of(row, lacks_symbols=row.integer("id") in self._without_symbols) for row in rows)
        kinds = Counter(dict.fromkeys(KINDS, 0))
        kinds.update(self._counts("findings", _KINDS, "kind"))
        captured = "captured" if self.has_captured else "NULL"
        (validity,) = self._ask("certificates", _VALIDITY.format(captured=captured), *moments)
        (keys,) = self._ask("keys", _EXPOSURES.format(captured=captured), *moments)
        (span,) = self._ask("dumps", "SELECT min(started) AS first, max(finished) AS last FROM dumps")
        (sizes,) = self._ask("dumps", _SIZES)
        (processes,) = self._ask("processes", "SELECT count(*) AS count FROM processes")
        return CaseSummary(
            dumps={status: statuses[status] for status in Status if status in statuses},
            formats=self._counts("dumps", _FORMATS, "format"),
            bytes=sizes.optional(sizes.number, "sum") or 0,
            processes=processes.number("count"),
            findings=dict(kinds),
            keys={each: keys.optional(keys.number, each.value) or 0 for each in Exposure},
            expired_certificates=validity.optional(validity.number, "expired") or 0,
            live_certificates=validity.optional(validity.number, "live") or 0,
            well_known_cas=self._well_known_cas(),
            first=span.optional(span.time, "first"),
            last=span.optional(span.time, "last"),
            tool_versions=tuple(self._counts("dumps", _VERSIONS, "tool_version")),
        )

    def _well_known_cas(self) -> int:
        question = "SELECT key_id, count(*) AS count FROM certificates WHERE key_id IS NOT NULL GROUP BY key_id"
        rows = ask(self._connection, self.path, "certificates", question)
        return sum(row.number("count") for row in rows if is_well_known(row.text("key_id")))

    def _counts(self, table: str, question: str, column: str) -> Mapping[str, int]:
        return {row.text(column): row.number("count") for row in self._ask(table, question)}


_KINDS = "SELECT kind, count(*) AS count FROM findings GROUP BY kind"
_FORMATS = "SELECT format, count(*) AS count FROM dumps WHERE status IN ('ok', 'damaged') GROUP BY format ORDER BY 1"
_VERSIONS = "SELECT tool_version, count(*) AS count FROM dumps GROUP BY tool_version ORDER BY 1"
_CAPTURED = """
SELECT DISTINCT identity, captured FROM findings JOIN sightings ON finding_id = findings.id
JOIN dumps ON dumps.id = dump_id WHERE kind = ?
"""
_HOLDERS = """
SELECT kind, identity, path FROM dumps JOIN sightings ON dump_id = dumps.id
JOIN findings ON findings.id = finding_id ORDER BY path
"""
_JUDGED = """
WITH judged AS (
    SELECT finding_id AS id, ?1 AS moment FROM sightings WHERE ?1 IS NOT NULL
    UNION SELECT finding_id, ifnull({captured}, ?3) FROM sightings JOIN dumps ON dumps.id = dump_id WHERE ?2
)"""
"""The moments that count for each finding: ?1, unless it is NULL; if ?2, when its dumps were made, ?3 where unknown."""
_SIZES = """
    SELECT sum(size) AS sum FROM (
        SELECT DISTINCT size, CASE instr(path, '!') WHEN 0 THEN path ELSE substr(path, 1, instr(path, '!')) END
        FROM dumps WHERE status IN ('ok', 'damaged')
    )
"""
"""Bytes of the files that were read; an archive counts once, though each dump in it has its size."""
_VALIDITY = f"""{_JUDGED}
SELECT sum(expired) AS expired, sum(live) AS live FROM (
    SELECT min(not_after < moment) AS expired, max(not_before <= moment AND not_after >= moment) AS live
    FROM certificates JOIN judged ON judged.id = finding_id GROUP BY finding_id
)
"""  # noqa: S608 - ours
_EXPOSURES = f"""{_JUDGED}, paired AS (
    SELECT keys.finding_id AS id, max(ifnull(not_before <= moment AND not_after >= moment, 0)) AS live
    FROM keys JOIN judged ON judged.id = keys.finding_id JOIN certificates USING (key_id)
    WHERE keys.kind = 'private_key' GROUP BY keys.finding_id
)
SELECT sum(ifnull(live, 0)) AS live, sum(live = 0) AS paired,
    sum(live IS NULL AND proven) AS alone, sum(live IS NULL AND NOT proven) AS unproven
FROM (
    SELECT finding_id AS id, EXISTS (SELECT 1 FROM sightings WHERE finding_id = keys.finding_id AND proof <> '[]')
        OR EXISTS (SELECT 1 FROM keys AS other WHERE other.kind = 'public_key' AND other.key_id = keys.key_id) AS proven
    FROM keys WHERE kind = 'private_key'
) LEFT JOIN paired USING (id)
"""  # noqa: S608 - ours


def _between(prefix: str) -> tuple[str, str]:
    """Return the bounds of the hex strings that begin with a prefix: from the first, up to the second."""
    return prefix, f"{prefix}~"


def _exposure(
    key: PrivateKey, certificates: list[Certificate], at: At, captured: Iterable[datetime | None]
) -> Exposure:
    """Return how severe it is that a key with these certificates lay in dumps made at some times."""
    captured = tuple(captured)
    if any(at.validity(each.not_before, each.not_after, captured) is Validity.VALID for each in certificates):
        return Exposure.LIVE
    if certificates:
        return Exposure.PAIRED
    return Exposure.ALONE if key.proof else Exposure.UNPROVEN
