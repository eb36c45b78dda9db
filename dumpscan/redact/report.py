"""What a redaction did: removed, kept, left unsearched. Nothing in it tells a secret."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from dumpscan._version import __version__
from dumpscan.redact.secret import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dumpscan.redact.secret import Place, Secret

MOST_PLACES = 4096
"""Places told of one secret."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file.

    Attributes:
        file: Its path, as it was given.
        size: Bytes in it.
        sha256: Of its bytes (hex); None if nobody asked for it.
    """

    file: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RemovedPlace:
    """Bytes that were overwritten, or would be.

    Attributes:
        file_offset: Of the first one in the file.
        length: How many they are.
        encoding: How the secret was written there.
    """

    file_offset: int
    length: int
    encoding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A secret that was removed, or would be.

    Attributes:
        what: Its kind, as `--what` names it; `own` for what `--regex` and `--value-file` say.
        label: What it is, e.g. `RSA 2048`, or the name of a variable.
        key_id: Of a key: as in its finding.
        hash: HMAC-SHA-256 of its values (hex), under a key that was made for this report and thrown away: it tells
            whether two entries of the report are one secret, and nothing else.
        place_count: Places in the file, overlapping ones joined.
        size: Bytes at these places.
        places: The places; the first ones, if there are very many.
    """

    what: str
    label: str
    key_id: str | None = None
    hash: str | None = None
    place_count: int
    size: int
    places: tuple[RemovedPlace, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """Findings of a kind that were left where they are.

    Attributes:
        kind: As in their records, e.g. `certificate`.
        count: How many there are.
    """

    kind: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What became of one dump.

    Attributes:
        version: Version of dumpscan.
        source: The dump.
        output: The copy; None where nothing was written.
        fill: What was written over secrets: `pattern` or `zero`.
        only_stacks: Whether only what a stack walk needs was kept.
        rounds: Searches of the copy: the last one found nothing.
        size: Bytes that were overwritten, or would be.
        removed: What was removed.
        kept: Findings that were left where they are, by their kind.
        unknown: Bytes outside all structures of a damaged dump.
        unknown_removed: Whether those were overwritten.
        problems: What is damaged or could not be searched, a sentence each.
        notes: What else is to be known of the copy, and what was not searched for on purpose, a sentence each.
    """

    version: str = __version__
    source: FileDigest
    output: FileDigest | None = None
    fill: str
    only_stacks: bool = False
    rounds: int = 0
    size: int = 0
    removed: tuple[Removed, ...] = ()
    kept: tuple[Kept, ...] = ()
    unknown: int = 0
    unknown_removed: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def removed(places: Mapping[Secret, Iterable[Place]]) -> tuple[Removed, ...]:
    """Describe secrets and their places, by the first place; secrets that lie nowhere are left out."""
    salt = secrets.token_bytes(32)
    found = [_removed(secret, merged(its), salt) for secret, its in places.items() if its]
    return tuple(sorted(found, key=lambda each: (each.places[0].file_offset, each.what, each.label)))


def _removed(secret: Secret, places: list[Place], salt: bytes) -> Removed:
    hashed = hmac.new(salt, digestmod=sha256)
    for value in secret.values:
        hashed.update(value.data)
    return Removed(
        what=secret.what.value if secret.what else "own",
        label=secret.label,
        key_id=secret.key_id,
        hash=hashed.hexdigest() if secret.values and secret.key_id is None else None,
        place_count=len(places),
        size=sum(place.length for place in places),
        places=tuple(RemovedPlace(each.offset, each.length, each.form) for each in places[:MOST_PLACES]),
    )
