"""Answers to "is the private key of this certificate in these dumps?": for people, as JSON and as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.artifacts.keys.names import algorithm_label
from dumpscan.findings import SCHEMA_VERSION, Certificate, Location
from dumpscan.output.records import document
from dumpscan.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dumpscan.output.records import Record
    from dumpscan.search.answers import Answer

MAX_PLACES = 8
"""Places of one key that are shown to people."""

COLUMNS = (
    "asked",
    "what",
    "found",
    "key.id",
    "thumbprint",
    "file",
    "process.pid",
    "process.name",
    "address",
    "file_offset",
    "encoding",
)
"""Columns of CSV; a row for each place, or one without a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What was searched for the answers.

    Attributes:
        dumps: How many dumps could be read.
        incomplete: How many of them, and of those that could not be read at all, were not read whole.
        locked: Encrypted containers found, any of which may hold any key.
    """

    dumps: int
    incomplete: int
    locked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """What was found of one certificate or key that was asked for.

    Attributes:
        asked: How it was named: a file, a thumbprint, a key id.
        what: What that is, in words.
        found: Whether its private key is there.
        proven: Whether anything proves that it is a key.
        key_id: SHA-256 (hex) of the SubjectPublicKeyInfo; None where only a thumbprint is known.
        thumbprint: SHA-1 of the certificate that was named.
        key_locations: Where its private key lies.
        public_locations: Where its certificates and its public key lie.
    """

    asked: str
    what: str
    found: bool
    proven: bool
    key_id: str | None = None
    thumbprint: str | None = None
    key_locations: tuple[Location, ...] = ()
    public_locations: tuple[Location, ...] = ()


def answer_record(answer: Answer) -> Record:
    """Return an answer as a document."""
    record = AnswerRecord(
        asked=answer.reference.given,
        what=answer.reference.what,
        found=answer.found,
        proven=answer.proven,
        key_id=answer.key_id,
        thumbprint=answer.reference.thumbprint,
        key_locations=tuple(place for key in answer.keys for place in key.locations),
        public_locations=tuple(place for each in answer.others for place in each.locations),
    )
    return {"schema": SCHEMA_VERSION, "kind": "answer", "answer": document(record)}


def answer_rows(answers: Sequence[Answer]) -> Iterator[tuple[object, ...]]:
    """Yield the rows of CSV (see `COLUMNS`)."""
    for each in answers:
        about = (each.reference.given, each.reference.what, each.found, each.key_id, each.reference.thumbprint)
        places = [place for key in each.keys for place in key.locations]
        for place in places:
            process = place.process
            owner = (None, None) if process is None else (process.pid, process.name)
            yield (*about, place.file, *owner, _address(place), place.file_offset, place.encoding)
        if not places:
            yield (*about, *(None for _ in COLUMNS[len(about) :]))


def answer_lines(answers: Sequence[Answer], searched: Searched) -> Iterator[str]:
    """Yield answers as lines for people."""
    for each in answers:
        yield printable(f"{each.reference.given}: {each.reference.what}")
        for line in _lines(each, searched):
            yield f"  {printable(line)}"


def _lines(answer: Answer, searched: Searched) -> Iterator[str]:
    if answer.found:
        for key in answer.keys:
            count = key.place_count
            more = f", at {count} places" if count > 1 else ""
            what = "its private key IS here" if key.proof else "what may be its private key, unproven, is here"
            yield f"{what} ({algorithm_label(key.algorithm, key.curve or key.bits)}{more}):"
            yield from (f"  {_place(place)}" for place in key.locations[:MAX_PLACES])
            if count > MAX_PLACES:
                yield f"  … and {count - MAX_PLACES} more: see --format json"
        return
    if not searched.dumps:
        yield "unknown: no dump could be read"
        return
    dumps = "1 dump" if searched.dumps == 1 else f"{searched.dumps} dumps"
    doubt = f" ({searched.incomplete} could not be read whole)" if searched.incomplete else ""
    yield f"its private key was not found in {dumps}{doubt}"
    if answer.key_id is None:
        yield "nor was the certificate, so its public key is not known: give the certificate itself to search by key"
    for other in answer.others[:1]:
        what = "the certificate" if isinstance(other, Certificate) else "its public key"
        yield f"{what} is here: {_place(other.locations[0])}"
    if searched.locked:
        containers = "1 encrypted container" if searched.locked == 1 else f"{searched.locked} encrypted containers"
        yield f"{containers} found there may hold any key"


def _place(place: Location) -> str:
    process = place.process
    owner = ""
    if process is not None:
        owner = " ".join(str(part) for part in (process.name, process.pid) if part is not None)
    return f"{owner or 'no process'} at {_address(place)} in {place.file} ({place.encoding})"


def _address(place: Location) -> str:
    if place.virtual_address is not None:
        return f"{place.virtual_address:#x}"
    return "an unknown address" if place.physical_address is None else f"physical {place.physical_address:#x}"
