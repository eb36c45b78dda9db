"""Tables of a scenario file, read with their types checked.

Every error names the file, the table, the key and what was expected.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from dumpscan.exceptions import ScenarioError, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

_MAX_FILE = 4 << 20
"""Bytes of a scenario file. Scenarios are written by hand."""
_MAX_SHOWN_OPTIONS = 32
_MAX_SHOWN_COLUMNS = 60
_SIZE = re.compile(r"(\d{1,15}) ?(B|KiB|MiB|GiB)")
_NUMBERS = r" *|( *\d{1,7} *(- *\d{1,7} *)?(, *\d{1,7} *(- *\d{1,7} *)?)*)"
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

D = TypeVar("D")
V = TypeVar("V")


class _Missing:
    """The default of a key that has none: the key is required."""


REQUIRED = _Missing()


class Table:
    """One table of a scenario. It notes which keys were read; `finish` refuses the others."""

    def __init__(self, path: Path, name: str, values: dict[str, Any]) -> None:
        self.path = path
        self.name = name
        self._values = values
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """Return whether the table has `key`."""
        return key in self._values

    def error(self, key: str | None, problem: str) -> ScenarioError:
        """Return an error about `key`, or about the whole table if `key` is None."""
        where = f"[{self.name}]" if self.name else "the top level"
        of = "" if key is None else f" {key}"
        return ScenarioError(f"{self.path}: {where}{of}: {problem}")

    @contextmanager
    def blamed(self, key: str | None = None) -> Iterator[None]:
        """Prefix a `ScenarioError` raised inside the block with this table and `key`, unless it names its place."""
        try:
            yield
        except ScenarioError as error:
            if str(error).startswith(f"{self.path}: "):
                raise
            raise self.error(key, str(error)) from error

    def finish(self) -> None:
        """Refuse the keys that nobody has read.

        Raises:
            ScenarioError: If there is one.
        """
        for key in [key for key in self._values if key not in self._known]:
            near = difflib.get_close_matches(key, self._known, 1)
            known = ", ".join(sorted(self._known)) or "none"
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {known}"
            raise self.error(key, f"unknown key; {hint}")

    def names(self) -> list[str]:
        """Return all keys, which the user has chosen, and count them as read."""
        self._known.update(self._values)
        return list(self._values)

    def _get(self, key: str, default: D | _Missing, expected: str, convert: Callable[[Any], V | None]) -> V | D:
        """Return the converted value of `key`; `convert` returns None for a value that it refuses."""
        self._known.add(key)
        if key not in self._values:
            if isinstance(default, _Missing):
                raise self.error(key, f"missing; expected {expected}")
            return default
        value = convert(self._values[key])
        if value is None:
            raise self.error(key, f"expected {expected}, not {_shown(self._values[key])}")
        return value

    def text(self, key: str, default: D | _Missing = REQUIRED, *, pattern: str | None = None) -> str | D:
        """Return a string. If `pattern` is given, the whole string must match it."""

        def convert(value: object) -> str | None:
            return value if isinstance(value, str) and (not pattern or re.fullmatch(pattern, value)) else None

        return self._get(key, default, f"a string like {pattern}" if pattern else "a string", convert)

    def choice(self, key: str, options: Collection[str], default: D | _Missing = REQUIRED) -> str | D:
        """Return one of `options`."""
        expected = f"one of {_listed([*options])}" if options else "a name, of which there are none yet"

        def convert(value: object) -> str | None:
            return value if isinstance(value, str) and value in options else None

        return self._get(key, default, expected, convert)

    def integer(
        self, key: str, default: D | _Missing = REQUIRED, *, minimum: int = 0, maximum: int = (1 << 63) - 1
    ) -> int | D:
        """Return an integer from `minimum` to `maximum`."""
        span = f"the integer {minimum}" if minimum == maximum else f"an integer from {minimum} to {maximum:#x}"

        def convert(value: object) -> int | None:
            return value if type(value) is int and minimum <= value <= maximum else None

        return self._get(key, default, span, convert)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        return self._get(key, default, "true or false", lambda value: value if isinstance(value, bool) else None)

    def size(self, key: str, default: int | _Missing = REQUIRED, *, maximum: int = 1 << 40) -> int:
        """Return a size in bytes, written as an integer or as text with a unit."""
        expected = f'a size up to {maximum >> 20} MiB such as 4096 or "64 KiB"'
        return self._get(key, default, expected, lambda value: _size(value, maximum))

    def sizes(self, key: str, *, maximum: int = 1 << 40) -> tuple[int, ...]:
        """Return a list of sizes or offsets in bytes; an empty one if `key` is missing."""
        expected = f'a list of sizes up to {maximum >> 20} MiB such as 4096 or "64 KiB"'
        return self._get(key, (), expected, lambda value: _all(value, lambda item: _size(item, maximum)))

    def numbers(self, key: str, limit: int) -> tuple[int, ...]:
        """Return a list of numbers below `limit` that is written like "0-3, 9"."""
        found: list[int] = []
        for part in filter(None, self.text(key, "", pattern=_NUMBERS).replace(" ", "").split(",")):
            first, _, last = part.partition("-")
            if not int(first) <= int(last or first) < limit:
                raise self.error(key, f"{part!r}: expected numbers below {limit}, ascending")
            found.extend(range(int(first), int(last or first) + 1))
        return tuple(found)

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a list of strings."""

        def convert(value: object) -> str | None:
            return value if isinstance(value, str) else None

        return self._get(key, default, "a list of strings", lambda value: _all(value, convert))

    def moment(self, key: str, default: D | _Missing = REQUIRED) -> datetime | D:
        """Return a date and time as UTC. The file must give its offset from UTC."""

        def convert(value: object) -> datetime | None:
            try:
                return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else None
            except OverflowError:
                return None

        return self._get(key, default, "a date and time with an offset such as 2024-05-17T09:31:08Z", convert)

    def table(self, key: str, *, required: bool = False) -> Table:
        """Return a table; an empty one if it is missing and not `required`."""
        name = f"{self.name}.{key}" if self.name else key
        default = REQUIRED if required else Table(self.path, name, {})

        def convert(value: object) -> Table | None:
            return Table(self.path, name, value) if isinstance(value, dict) else None

        return self._get(key, default, f"a table [{name}]", convert)

    def tables(self, key: str) -> list[Table]:
        """Return a list of tables; an empty one if it is missing."""
        name = f"{self.name}.{key}" if self.name else key
        rows = self._get(
            key,
            (),
            f"tables [[{name}]]",
            lambda value: _all(value, lambda item: item if isinstance(item, dict) else None),
        )
        return [Table(self.path, f"{name} #{number}", row) for number, row in enumerate(rows, 1)]

    def read(self, parse: Callable[[Table], V]) -> V:
        """Return the result of `parse` for this table, and refuse keys that it did not read."""
        value = parse(self)
        self.finish()
        return value

    def each(self, key: str, parse: Callable[[Table], V]) -> tuple[V, ...]:
        """Return the result of `parse` for each table of a list, and refuse keys that it did not read."""
        return tuple(table.read(parse) for table in self.tables(key))


