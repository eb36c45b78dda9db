"""Everything in a dump that is to go: what the search finds, what processes were given, what has a known shape."""

from __future__ import annotations

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64
from bisect import bisect_right
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.artifacts.keys.ssh.shielded import ENCODING as SHIELDED
from dumpscan.artifacts.keys.ssh.shielded import shield_parts
from dumpscan.artifacts.registry import EVERYTHING, TLS
from dumpscan.exceptions import DumpscanError
from dumpscan.findings import Certificate, EncryptedContainer, PrivateKey, Process, PublicKey, SymmetricKey, TlsSecret
from dumpscan.memory.dump import is_physical
from dumpscan.memory.space import Region
from dumpscan.redact.copies.borders import across_borders
from dumpscan.redact.raw_image import raw_places, unpacked
from dumpscan.redact.secret import Place, Secret, Value, What, merged
from dumpscan.redact.shapes.credentials import find_credentials
from dumpscan.redact.shapes.environments import find_environments
from dumpscan.redact.shapes.own_patterns import find_expressions
from dumpscan.redact.texts import argument_secrets, environment_secrets
from dumpscan.redact.values.key_values import (
    private_key_values,
    symmetric_key_values,
    tls_schedule_values,
    tls_secret_values,
)
from dumpscan.redact.values.remains import remains
from dumpscan.search.merge import Collector
from dumpscan.search.options import SearchOptions
from dumpscan.search.pairs import with_pairs, without_guesses
from dumpscan.search.run import search
from dumpscan.search.zeros import without_zeros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dumpscan.artifacts.registry import Search
    from dumpscan.findings import Finding, Location
    from dumpscan.memory.dump import PhysicalDump, ProcessDump
    from dumpscan.redact.copies.search import Copies
    from dumpscan.redact.secret import Wanted

    AnyDump = ProcessDump | PhysicalDump

MOST_LOCATIONS = 1 << 18
"""Places of one finding that are overwritten in one round; the others are found in the next."""
_OPENING = 64
"""First bytes of a container, which others of its kind have too."""
_ONE_KEY = frozenset({"pkcs8", "pem", "openssh", "pvk"})
"""Containers of nothing but one encrypted key."""
_CUT_SHORT = Secret(What.PRIVATE_KEYS, "private key, cut short")
_PEM_BODY = re.compile(rb"-----BEGIN [^-]+-----\s(?:[^\n]*:[^\n]*\n|\s)*([A-Za-z0-9+/=\s]+)-----END")


class Changed(NamedTuple):
    """What a copy has that the dump, which was searched, has not.

    Attributes:
        spans: The bytes that were written over, with a margin, as (offset, end); ascending and apart.
        public: The dump's certificates and public keys: what proves a key may lie far from it.
        all_sessions: Whether secrets of TLS sessions are to be searched for everywhere.
        occupied: All parts of the copy that are not long runs of zeros, if its other bytes are at the same offsets as
            in the dump; None if they are not.
    """

    spans: Sequence[tuple[int, int]]
    public: Sequence[Finding]
    all_sessions: bool
    occupied: Sequence[tuple[int, int]] | None


class Collection:
    """What is to go from one dump.

    Attributes:
        places: Where each secret lies.
        nowhere: Secrets that were found at no place in the file, so that they cannot be overwritten.
        kept: How many findings of each kind were left alone.
        public: The certificates and public keys among the findings.
        sessions: Whether there are secrets of TLS sessions among the findings.
        problems: What could not be searched, a sentence each.
        left_out: What was not searched for on purpose, a sentence each.
        complete: Whether everything that the search looks for was found and is listed with all of its places.
        occupied: The parts of the file that are not long runs of zeros, as (offset, end).
    """

    def __init__(self) -> None:
        self.places: dict[Secret, set[Place]] = {}
        self.nowhere: set[Secret] = set()
        self.kept: dict[str, int] = {}
        self.public: list[Finding] = []
        self.sessions = False
        self.problems: list[str] = []
        self.left_out: list[str] = []
        self.complete = True
        self.occupied: Sequence[tuple[int, int]] = ()
        self._texts: dict[bytes, Secret] = {}

    @property
    def secrets(self) -> list[Secret]:
        """All secrets."""
        return list(self.places)

    @property
    def empty(self) -> bool:
        """Whether nothing lies anywhere."""
        return not self.nowhere and not any(self.places.values())

    def add(self, secret: Secret, places: Iterable[Place] = ()) -> None:
        """Add a secret, or places of one. A text that is known by another name already keeps that."""
        for value in secret.values:
            if value.text and not value.before:
                secret = self._texts.setdefault(value.data, secret)
        self.places.setdefault(secret, set()).update(places)


