"""Everything that the report says, in order: the worst first, long lists in batches, everything counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dumpscan.findings import (
    Certificate,
    EncryptedContainer,
    PrivateKey,
    PublicKey,
    Status,
    SymmetricKey,
    TlsSecret,
    Validity,
)
from dumpscan.output.labels import file_names
from dumpscan.output.report.chains import MAX_CERTIFICATES, chain, issuers
from dumpscan.output.report.judge import Judge
from dumpscan.output.report.rows import (
    CertificateRow,
    KeyRow,
    ObjectRow,
    ProcessRow,
    certificate_row,
    container_row,
    key_row,
    other_key_row,
    tls_row,
)
from dumpscan.output.report.severity import Severity
from dumpscan.output.report.texts import minute, shorten
from dumpscan.output.report.timeline import Timeline
from dumpscan.output.report.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from dumpscan.case.moments import At
    from dumpscan.case.records import DumpRecord
    from dumpscan.findings import Finding, Process

Row = TypeVar("Row")

HEAD = 20
"""Rows of a list that are visible at once."""

SPARE = 10
"""A list that is this much longer is visible as a whole: the rest is not worth a click."""

BATCH = 250
"""Rows that one click opens."""

MAX_ROWS = 10_000
"""Rows of one list in the report. The others are counted, and the case file has them."""

MAX_CARDS = 40
"""Private keys that are described in full; the others are rows of a table."""

MAX_URGENT = 10
"""Private keys that the summary names."""

MAX_INDEX, MAX_VISIBLE_INDEX = 2000, 150
"""Entries of the index, and how many of them are visible at once; the others are counted."""

FEW = 3
"""A dump with more processes than these has a list of its own."""

_WELL_KNOWN = "Of well-known certification authorities"
_WORST = (Status.UNREADABLE, Status.PENDING, Status.DAMAGED, Status.NO_SYMBOLS, Status.OTHER, Status.OK)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the index: a name, what it is the name of, and the id of the place that tells of it."""

    name: str
    what: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Batch(Generic[Row]):
    """Rows that one click opens, and which rows of the list they are: `21-270 of 1,000`."""

    rows: Sequence[Row]
    label: str


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """A list of any length: its first rows, further rows in batches, and the total."""

    head: Sequence[Row]
    batches: tuple[Batch[Row], ...]
    total: int

    @property
    def omitted(self) -> int:
        """The number of rows that the report does not have."""
        return self.total - len(self.head) - sum(len(batch.rows) for batch in self.batches)


@dataclass(frozen=True, slots=True)
class Group(Generic[Row]):
    """A titled list; one that is `folded` is opened by a click."""

    title: str
    note: str
    rows: Listing[Row]
    folded: bool = False


def listing(rows: Sequence[Row], head: int = HEAD, *, most: int | None = None) -> Listing[Row]:
    """Cut a list into visible rows, batches, and rows that are only counted (those beyond `most`)."""
    kept = rows[: MAX_ROWS if most is None else most]
    head = len(kept) if len(kept) <= head + SPARE else head
    starts = range(head, len(kept), BATCH)
    batches = tuple(
        Batch(kept[start : start + BATCH], f"{start + 1:,}-{min(start + BATCH, len(kept)):,} of {len(rows):,}")
        for start in starts
    )
    return Listing(kept[:head], batches, len(rows))


