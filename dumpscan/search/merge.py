"""Many places, one finding: what the decoders hand back, gathered by identity, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from dumpscan.findings import (
    Certificate,
    EncryptedContainer,
    Finding,
    PrivateKey,
    PublicKey,
    SymmetricKey,
    TlsSecret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dumpscan.artifacts.decoded import Decoded
    from dumpscan.findings import Location

MOST_LOCATIONS = 4096
"""Places kept of one finding, those that come first. A well-known certificate may lie in memory a million times."""
MOST_FINDINGS = 200_000
"""Findings kept: a server's whole memory holds some ten thousand."""

MAX_REMAINS = 16 << 10
"""Bytes that are told of a private key which is cut short: more than any has, in text too."""


@dataclass(frozen=True, slots=True)
class Source:
    """An address space that places are in.

    Attributes:
        order: Where its places come among others: the number of the file as it was given, and whatever tells apart
            address spaces within one file. No two sources have the same.
        locate: Makes the evidence for an object in it.
    """

    order: tuple[int, ...]
    locate: Callable[[Decoded], Location]


class _Place(NamedTuple):
    """A place. In the order of these members places are as they are put out, the wider before the narrower."""

    order: tuple[int, ...]
    address: int
    negative_end: int
    location: Location

    @property
    def in_key_object(self) -> bool:
        """Whether a library's object holds what is here."""
        return self.location.key_object is not None

    def holds(self, order: tuple[int, ...], address: int, end: int) -> bool:
        """Whether another interval lies in this one, or is the same."""
        return self.order == order and self.address <= address and end <= -self.negative_end


_POSITION = itemgetter(0, 1, 2)
_KEYS = (PrivateKey, PublicKey, SymmetricKey, TlsSecret)


@dataclass(slots=True)
class _Entry:
    """One finding and its places: none of them within another, so that their ends ascend as their beginnings do."""

    finding: Finding
    places: list[_Place] = field(default_factory=list)
    count: int = 0
    proofs: dict[tuple[str, ...], tuple[tuple[int, ...], int, int]] = field(default_factory=dict)
    """What was proved of a key's copies, with the first position of a copy of which just that was proved."""
    wrong_parts: set[str] = field(default_factory=set)
    """Names of what any copy of a private key holds that does not belong to it."""
    needs_support: bool = True
    """Whether every copy of a private key is one of several readings of the same bytes."""
    last_beyond: tuple[tuple[int, ...], int, int] | None = None
    """The last place that was counted only, as (order, address, end)."""

    def places_in(self, order: tuple[int, ...]) -> list[_Place]:
        """Return the places in one dump, or part of it; `order` is its place among others."""
        first = past = bisect_left(self.places, (order,))
        while past < len(self.places) and self.places[past].order[: len(order)] == order:
            past += 1
        return self.places[first:past]