def _size(value: object, maximum: int) -> int | None:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        value = int(match[1]) * _UNITS[match[2]]
    return value if type(value) is int and 0 < value <= maximum else None


def _all(value: object, convert: Callable[[Any], V | None]) -> tuple[V, ...] | None:
    """Return the converted items of a list; None if it is no list or an item is refused."""
    if not isinstance(value, list):
        return None
    items = [converted for item in value if (converted := convert(item)) is not None]
    return tuple(items) if len(items) == len(value) else None


def _listed(options: Sequence[str]) -> str:
    """Return the options for a message, only the first of them if there are many."""
    shown = ", ".join(options[:_MAX_SHOWN_OPTIONS])
    return shown if len(options) <= _MAX_SHOWN_OPTIONS else f"{shown} ... ({len(options)} in all)"


def _shown(value: object) -> str:
    """Return a value of the file, short enough for a message."""
    text = "a table" if isinstance(value, dict) else repr(value)
    return text if len(text) <= _MAX_SHOWN_COLUMNS else f"{text[: _MAX_SHOWN_COLUMNS - 3]}..."


def load_scenario(path: Path) -> Table:
    """Return the top level of a scenario file.

    Raises:
        ScenarioError: If the file cannot be read or is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: cannot be read: {reason(error)}") from error
    if len(content) > _MAX_FILE:
        raise ScenarioError(f"{path}: larger than {_MAX_FILE >> 20} MiB; expected a scenario in TOML")
    try:
        return Table(path, "", tomllib.loads(content.decode()))
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: not UTF-8 at offset {error.start:#x}; expected a scenario in TOML") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from error