def build(
    dumps: Iterable[DumpRecord],
    findings: Iterable[Finding],
    *,
    title: str,
    generated: datetime,
    at: At,
    version: str,
    settings: Mapping[str, object],
) -> SimpleNamespace:
    """Return everything that the template shows, by name.

    Args:
        dumps: The inputs.
        findings: What was found in them; iterated over once.
        title: The heading of the report.
        generated: The time of the report, with a time zone.
        at: By which moments certificates are judged.
        version: Version of dumpscan.
        settings: Further settings, for the record.
    """
    records = sorted(dumps, key=lambda dump: dump.path)
    names = file_names(dump.path for dump in records)

    def shown(path: str) -> str:
        return names.get(path, path)

    judge = Judge(at, {dump.path: dump.captured for dump in records})
    processes = {(dump.path, process.pid): process for dump in records for process in dump.processes}
    certificates: dict[str, CertificateRow] = {}
    raw: list[Certificate] = []
    private: list[PrivateKey] = []
    containers: list[ObjectRow] = []
    others: list[ObjectRow] = []
    for finding in findings:
        match finding:
            case Certificate():
                certificates[finding.thumbprint] = certificate_row(finding, judge, shown)
                if len(raw) < MAX_CERTIFICATES:
                    raw.append(finding)
            case PrivateKey() if finding.proven:
                private.append(finding)
            case EncryptedContainer():
                containers.append(container_row(finding, shown))
            case PrivateKey() | PublicKey() | SymmetricKey():
                others.append(other_key_row(finding, shown))
            case TlsSecret():
                others.append(tls_row(finding, shown))
    keys = _keys(private, certificates, processes, judge, shown)
    holders = {(place.file, place.process.pid) for key in private for place in key.locations if place.process}
    groups = _certificate_groups(certificates.values(), {key.key_id for key in private})
    ordered = [row for title, _, rows in groups for row in rows if title != _WELL_KNOWN]
    faulty = sorted((dump for dump in records if dump.status != Status.OK), key=lambda dump: _WORST.index(dump.status))
    counts = Counter(key.severity for key in keys)
    counts[Severity.LOW] = len(containers)
    counts[Severity.NOTICE] = len(others) + len(certificates)
    return SimpleNamespace(
        shown=shown,
        title=title,
        generated=minute(generated),
        version=version,
        verdict=verdict(keys, containers, records, holders),
        figures=_figures(keys, certificates.values(), containers, others, records),
        severities=tuple((severity, counts[severity]) for severity in Severity),
        urgent=tuple(keys[:MAX_URGENT]),
        cards=tuple(keys[:MAX_CARDS]),
        keys=listing(keys[MAX_CARDS:]),
        judged=_judged(at),
        timeline=Timeline.of(ordered, at.now),
        exposed=frozenset(row.thumbprint for row in groups[0][2]),
        certificates=tuple(
            Group(name, note, listing(rows), folded=name == _WELL_KNOWN) for name, note, rows in groups if rows
        ),
        certificate_count=len(certificates),
        chain=_chains(raw, certificates),
        index=_index(keys, groups, records, shown),
        containers=listing(sorted(containers, key=lambda row: row.order)),
        other_keys=listing(sorted(others, key=lambda row: row.order)),
        processes=_process_groups(records, holders, shown),
        process_count=len(processes),
        faulty=listing(faulty),
        inputs=listing(records),
        settings=_settings(records, settings),
    )


def _judged(at: At) -> str:
    """Say by which moments certificates are judged."""
    if not at.capture:
        return f"certificates are judged by {minute(at.now)}"
    captured = "the time at which each dump was made"
    return f"certificates are judged by {captured}" + (f" and by {minute(at.now)}" if at.present else "")


def _chains(
    raw: Sequence[Certificate], rows: Mapping[str, CertificateRow]
) -> Callable[[CertificateRow], tuple[CertificateRow, ...]]:
    """Return what gives the issuers of a certificate that are in the case, the nearest first."""
    issued_by = issuers(raw)
    return lambda row: tuple(rows[each] for each in chain(row.thumbprint, issued_by) if each in rows)


def _index(
    keys: Sequence[KeyRow],
    groups: Sequence[tuple[str, str, list[CertificateRow]]],
    records: Sequence[DumpRecord],
    shown: Callable[[str], str],
) -> Listing[Entry]:
    """Return what the report tells of, by name: keys and certificates, with links to them; and dumps."""
    entries = [Entry(key.name, f"private key, {key.key}", key.anchor) for key in keys[:MAX_CARDS]]
    entries += [
        Entry(row.name, "CA certificate" if row.is_ca else "certificate", row.anchor)
        for title, _, rows in groups
        if title != _WELL_KNOWN
        for row in rows[:MAX_ROWS]
    ]
    entries += [Entry(shown(record.path), "dump", "record") for record in records if record.is_dump]
    ordered = sorted(entries, key=lambda entry: (entry.name.casefold(), entry.what))
    return listing(ordered, MAX_VISIBLE_INDEX, most=MAX_INDEX)


def _keys(
    private: Iterable[PrivateKey],
    certificates: Mapping[str, CertificateRow],
    processes: dict[tuple[str, int | None], Process],
    judge: Judge,
    shown: Callable[[str], str],
) -> list[KeyRow]:
    by_key: dict[str, list[CertificateRow]] = {}
    for row in certificates.values():
        by_key.setdefault(row.key_id, []).append(row)
    rows = []
    for key in private:
        named = [certificates[ref.thumbprint] for ref in key.certificates if ref.thumbprint in certificates]
        own = {row.thumbprint: row for row in (*named, *by_key.get(key.key_id, ()))}
        rows.append(key_row(key, own.values(), processes, judge, shown))
    return sorted(rows, key=lambda row: row.order)