class Collector:
    """Gathers findings from any number of scans.

    The same object in several places, or written in several ways, is one finding with several locations. A place within
    a larger one of the same finding (the PKCS#1 structure within a PKCS#8 key) is not another. The result does not
    depend on the order in which things are added, as long as no finding has more places than are kept.

    Attributes:
        dropped: Objects that were not kept because there were too many findings.
        remains: Where private keys lie that are cut short: for each, the extents of `MAX_REMAINS` bytes from its first
            one on, as far as they are held.
    """

    def __init__(self, *, most_locations: int = MOST_LOCATIONS, most_findings: int = MOST_FINDINGS) -> None:
        self.dropped = 0
        self.remains: list[tuple[tuple[int, int], ...]] = []
        self._most_locations = most_locations
        self._most_findings = most_findings
        self._entries: dict[tuple[str, str], _Entry] = {}

    def add(self, decoded: Decoded, source: Source) -> None:
        """Add an object that was found, and the others that came with it."""
        for each in decoded:
            self._add_one(each, source)

    def _add_one(self, decoded: Decoded, source: Source) -> None:
        identity = decoded.finding.identity
        entry = self._entries.get(identity)
        if entry is None:
            if len(self._entries) >= self._most_findings:
                self.dropped += 1
                return
            entry = self._entries[identity] = _Entry(decoded.finding)
        if isinstance(decoded.finding, _KEYS):
            position = (source.order, decoded.address, -decoded.length)
            proof = decoded.finding.proof
            entry.proofs[proof] = min(entry.proofs.get(proof, position), position)
        if isinstance(entry.finding, TlsSecret) and isinstance(decoded.finding, TlsSecret):
            entry.finding = entry.finding.joined(decoded.finding)
        if isinstance(decoded.finding, PrivateKey):
            entry.wrong_parts.update(decoded.finding.wrong_parts)
            entry.needs_support &= decoded.finding.needs_support
        self._add_place(entry, decoded, source)

    def unproven(self, order: tuple[int, ...]) -> list[PrivateKey]:
        """Return the private keys in one dump that nothing has proved yet; `order` is the dump's place among others."""
        return [
            entry.finding
            for entry in self._entries.values()
            if isinstance(entry.finding, PrivateKey) and not any(entry.proofs) and entry.places_in(order)
        ]

    def borne(self) -> frozenset[str]:
        """Return the ids of the keys whose public half was found anywhere: in a certificate, or by itself."""
        halves = (entry.finding for entry in self._entries.values())
        return frozenset(
            half.key_id for half in halves if isinstance(half, Certificate | PublicKey) and half.key_id is not None
        )

    def without_private(self, order: tuple[int, ...], *, live: bool = False) -> list[Certificate | PublicKey]:
        """Return the certificates and public keys in one dump whose private keys were not found, each key once.

        Args:
            order: The dump's place among others.
            live: Whether a private key counts only if a library's object holds it in some place.
        """
        private = self.private_ids(live=live)
        found: dict[str, Certificate | PublicKey] = {}
        for entry in self._entries.values():
            finding = entry.finding
            if not isinstance(finding, Certificate | PublicKey) or finding.key_id is None or finding.key_id in private:
                continue
            if entry.places_in(order):
                found.setdefault(finding.key_id, finding)
        return list(found.values())

    def private_ids(self, order: tuple[int, ...] = (), *, live: bool = False) -> frozenset[str]:
        """Return the ids of the private keys that were found and proved in one dump, or in any.

        Args:
            order: The dump's place among others.
            live: Whether a key counts only if a library's object holds it in some place there.
        """
        return frozenset(
            key.key_id
            for key, places in self._proved(order)
            if not live or any(place.in_key_object for place in places)
        )

    def private_in_files(self, order: tuple[int, ...]) -> list[PrivateKey]:
        """Return the proved private keys in one dump, or part of it, which no library's object holds there."""
        return [key for key, places in self._proved(order) if not any(place.in_key_object for place in places)]

    def _proved(self, order: tuple[int, ...]) -> Iterator[tuple[PrivateKey, list[_Place]]]:
        """Yield the private keys that were found in one dump, or part of it, and proved; with their places there."""
        for entry in self._entries.values():
            if isinstance(entry.finding, PrivateKey) and any(entry.proofs) and (places := entry.places_in(order)):
                yield entry.finding, places

    def private_key(self, key_id: str) -> PrivateKey | None:
        """Return the private key with this key id, if it was found and proved."""
        entry = self._entries.get((PrivateKey.kind, key_id))
        return entry.finding if entry is not None and any(entry.proofs) else None  # type: ignore[return-value]

    def prove(self, key: PrivateKey, relation: str) -> None:
        """Add a relation that was checked outside the key's own bytes."""
        entry = self._entries[key.identity]
        entry.proofs[(relation,)] = _POSITION(entry.places[0])

    def findings(self) -> list[Finding]:
        """Return the findings with their locations, in the order of their first ones."""
        entries = list(self._entries.values())
        entries = _without_halves(_without_other_names(_without_parts_of_containers(_with_heads_joined(entries))))
        entries.sort(key=lambda entry: _POSITION(entry.places[0]))
        return [_finished(entry) for entry in entries]

    def _add_place(self, entry: _Entry, decoded: Decoded, source: Source) -> None:
        order, address, end = source.order, decoded.address, decoded.address + decoded.length
        position = (order, address, -end)
        places, beyond = entry.places, entry.last_beyond
        at = bisect_right(places, position, key=_POSITION)
        if at and places[at - 1].holds(order, address, end):
            places[at - 1] = _with_wrapper(places[at - 1], decoded)
            return
        if beyond is not None and beyond[0] == order and beyond[1] <= address and end <= beyond[2]:
            return
        entry.count += 1
        narrower = at
        while narrower < len(places) and places[narrower].order == order and -places[narrower].negative_end <= end:
            narrower += 1
        entry.count -= narrower - at
        del places[at:narrower]
        if at == len(places) >= self._most_locations:
            entry.last_beyond = (order, address, end)
            return
        places.insert(at, _Place(*position, source.locate(decoded)))
        if len(places) > self._most_locations:
            last = places.pop()
            entry.last_beyond = (last.order, last.address, -last.negative_end)


def _proof(entry: _Entry) -> tuple[str, ...]:
    """Return the relations that hold for any copy of a key, each once; those of the first copy come first."""
    by_place = sorted(entry.proofs, key=lambda proof: (entry.proofs[proof], proof))
    return tuple(dict.fromkeys(chain.from_iterable(by_place)))


def _with_wrapper(place: _Place, decoded: Decoded) -> _Place:
    """Add to a key object the handle that points to it, which only the way to it through the handle tells."""
    known, other = place.location.key_object, decoded.key_object
    if known is None or other is None or other.wrapper is None or place.address != decoded.address:
        return place
    if known.wrapper is not None and known.wrapper <= other.wrapper:
        return place
    told = replace(known, wrapper=other.wrapper, wrapper_algorithm=other.wrapper_algorithm)
    return place._replace(location=replace(place.location, key_object=told))


