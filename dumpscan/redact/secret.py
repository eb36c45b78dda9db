"""What is to go: secrets, and the places where they lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from dumpscan.exceptions import DumpscanError

if TYPE_CHECKING:
    from collections.abc import Iterable


class What(StrEnum):
    """A kind of secret. The values are what `--what` and `--keep` take."""

    PRIVATE_KEYS = "private-keys"
    SYMMETRIC_KEYS = "symmetric-keys"
    CONTAINERS = "containers"
    SESSIONS = "sessions"
    """Secrets of sessions, such as TLS's, and whatever other secret a search reports."""
    ENVIRONMENT = "environment"
    ARGUMENTS = "arguments"
    CREDENTIALS = "credentials"
    CERTIFICATES = "certificates"


DEFAULT_KINDS = frozenset(What) - {What.CERTIFICATES}


class LeftoverError(DumpscanError):
    """The copy still held secrets after the last attempt to remove them; it was not kept."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, as a report may name it.

    Attributes:
        what: Its kind; None for what a user's own pattern or value says.
        label: What it is, in words that reveal nothing: `RSA 2048`, or the name of a variable.
        key_id: Of a key: as in its finding.
        values: Byte strings that give it away, each to be looked for everywhere.
    """

    what: What | None
    label: str
    key_id: str | None = None
    values: tuple[Value, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Value:
    """A byte string that gives a secret away.

    Attributes:
        data: The bytes; of a number, in big-endian order; of a text, in UTF-8.
        part: What it is of the secret: `prime 1`, `schedule` …
        random: Whether any sixteen bytes of it give it away, so that fragments are looked for too.
        number: Whether libraries keep it as words, in either order.
        derived: Whether only libraries hold it, so that it is looked for in binary form only.
        text: Whether it is characters, so that UTF-16 is made of it.
        before: Characters that must stand before it, and stay; without them the value is too short or too common to
            be looked for.
    """

    data: bytes = field(repr=False)
    part: str
    random: bool = True
    number: bool = False
    derived: bool = False
    text: bool = False
    before: bytes = b""


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of the file that are to be overwritten.

    Attributes:
        offset: Of the first byte in the file.
        length: Bytes.
        form: How the secret is written there: an encoding of `Location.encoding`, or a form of `forms`.
        wide: Whether it is UTF-16, so that what replaces it should be too.
    """

    offset: int
    length: int
    form: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user wants removed.

    Attributes:
        kinds: Kinds of secrets.
        keep_environment: Names of environment variables whose values stay, beside the harmless ones.
        expressions: Regular expressions over bytes; what matches goes.
        values: Strings to remove.
    """

    kinds: frozenset[What] = DEFAULT_KINDS
    keep_environment: tuple[str, ...] = ()
    expressions: tuple[bytes, ...] = field(default=(), repr=False)
    values: tuple[bytes, ...] = field(default=(), repr=False)


def merged(places: Iterable[Place]) -> list[Place]:
    """Join places that overlap, by ascending offset; the form is that of the first."""
    joined: list[Place] = []
    for place in sorted(places, key=lambda each: (each.offset, -each.length)):
        last = joined[-1] if joined else None
        if last is None or place.offset >= last.offset + last.length:
            joined.append(place)
        elif place.offset + place.length > last.offset + last.length:
            joined[-1] = Place(last.offset, place.offset + place.length - last.offset, last.form, last.wide)
    return joined