def _certificate_groups(
    rows: Iterable[CertificateRow], key_ids: set[str]
) -> list[tuple[str, str, list[CertificateRow]]]:
    """Sort certificates into groups by how much they matter, each group by name."""
    groups: list[tuple[str, str, list[CertificateRow]]] = [
        ("With an exposed private key", "Whoever has the dump can act as these.", []),
        ("Of servers, clients and people", "Their private keys were not found in the inputs.", []),
        ("Of certification authorities", "Private ones, and those between a well-known authority and a server.", []),
        ("Not parsed", "A strict parser refuses them; they are kept as they lay in memory.", []),
        (_WELL_KNOWN, "Their public keys are on the lists of Mozilla's or Microsoft's root program.", []),
    ]
    for row in sorted(rows, key=lambda row: row.order):
        exposed = row.key_id in key_ids
        which = 0 if exposed else 4 if row.well_known else 3 if row.problem else 2 if row.is_ca else 1
        groups[which][2].append(row)
    groups[0][2].sort(key=lambda row: row.state is not Validity.VALID)
    return groups


def _process_groups(
    records: Sequence[DumpRecord], holders: set[tuple[str, int | None]], shown: Callable[[str], str]
) -> tuple[Group[ProcessRow], ...]:
    """Return one list for all dumps of few processes, then a list for each other dump; key holders come first."""
    few: list[ProcessRow] = []
    many: list[tuple[bool, Group[ProcessRow]]] = []
    for dump in records:
        rows = [
            ProcessRow(shown(dump.path), process, holds_keys=(dump.path, process.pid) in holders)
            for process in dump.processes
        ]
        rows.sort(key=lambda row: not row.holds_keys)
        if len(rows) <= FEW:
            few += rows
        else:
            holding = sum(row.holds_keys for row in rows)
            note = f"{holding} of them with private keys" if holding else ""
            many.append((not holding, Group(shown(dump.path), note, listing(rows, max(HEAD, holding)))))
    few.sort(key=lambda row: not row.holds_keys)
    many.sort(key=lambda item: item[0])
    own = (Group("Dumps of one process or a few", "", listing(few)),) if few else ()
    return (*own, *(group for _, group in many[:MAX_ROWS]))


def _figures(
    keys: Sequence[KeyRow],
    certificates: Iterable[CertificateRow],
    containers: Sequence[ObjectRow],
    others: Sequence[ObjectRow],
    inputs: Sequence[DumpRecord],
) -> tuple[tuple[str, int, str], ...]:
    """Return the figures of the summary: name, number, remark."""
    states = Counter(row.state for row in certificates)
    live = sum(key.severity is Severity.CRITICAL for key in keys)
    kinds = Counter(row.kind for row in others)
    unproven = f", {kinds['unproven']:,} unproven" if kinds["unproven"] else ""
    unproven += f", {kinds['tls secret']:,} of TLS sessions" if kinds["tls secret"] else ""
    read = Counter(row.status for row in inputs)
    partial = len(inputs) - read[Status.OK] - read[Status.NO_SYMBOLS] - read[Status.OTHER]
    gaps = [f"{partial:,} not read whole"] if partial else []
    gaps += [f"{read[Status.OTHER]:,} no dump"] if read[Status.OTHER] else []
    return (
        ("Private keys", len(keys), f"{live:,} with a valid certificate"),
        ("Certificates", states.total(), f"{states[Validity.VALID]:,} valid, {states[Validity.EXPIRED]:,} expired"),
        ("Encrypted containers", len(containers), "under a password"),
        ("Other keys", len(others), f"{kinds['symmetric']:,} symmetric, {kinds['public']:,} public{unproven}"),
        ("Inputs", len(inputs), ", ".join(gaps) or "all read whole"),
    )


def _settings(records: Iterable[DumpRecord], settings: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return every setting with all the values that it had for any of the dumps."""
    values: dict[str, dict[str, None]] = {}
    given: list[Mapping[str, Any]] = [settings, *(dump.settings for dump in records)]
    for mapping in given:
        for name, value in mapping.items():
            values.setdefault(str(name), {})[_setting(value)] = None
    return tuple((name, "; ".join(list(found)[: FEW * 4])) for name, found in sorted(values.items()))


def _setting(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple() | set() | frozenset():
            return ", ".join(shorten(str(item)) for item in value) or "none"
        case None:
            return "none"
        case _:
            return shorten(str(value))
