"""Fields of dataclasses as a table holds them: in columns of their names, or else in the JSON object `details`."""

from __future__ import annotations

from dataclasses import MISSING, fields
from datetime import datetime
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

from dumpscan.case.store.schema import columns
from dumpscan.case.store.values import as_json, detail

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from _typeshed import DataclassInstance

    from dumpscan.case.store.values import Row


class Fields(NamedTuple):
    """The fields of a dataclass, by how a table holds them.

    Attributes:
        columns: Those with a column.
        details: Those without.
    """

    columns: tuple[str, ...]
    details: tuple[str, ...]


@cache
def fields_of(cls: type[DataclassInstance], table: str, without: frozenset[str]) -> Fields:
    """Return how a table holds the fields of a dataclass, `without` some that it does not hold."""
    own = [field.name for field in fields(cls) if field.name not in without]
    there = columns(table)
    return Fields(tuple(name for name in own if name in there), tuple(name for name in own if name not in there))


_READERS: Mapping[Any, str] = {
    str: "text",
    int: "number",
    bool: "flag",
    bytes: "blob",
    datetime: "time",
    tuple[str, ...]: "texts",
    tuple[int, ...]: "numbers",
    tuple[tuple[str, str], ...]: "pairs",
}
"""The method of `Row` that reads a type."""
_FORMS: Mapping[str, str] = {"key_id": "digest", "secret_id": "digest", "thumbprint": "thumbprint"}
"""The method of `Row` that reads a column whose values have a form that their type does not tell."""


class _Reader(NamedTuple):
    """How a field is read.

    Attributes:
        method: The method of `Row` for it.
        may_be_none: Whether it may be None.
        required: Whether it has no default.
    """

    method: str
    may_be_none: bool
    required: bool


@cache
def _readers(cls: type[DataclassInstance]) -> Mapping[str, _Reader]:
    hints = get_type_hints(cls)
    found = {}
    for field in fields(cls):
        hint = hints[field.name]
        may_be_none = NoneType in get_args(hint)
        kind = next(each for each in get_args(hint) if each is not NoneType) if may_be_none else hint
        method = _FORMS.get(field.name) or _READERS.get(kind)
        required = field.default is MISSING and field.default_factory is MISSING
        if method is not None:
            found[field.name] = _Reader(method, may_be_none, required)
    return found


def read_fields(row: Row, cls: type[DataclassInstance], names: Iterable[str]) -> dict[str, Any]:
    """Return fields of a dataclass by name.

    Fields without a column are left out if they have a default: the case file may be of an older version.
    """
    readers = _readers(cls)
    values = {}
    for name in names:
        reader = readers[name]
        if name not in row and not reader.required:
            continue
        read = getattr(row, reader.method)
        values[name] = row.optional(read, name) if reader.may_be_none else read(name)
    return values


def details_of(source: DataclassInstance, names: Collection[str]) -> str:
    """Return fields as a JSON object. Fields that have their default value are left out."""
    if not names:
        return "{}"
    defaults = _defaults(type(source))
    values = {name: getattr(source, name) for name in names}
    return as_json({name: detail(value) for name, value in values.items() if value != defaults[name]})


@cache
def _defaults(cls: type[DataclassInstance]) -> dict[str, object]:
    return {field.name: field.default for field in fields(cls)}


def read_details(row: Row, cls: type[DataclassInstance], names: Collection[str]) -> dict[str, Any]:
    """Return the fields that `details_of` stored. Case files of version 1 have none."""
    if not names or "details" not in row:
        return {}
    details = row.nested("details")
    return read_fields(details, cls, [name for name in names if name in details])