def _finished(entry: _Entry) -> Finding:
    finding, locations = entry.finding, tuple(place.location for place in entry.places)
    if isinstance(finding, _KEYS):  # its key id says nothing of how it is written, so its first place describes it
        finding = replace(finding, sha256=locations[0].sha256, size=locations[0].length, proof=_proof(entry))
    if isinstance(finding, PrivateKey):
        wrong = tuple(sorted(entry.wrong_parts))
        finding = replace(finding, wrong_parts=wrong, needs_support=entry.needs_support)
    return replace(finding, locations=locations, location_count=entry.count)


def _with_heads_joined(entries: list[_Entry]) -> list[_Entry]:
    """Give the places of certificates whose end is missing to the longest certificate that begins so."""
    heads: list[_Entry] = []
    wholes: list[tuple[bytes, _Entry]] = []
    others: list[_Entry] = []
    for entry in entries:
        if not isinstance(entry.finding, Certificate):
            others.append(entry)
        elif all(place.location.missing for place in entry.places):
            heads.append(entry)
        else:
            wholes.append((entry.finding.der, entry))
    if not heads:
        return entries
    wholes.sort(key=itemgetter(0))
    for head in sorted(heads, key=lambda entry: entry.finding.size, reverse=True):
        data = head.finding.der  # type: ignore[attr-defined]
        at = bisect_left(wholes, data, key=itemgetter(0))
        if at < len(wholes) and wholes[at][0].startswith(data):
            _join(wholes[at][1], head)
        else:
            wholes.insert(at, (data, head))
    return others + [entry for _, entry in wholes]


def _join(entry: _Entry, head: _Entry) -> None:
    entry.count += head.count
    for place in head.places:
        insort(entry.places, place, key=_POSITION)


def _without_parts_of_containers(entries: list[_Entry]) -> list[_Entry]:
    """Leave out the encrypted keys that are part of a PKCS#12 which was found too."""
    shells = sorted(
        (_POSITION(place) for entry in entries if _container(entry) == "pkcs12" for place in entry.places),
    )
    if not shells:
        return entries
    kept: list[_Entry] = []
    for entry in entries:
        if _container(entry) == "pkcs8":
            places = [place for place in entry.places if not _within(place, shells)]
            entry.count -= len(entry.places) - len(places)
            entry.places = places
        if entry.places:
            kept.append(entry)
    return kept


def _without_halves(entries: list[_Entry]) -> list[_Entry]:
    """Leave out public keys that a certificate or private key bears; of one that a library holds, its other places.

    A public key stays beside a private key that nothing has proved yet: it is what proves it.
    """
    borne = {
        entry.finding.key_id
        for entry in entries
        if isinstance(entry.finding, Certificate) or (isinstance(entry.finding, PrivateKey) and any(entry.proofs))
    }
    kept: list[_Entry] = []
    for entry in entries:
        if isinstance(entry.finding, PublicKey):
            held = [place for place in entry.places if place.in_key_object]
            if not held and entry.finding.key_id in borne:
                continue
            if held:
                entry.count -= len(entry.places) - len(held)
                entry.places = held
        kept.append(entry)
    return kept


def _without_other_names(entries: list[_Entry]) -> list[_Entry]:
    """Leave out readings of a key on a curve with two names, where what the key lies in tells which one is meant.

    The structure of SEC 1 within PKCS#8 need not name its curve; by itself it is read as a key on the curve's first
    name, e.g. sect113r1, which WAP-261-WTLS calls wap-wsg-idm-ecid-wtls4, too.
    """
    by_point: defaultdict[bytes, list[_Entry]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry.finding, PrivateKey) and entry.finding.curve is not None:
            size = (entry.finding.bits + 7) // 8
            by_point[entry.finding.pkcs8[-2 * size :]].append(entry)  # the public point stands at its end
    left_out = {
        id(entry)
        for same in by_point.values()
        for entry in same
        if all(any(other is not entry and _is_part(place, other) for other in same) for place in entry.places)
    }
    return [entry for entry in entries if id(entry) not in left_out]


def _is_part(place: _Place, entry: _Entry) -> bool:
    """Whether a place lies within a larger one of an entry."""
    at = bisect_left(entry.places, _POSITION(place), key=_POSITION)
    return bool(at) and entry.places[at - 1].holds(place.order, place.address, -place.negative_end)


def _container(entry: _Entry) -> str | None:
    return entry.finding.container if isinstance(entry.finding, EncryptedContainer) else None


def _within(place: _Place, shells: list[tuple[tuple[int, ...], int, int]]) -> bool:
    at = bisect_right(shells, _POSITION(place))
    if not at:
        return False
    order, address, negative_end = shells[at - 1]
    return order == place.order and address <= place.address and place.negative_end >= negative_end