def collect(
    dump: AnyDump,
    wanted: Wanted,
    *,
    copies: Copies,
    changed: Changed | None = None,
    deep: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Collection:
    """Find everything in a dump that is to go, in its findings, its processes and by its shape, and every copy of it.

    Args:
        dump: The dump.
        wanted: What is to go.
        copies: Looks for copies, everywhere; the secrets found here are added to those that it knows already.
        changed: What is new in this dump, if it is a copy of one that was searched before: all else is not searched
            anew for what nobody knows yet.
        deep: As `SearchOptions.deep`.
        progress: As for `dumpscan.search.run.search`.

    Returns:
        What is to go, with its places in the file that a copy is: of an image with compressed pages, a raw image.
    """
    found = Collection()
    data = buffer_of(dump)
    raw = unpacked(dump)
    if raw is not None:
        raw.tell_unpacked_offsets()
    _add_findings(dump, wanted, found, changed=changed, deep=deep, progress=progress)
    known = changed.occupied if changed else None
    found.occupied = occupied = _occupied(data) if known is None else known
    new = changed.spans if changed else occupied
    _add_texts(dump, wanted, found, new)
    _add_shapes(data, wanted, found, new)
    for secret in found.secrets:
        copies.add(secret)
    where = changed.spans if changed and known is not None else None
    borders = None if copies.has_new else where
    for secret, place in copies.find(data, occupied, where):
        found.add(secret, (place,))
    if is_physical(dump):
        for secret, place in across_borders(dump, copies, borders):
            found.add(secret, (place,))
    if raw is not None:
        found.places = {secret: raw_places(raw, places) for secret, places in found.places.items()}
    return found


def _occupied(data: memoryview) -> list[tuple[int, int]]:
    """Return the parts of a file that are not long runs of zeros, as (offset, end)."""
    regions = without_zeros(data, [Region(0, len(data), 0)])
    return [(region.file_offset, region.file_offset + region.size) for region in regions]


def _add_shapes(data: memoryview, wanted: Wanted, found: Collection, spans: Sequence[tuple[int, int]]) -> None:
    """Add what is told by its shape or by the user and begins in some parts of the file, given as (offset, end)."""
    if What.CREDENTIALS in wanted.kinds:
        objects = merged(place for places in found.places.values() for place in places)
        for secret, place in find_credentials(data, spans):
            if not _within(place, objects):
                found.add(secret, (place,))
    for place in find_expressions(data, wanted.expressions):
        found.add(Secret(None, "regular expression"), (place,))
    for value in wanted.values:
        found.add(Secret(None, "value", values=(Value(value, "value", random=False, text=True),)))


def _within(place: Place, objects: Sequence[Place]) -> bool:
    """Return whether a place lies in one of several that are in order and do not overlap."""
    at = bisect_right(objects, place.offset, key=attrgetter("offset")) - 1
    return at >= 0 and place.offset + place.length <= objects[at].offset + objects[at].length


def buffer_of(dump: AnyDump) -> memoryview:
    """Return the whole file of a dump."""
    return dump.physical.buffer if is_physical(dump) else dump.buffer


def _add_findings(
    dump: AnyDump,
    wanted: Wanted,
    found: Collection,
    *,
    changed: Changed | None,
    deep: bool,
    progress: Callable[[int], None] | None,
) -> None:
    collector = Collector(most_locations=MOST_LOCATIONS)
    for searched, options in _searches(wanted, changed, deep=deep):
        found.problems += search(
            dump, searched, collector, options=options, progress=progress, note=found.left_out.append
        )
    if collector.dropped:
        found.problems.append(f"{collector.dropped} further findings were not kept: there are too many")
    if What.PRIVATE_KEYS in wanted.kinds:
        for extents in collector.remains:
            found.add(_CUT_SHORT, remains(buffer_of(dump), extents))
    findings = collector.findings()
    found.public = [finding for finding in findings if isinstance(finding, Certificate | PublicKey)]
    found.sessions = any(isinstance(finding, TlsSecret) for finding in findings)
    found.complete = not found.problems and not any(each.location_count > len(each.locations) for each in findings)
    known = changed.public if changed else ()
    for finding in without_guesses(with_pairs((*known, *findings)))[len(known) :]:
        what = _kind(finding)
        if what is None or what not in wanted.kinds:
            found.kept[finding.kind] = found.kept.get(finding.kind, 0) + 1
            continue
        secret = Secret(what, _label(finding), _identity(finding), _values(finding))
        places = [place for location in finding.locations for place in _places(dump, location)]
        found.add(secret, places)
        if not places:
            found.nowhere.add(secret)


def _searches(wanted: Wanted, changed: Changed | None, *, deep: bool) -> list[tuple[Search, SearchOptions]]:
    """Return what is to be searched for, and where."""
    options = SearchOptions(deep=deep, spans=changed.spans if changed else None)
    if What.SESSIONS not in wanted.kinds:
        return [(EVERYTHING, options)]
    if changed and changed.all_sessions:
        return [(EVERYTHING, options), (TLS, SearchOptions())]
    return [(EVERYTHING.with_tls(), options)]


def _kind(finding: Finding) -> What | None:
    """Return which kind of secret a finding is; None if it is public."""
    kinds = {
        PrivateKey: What.PRIVATE_KEYS,
        SymmetricKey: What.SYMMETRIC_KEYS,
        EncryptedContainer: What.CONTAINERS,
        Certificate: What.CERTIFICATES,
        PublicKey: None,
    }
    return kinds.get(type(finding), What.SESSIONS)


def _identity(finding: Finding) -> str | None:
    """Return the id that names a key, or a TLS secret, and does not reveal it."""
    named: str | None = getattr(finding, "key_id", None) or getattr(finding, "secret_id", None)
    return named


def _label(finding: Finding) -> str:
    if isinstance(finding, EncryptedContainer):
        return finding.container
    if isinstance(finding, Certificate):
        return f"certificate {finding.thumbprint}"
    parts = (getattr(finding, name, None) for name in ("algorithm", "bits", "version", "label"))
    return " ".join(str(part) for part in parts if part is not None) or finding.kind


def _values(finding: Finding) -> tuple[Value, ...]:
    """Return the byte strings that give a finding away; of a kind that is not known here, all that are key material."""
    if isinstance(finding, PrivateKey):
        return private_key_values(finding)
    if isinstance(finding, SymmetricKey):
        return symmetric_key_values(finding)
    if isinstance(finding, EncryptedContainer):
        return _container_values(finding)
    if isinstance(finding, TlsSecret):
        return (*tls_secret_values(finding), *tls_schedule_values(finding))
    secret = (getattr(finding, field.name) for field in fields(finding) if not field.repr)
    return tuple(Value(each, finding.kind) for each in secret if isinstance(each, bytes) and each)


def _container_values(finding: EncryptedContainer) -> tuple[Value, ...]:
    """Return what is in a container, without the opening that others have too.

    Key stores hold certificates too, which others have: only whole copies of them are looked for.
    """
    data = finding.data
    armoured = _PEM_BODY.match(data)
    if armoured:
        try:
            data = a2b_base64(armoured[1])
        except BinasciiError:
            return ()
    alone = finding.container in _ONE_KEY
    return (Value(data[_OPENING if alone else 0 :], "container", random=alone),) if len(data) > 2 * _OPENING else ()


def _places(dump: AnyDump, location: Location) -> list[Place]:
    """Return the bytes that an object takes, and those that it points to and that are secret."""
    extents = list(location.extents)
    if location.encoding == SHIELDED and not is_physical(dump) and location.virtual_address is not None:
        for address, size in shield_parts(dump, location.virtual_address):
            extents += dump.extents(address, size)
    wide = "utf16" in location.encoding or "utf-16" in location.encoding
    return [Place(offset, length, location.encoding, wide) for offset, length in extents if length > 0]


def _add_texts(dump: AnyDump, wanted: Wanted, found: Collection, spans: Sequence[tuple[int, int]]) -> None:
    """Add the secrets that processes were given as text; rows of variables are looked for in parts of the file."""
    processes: Sequence[Process] = ()
    if wanted.kinds & {What.ENVIRONMENT, What.ARGUMENTS}:
        try:
            processes = dump.processes(environment=True)
        except DumpscanError as error:
            problem = getattr(error, "problem", error)
            found.problems.append(f"environments and command lines are searched by shape only: {problem}")
    if What.ENVIRONMENT in wanted.kinds:
        modules = "" if is_physical(dump) else "\n".join(dump.module_names)
        others = Process(environment=tuple(find_environments(buffer_of(dump), spans)))
        for process in (*processes, others):
            for secret in environment_secrets(process, wanted, modules):
                found.add(secret)
    if What.ARGUMENTS in wanted.kinds:
        for process in processes:
            for secret in argument_secrets(process):
                found.add(secret)
