"""A case file, read: its dumps, what was found over all of them, and what is worst."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dumpscan.case.records import CaseError, CaseSummary, DumpRecord, ExposedKey, Exposure
from dumpscan.case.store import rows as rows_of
from dumpscan.case.store.database import open_for_reading, rows, stored_text
from dumpscan.findings import Certificate, PrivateKey, Status, Validity
from dumpscan.search.merge import MOST_LOCATIONS
from dumpscan.search.pairs import with_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from dumpscan.case.store.rows import Row
    from dumpscan.findings import Finding, Location, Process

_ORDER = {finding.kind: number for number, finding in enumerate(rows_of.KINDS)}
_NEVER = datetime.min.replace(tzinfo=UTC)


class Case:
    """A case file at one moment: what a run adds meanwhile is not seen.

    Attributes:
        path: The file.
        schema_version: Of its tables.
        created: When the case was begun, UTC.

    Raises:
        CaseError: It is no case file, or damaged.
    """

    def __init__(self, path: Path | str, *, secrets: bool = False) -> None:
        self.path = Path(path)
        self._connection = open_for_reading(self.path)
        self._secrets = secrets
        self._known_processes: dict[int, dict[int, Process]] = {}
        try:
            self._connection.execute("BEGIN")
            self.schema_version = int(self._ask("PRAGMA user_version")[0]["user_version"])
            begun = self._ask("SELECT value FROM case_info WHERE name = 'created'")
            self.created = (rows_of.time_of(begun[0]["value"]) if begun else None) or _NEVER
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def open(cls, path: Path | str, *, secrets: bool = False) -> Self:
        """Open a case file.

        Args:
            path: The file.
            secrets: Whether findings bear their key material, where it is stored.

        Raises:
            CaseError: As for the class.
        """
        return cls(path, secrets=secrets)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: str, *values: object) -> list[Row]:
        try:
            return rows(self._connection.execute(question, values))
        except sqlite3.Error as error:
            raise CaseError(f"{self.path}: the case file is damaged: {error}") from error

    # --- Dumps -------------------------------------------------------------------------------------------------------

    def dumps(self, *, processes: bool = True) -> list[DumpRecord]:
        """Return all files that were looked at, by path.

        Args:
            processes: Whether their processes are wanted.
        """
        return [self._dump(row, processes=processes) for row in self._ask("SELECT * FROM dumps ORDER BY path")]

    def dump(self, path: str) -> DumpRecord | None:
        """Return what is known of one file; None if it is not in the case."""
        found = self._ask("SELECT * FROM dumps WHERE path = CAST(? AS TEXT)", stored_text(path))
        return self._dump(found[0]) if found else None

    def _dump(self, row: Row, *, processes: bool = True) -> DumpRecord:
        started, finished = rows_of.time_of(row["started"]), rows_of.time_of(row["finished"])
        return DumpRecord(
            path=row["path"],
            size=row["size"],
            modified=rows_of.time_of(row["modified"]),
            sha256=row["sha256"],
            format=row["format"],
            status=Status(row["status"]),
            problems=tuple(json.loads(row["problems"])),
            tool_version=row["tool_version"],
            settings=json.loads(row["settings"]),
            started=started or _NEVER,
            finished=finished or _NEVER,
            processes=tuple(self._processes(row["id"]).values()) if processes else (),
        )

    def _processes(self, dump_id: int) -> dict[int, Process]:
        """Return the processes of a dump by their numbers, in their order."""
        if dump_id not in self._known_processes:
            environments: dict[int, list[str]] = {}
            for row in self._ask(
                "SELECT process_id, entry FROM environment JOIN processes ON processes.id = process_id "
                "WHERE dump_id = ? ORDER BY process_id, environment.position",
                dump_id,
            ):
                environments.setdefault(row["process_id"], []).append(row["entry"])
            self._known_processes[dump_id] = {
                row["id"]: rows_of.process_of(row, tuple(environments.get(row["id"], ())))
                for row in self._ask("SELECT * FROM processes WHERE dump_id = ? ORDER BY position", dump_id)
            }
        return self._known_processes[dump_id]

    # --- Findings ----------------------------------------------------------------------------------------------------

    def findings(self, kind: str | None = None, *, dump: str | None = None) -> Iterator[Finding]:
        """Hand out what was found, each object once, with all its places (the first of very many) over all dumps.

        Keys and certificates name each other over the whole case. Key material is there only if the case was opened
        with `secrets` and holds it. The order is that of the kinds in `dumpscan.case.store.rows.KINDS`, and by first place
        in each; it does not depend on the order in which dumps were read.

        Args:
            kind: Only this kind.
            dump: Only what lies in the dump of this path, with all its places.
        """
        chosen = (
            "SELECT findings.id, findings.kind, min(dumps.path) AS path, sightings.position FROM findings "
            "JOIN sightings ON finding_id = findings.id JOIN dumps ON dumps.id = dump_id "
        )
        conditions: list[str] = []
        values: list[object] = []
        if kind is not None:
            conditions.append("findings.kind = ?")
            values.append(kind)
        if dump is not None:
            conditions.append(
                "findings.id IN (SELECT finding_id FROM sightings WHERE dump_id = "
                "(SELECT id FROM dumps WHERE path = CAST(? AS TEXT)))"
            )
            values.append(stored_text(dump))
        if conditions:
            chosen += f"WHERE {' AND '.join(conditions)} "
        found = self._ask(f"{chosen} GROUP BY findings.id", *values)
        found.sort(key=lambda row: (_ORDER[row["kind"]], row["path"], row["position"]))
        for row in found:
            yield self._paired(self._finding(row["id"], row["kind"]))

    def keyed(self, prefix: str) -> list[Finding]:
        """Return the keys and certificates whose key id begins so."""
        like = f"{prefix.lower()}%"
        found = self._ask(
            "SELECT finding_id, kind FROM keys WHERE key_id LIKE ?1 "
            "UNION SELECT finding_id, 'certificate' FROM certificates WHERE key_id LIKE ?1 ORDER BY 2 DESC, 1",
            like,
        )
        return [self._paired(self._finding(row["finding_id"], row["kind"])) for row in found]

    def certificates(self, prefix: str) -> list[Finding]:
        """Return the certificates whose thumbprint or SHA-256 begins so, with the keys that open them."""
        found = self._ask(
            "SELECT finding_id, key_id FROM certificates JOIN findings ON findings.id = finding_id "
            "WHERE thumbprint LIKE ?1 OR identity LIKE ?1 ORDER BY thumbprint",
            f"{prefix}%",
        )
        named = [self._paired(self._finding(row["finding_id"], Certificate.kind)) for row in found]
        ids = dict.fromkeys(row["key_id"] for row in found if row["key_id"] is not None)
        return named + [finding for key_id in ids for finding in self.keyed(key_id) if finding.kind != Certificate.kind]

    def identities(self, dumps: Iterable[str]) -> set[tuple[str, str]]:
        """Return the identities (`Finding.identity`) of all that lies in some dumps."""
        wanted = set(dumps)
        ids = [row["id"] for row in self._ask("SELECT id, path FROM dumps") if row["path"] in wanted]
        found: set[tuple[str, str]] = set()
        for dump_id in ids:
            found.update(
                (row["kind"], row["identity"])
                for row in self._ask(
                    "SELECT kind, identity FROM sightings JOIN findings ON findings.id = finding_id WHERE dump_id = ?",
                    dump_id,
                )
            )
        return found

    def _finding(self, number: int, kind: str, *, places: bool = True) -> Finding:
        table = rows_of.TABLES[kind]
        row = self._ask(f"SELECT * FROM {table} WHERE finding_id = ?", number)[0]  # noqa: S608 - one of our tables
        seen = self._ask(
            "SELECT sightings.*, path FROM sightings JOIN dumps ON dumps.id = dump_id WHERE finding_id = ? "
            "ORDER BY path",
            number,
        )
        proof = dict.fromkeys(relation for sighting in seen for relation in json.loads(sighting["proof"]))
        evidence: dict[str, Any] = {
            "sha256": seen[0]["sha256"],
            "size": seen[0]["size"],
            "location_count": sum(sighting["location_count"] for sighting in seen),
            "locations": tuple(self._locations(seen)) if places else (),
        }
        secret = b""
        if self._secrets:
            stored = self._ask("SELECT material FROM secrets WHERE finding_id = ?", number)
            secret = stored[0]["material"] if stored else b""
        return rows_of.finding_of(kind, row, tuple(proof), evidence, secret)

    def _locations(self, seen: list[Row]) -> Iterator[Location]:
        left = MOST_LOCATIONS
        for sighting in seen:
            found = self._ask(
                "SELECT * FROM locations WHERE finding_id = ? AND dump_id = ? ORDER BY position LIMIT ?",
                sighting["finding_id"],
                sighting["dump_id"],
                left,
            )
            for row in found:
                process = None
                if row["process_id"] is not None:
                    process = self._processes(sighting["dump_id"]).get(row["process_id"])
                yield rows_of.location_of(row, sighting["path"], process)
            left -= len(found)
            if left <= 0:
                return

    def _paired(self, finding: Finding) -> Finding:
        """Let a key name its certificates, or a certificate its keys, over the whole case."""
        key_id = getattr(finding, "key_id", None)
        if key_id is None:
            return finding
        if isinstance(finding, Certificate):
            partners = self._partners(key_id, PrivateKey.kind, "keys", places=False)
        else:
            partners = self._partners(key_id, Certificate.kind, "certificates", places=True)
        return with_pairs([finding, *partners])[0]

    def _partners(self, key_id: str, kind: str, table: str, *, places: bool) -> list[Finding]:
        condition = "AND kind = 'private_key'" if table == "keys" else ""
        order = "thumbprint" if table == "certificates" else "finding_id"
        found = self._ask(
            f"SELECT finding_id FROM {table} WHERE key_id = ? {condition} ORDER BY {order}",  # noqa: S608 - ours
            key_id,
        )
        return [self._finding(row["finding_id"], kind, places=places) for row in found]

    # --- What is worst -----------------------------------------------------------------------------------------------

    def exposed_keys(self, now: datetime | None = None) -> list[ExposedKey]:
        """Return the private keys, the worst first: those with a certificate that is valid, then with any, then alone.

        Among equals those come first that lie in more dumps, then as `findings` has them.
        """
        now = now or datetime.now(UTC)
        exposed = []
        for finding in self.findings(PrivateKey.kind):
            if not isinstance(finding, PrivateKey):
                continue
            certificates = [
                certificate
                for certificate in self._partners(finding.key_id, Certificate.kind, "certificates", places=True)
                if isinstance(certificate, Certificate)
            ]
            certificates.sort(key=lambda certificate: certificate.not_after or _NEVER, reverse=True)
            dump_count = self._ask(
                "SELECT count(*) AS count FROM sightings JOIN findings ON findings.id = finding_id "
                "WHERE kind = ? AND identity = ?",
                *finding.identity,
            )[0]["count"]
            exposed.append(
                ExposedKey(
                    key=finding,
                    certificates=tuple(self._paired(certificate) for certificate in certificates),  # type: ignore[misc]
                    exposure=exposure(certificates, now),
                    dump_count=dump_count,
                )
            )
        return sorted(exposed, key=lambda each: (each.severity, -each.dump_count))

    def summary(self, now: datetime | None = None) -> CaseSummary:
        """Return the case in numbers."""
        now = now or datetime.now(UTC)
        moment = rows_of.time_text(now.replace(microsecond=0))
        statuses = {
            Status(row["status"]): row["count"]
            for row in self._ask("SELECT status, count(*) AS count FROM dumps GROUP BY status")
        }
        kinds = Counter(dict.fromkeys(_ORDER, 0))
        kinds.update({row["kind"]: row["count"] for row in self._ask(_KINDS)})
        validity = self._ask(_VALIDITY, moment)[0]
        keys = self._ask(_EXPOSURES, moment)[0]
        span = self._ask("SELECT min(started) AS first, max(finished) AS last FROM dumps")[0]
        return CaseSummary(
            dumps={status: statuses[status] for status in Status if status in statuses},
            formats=_counts(self._ask(_FORMATS), "format"),
            bytes=self._ask("SELECT sum(size) AS sum FROM dumps WHERE status IN ('ok', 'damaged')")[0]["sum"] or 0,
            processes=self._ask("SELECT count(*) AS count FROM processes")[0]["count"],
            findings=dict(kinds),
            keys={each: keys[each.value] or 0 for each in Exposure},
            expired_certificates=validity["expired"] or 0,
            live_certificates=validity["live"] or 0,
            first=rows_of.time_of(span["first"]),
            last=rows_of.time_of(span["last"]),
            tool_versions=tuple(_counts(self._ask(_VERSIONS), "tool_version")),
        )


_KINDS = "SELECT kind, count(*) AS count FROM findings GROUP BY kind"
_FORMATS = "SELECT format, count(*) AS count FROM dumps WHERE status IN ('ok', 'damaged') GROUP BY format ORDER BY 1"
_VERSIONS = "SELECT tool_version, count(*) AS count FROM dumps GROUP BY tool_version ORDER BY 1"
_VALIDITY = """
SELECT sum(not_after < ?1) AS expired, sum(not_before <= ?1 AND not_after >= ?1) AS live FROM certificates
"""
_EXPOSURES = """
SELECT sum(live) AS live, sum(paired AND NOT live) AS paired, sum(NOT paired) AS alone FROM (
    SELECT count(certificates.finding_id) > 0 AS paired,
           total(not_before <= ?1 AND not_after >= ?1) > 0 AS live
    FROM keys LEFT JOIN certificates USING (key_id) WHERE keys.kind = 'private_key' GROUP BY keys.finding_id
)
"""


def exposure(certificates: Iterable[Certificate], now: datetime) -> Exposure:
    """Say how bad it is that a key with such certificates lay in memory."""
    certificates = list(certificates)
    if any(certificate.validity(now) is Validity.VALID for certificate in certificates):
        return Exposure.LIVE
    return Exposure.PAIRED if certificates else Exposure.ALONE


def _counts(found: list[Row], name: str) -> Mapping[str, int]:
    return {str(row[name]): row["count"] for row in found}
