"""A scenario's tables, read with types checked: an error names the file, the table, the key and what was expected."""

from __future__ import annotations

import difflib
import re
import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from dumpscan.exceptions import ScenarioError, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_MAXIMUM_FILE = 4 << 20
"""Bytes of a scenario file: a scenario is written by hand."""
_SIZE = re.compile(r"(\d{1,15}) ?(B|KiB|MiB|GiB)")
_SHOWN_OPTIONS = 32
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

D = TypeVar("D")
V = TypeVar("V")


class _Missing:
    """Stands for a key without a default: it must be there."""


REQUIRED = _Missing()


class Table:
    """One table of a scenario. Every key that is read is ticked off; `finish` refuses the ones that nobody read."""

    def __init__(self, path: Path, name: str, values: dict[str, Any]) -> None:
        self.path = path
        self.name = name
        self._values = values
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """Whether the table has `key`."""
        return key in self._values

    def error(self, key: str | None, problem: str) -> ScenarioError:
        """Return (not raise) an error about `key`, or about the table as a whole."""
        where = f"[{self.name}]" if self.name else "the top level"
        of = "" if key is None else f" {key}"
        return ScenarioError(f"{self.path}: {where}{of}: {problem}")

    @contextmanager
    def blamed(self, key: str | None = None) -> Iterator[None]:
        """Give the errors of what is built from `key` (or from the table) the place that they come from."""
        try:
            yield
        except ScenarioError as error:
            if str(error).startswith(f"{self.path}: "):
                raise
            raise self.error(key, str(error)) from error

    def finish(self) -> None:
        """Refuse keys that nobody has asked for.

        Raises:
            ScenarioError: If there is one.
        """
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = (
                    f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(self._known)) or 'none'}"
                )
                raise self.error(key, f"unknown key; {hint}")

    def keys(self) -> list[str]:
        """Return the table's keys, for tables whose keys are names of the user's own choice; all count as read."""
        self._known.update(self._values)
        return list(self._values)

    def _get(self, key: str, default: D | _Missing, expected: str, convert: Callable[[Any], V | None]) -> V | D:
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
        """Return a string; one that `pattern` matches as a whole, if given."""
        expected = f"a string like {pattern}" if pattern else "a string"

        def convert(value: Any) -> str | None:  # noqa: ANN401 -- whatever the file holds
            return value if isinstance(value, str) and (not pattern or re.fullmatch(pattern, value)) else None

        return self._get(key, default, expected, convert)

    def choice(self, key: str, options: Sequence[str], default: D | _Missing = REQUIRED) -> str | D:
        """Return one of `options`."""
        expected = f"one of {_listed(options)}" if options else "a name, of which there are none yet"

        def convert(value: Any) -> str | None:  # noqa: ANN401 -- whatever the file holds
            return value if isinstance(value, str) and value in options else None

        return self._get(key, default, expected, convert)

    def integer(
        self, key: str, default: D | _Missing = REQUIRED, *, minimum: int = 0, maximum: int = (1 << 63) - 1
    ) -> int | D:
        """Return an integer from `minimum` to `maximum`."""
        span = f"the integer {minimum}" if minimum == maximum else f"an integer from {minimum} to {maximum:#x}"

        def convert(value: Any) -> int | None:  # noqa: ANN401 -- whatever the file holds
            return value if type(value) is int and minimum <= value <= maximum else None

        return self._get(key, default, span, convert)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        return self._get(key, default, "true or false", lambda value: value if isinstance(value, bool) else None)

    def size(self, key: str, default: int | _Missing = REQUIRED, *, maximum: int = 1 << 40) -> int:
        """Return a size in bytes, given as an integer or with a unit."""

        def convert(value: Any) -> int | None:  # noqa: ANN401 -- whatever the file holds
            if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
                value = int(match[1]) * _UNITS[match[2]]
            return value if type(value) is int and 0 < value <= maximum else None

        return self._get(key, default, f'a size up to {maximum >> 20} MiB such as 4096 or "64 KiB"', convert)

    def texts(self, key: str, default: tuple[str, ...] | _Missing = ()) -> tuple[str, ...]:
        """Return a list of strings."""

        def convert(value: Any) -> tuple[str, ...] | None:  # noqa: ANN401 -- whatever the file holds
            return tuple(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else None

        return self._get(key, default, "a list of strings", convert)

    def sizes(self, key: str) -> tuple[int, ...]:
        """Return a list of sizes or offsets in bytes."""

        def convert(value: Any) -> tuple[int, ...] | None:  # noqa: ANN401 -- whatever the file holds
            items = (
                [Table(self.path, self.name, {key: item}).size(key) for item in value or ()] if _list(value) else None
            )
            return None if items is None else tuple(items)

        return self._get(key, (), "a list of sizes", convert)

    def moment(self, key: str, default: D | _Missing = REQUIRED) -> datetime | D:
        """Return a date and time with its offset from UTC, as UTC."""

        def convert(value: Any) -> datetime | None:  # noqa: ANN401 -- whatever the file holds
            try:
                return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else None
            except OverflowError:
                return None

        return self._get(key, default, "a date and time with an offset such as 2024-05-17T09:31:08Z", convert)

    def table(self, key: str, *, required: bool = False) -> Table:
        """Return a table; an empty one if it may be missing and is."""
        default = REQUIRED if required else Table(self.path, self._below(key), {})
        return self._get(
            key,
            default,
            f"a table [{self._below(key)}]",
            lambda value: Table(self.path, self._below(key), value) if isinstance(value, dict) else None,
        )

    def tables(self, key: str) -> list[Table]:
        """Return a list of tables; an empty one if it is missing."""

        def convert(value: Any) -> list[Table] | None:  # noqa: ANN401 -- whatever the file holds
            if not _list(value) or not all(isinstance(item, dict) for item in value):
                return None
            return [Table(self.path, f"{self._below(key)} #{index}", item) for index, item in enumerate(value, 1)]

        return self._get(key, [], f"tables [[{self._below(key)}]]", convert)

    def _below(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def _list(value: Any) -> bool:  # noqa: ANN401 -- whatever the file holds
    return isinstance(value, list)


def _listed(options: Sequence[str]) -> str:
    """Return the options for a message, the first of them if they are many."""
    shown = ", ".join(options[:_SHOWN_OPTIONS])
    return shown if len(options) <= _SHOWN_OPTIONS else f"{shown} ... ({len(options)} in all)"


def _shown(value: Any) -> str:  # noqa: ANN401 -- whatever the file holds
    """Return what the file says, short enough for a message."""
    text = "a table" if isinstance(value, dict) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 -- columns of a message


def load_scenario(path: Path) -> Table:
    """Return the top level of a scenario file.

    Raises:
        ScenarioError: If it cannot be read or is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAXIMUM_FILE + 1)
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: cannot be read: {reason(error)}") from error
    if len(content) > _MAXIMUM_FILE:
        raise ScenarioError(f"{path}: larger than {_MAXIMUM_FILE >> 20} MiB; expected a scenario in TOML")
    try:
        return Table(path, "", tomllib.loads(content.decode()))
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: not UTF-8 at offset {error.start:#x}; expected a scenario in TOML") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from error
