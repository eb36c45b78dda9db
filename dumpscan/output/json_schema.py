"""The JSON Schema (draft 2020-12) of the JSON output, derived from the dataclasses as the output itself is.

`python -m dumpscan.output.json_schema docs/json-schema` writes it. Further properties are allowed: a new field of a
finding does not change the version of the records.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import typing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dumpscan.files import PUBLIC, whole_file
from dumpscan.findings import KINDS, SCHEMA_VERSION, InputStatus, Process
from dumpscan.memory.formats import KINDS as DUMP_KINDS
from dumpscan.output.answers import AnswerRecord
from dumpscan.output.fields import element, hints, is_document, required
from dumpscan.output.records import SymbolsNeed
from dumpscan.redact.report import Redaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SIMPLE: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
}


def schemas() -> dict[str, Schema]:
    """Return the schemas by the names of their files: of a record, and of the document of `--format json`."""
    record = _Definitions()
    document = _Definitions()
    return {
        "record.schema.json": {
            "$schema": _DIALECT,
            "title": "A record of dumpscan: a line of `--format jsonl`",
            **record.any_record(),
            "$defs": record.definitions,
        },
        "document.schema.json": {
            "$schema": _DIALECT,
            "title": "The output of dumpscan with `--format json`",
            **_object(
                {
                    "dumpscan": _object(
                        {
                            "version": {"type": "string", "description": "Version of dumpscan."},
                            "schema": _version(),
                            "command": {"type": "string", "description": "The command that ran."},
                        }
                    ),
                    "inputs": {"type": "array", "items": document.reference(InputStatus)},
                    "findings": {"type": "array", "items": document.any_record()},
                }
            ),
            "$defs": document.definitions,
        },
    }


class _Definitions:
    """Schemas of dataclasses, each defined once and referred to by its name."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def any_record(self) -> Schema:
        """Return the schema of a record of any kind."""
        for kind in KINDS:
            own = self._document(kind)
            self._record(kind.kind, own["properties"], own["required"], own.get("description", ""))
        process = self._document(Process)
        notes = process["properties"].pop("notes")
        process["required"] = [name for name in process["required"] if name not in {"notes", "env_vars"}]
        self._record("process", {"dump": _dump(), "process": process, "notes": notes})
        self._record("symbols", {"dump": _dump(), "symbols": self._document(SymbolsNeed)})
        self._record("answer", {"answer": self._document(AnswerRecord)})
        self._record("redaction", {"redaction": self._document(Redaction)})
        for dump in DUMP_KINDS:
            about = f"What a dump of kind `{dump}` says of itself: plain values, objects and lists of any depth."
            self._record(str(dump), {"dump": _dump(), str(dump): {"type": "object", "description": about}})
        records = [*(kind.kind for kind in KINDS), "process", "symbols", "answer", "redaction", *map(str, DUMP_KINDS)]
        return {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in records]}

    def reference(self, cls: type[DataclassInstance]) -> Schema:
        """Return a reference to a dataclass's schema."""
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
        if name not in self.definitions:
            self.definitions[name] = {}  # its place in the order
            self.definitions[name] = self._document(cls)
        return {"$ref": f"#/$defs/{name}"}

    def _record(
        self, kind: str, properties: Schema, needed: Iterable[str] | None = None, description: str = ""
    ) -> None:
        envelope: Schema = {"schema": _version(), "kind": {"const": kind}}
        whole = _object(envelope | properties, None if needed is None else [*envelope, *needed])
        self.definitions[kind] = ({"description": description} if description else {}) | whole

    def _document(self, cls: type[DataclassInstance]) -> Schema:
        """Return the schema of a dataclass's documents."""
        documented = _attributes(cls)
        root = _object({}, [])
        for name, hint in hints(cls).items():
            kind, always = required(hint)
            *groups, last = name.split(".")
            inner = root
            for group in groups:
                if always and group not in inner["required"]:
                    inner["required"].append(group)
                inner = inner["properties"].setdefault(group, _object({}, []))
            if always:
                inner["required"].append(last)
            about = documented.get(name) or documented.get(last)
            inner["properties"][last] = self._value(kind) | ({"description": about} if about else {})
        return {"description": (inspect.getdoc(cls) or "").partition("\n")[0]} | root

    def _value(self, kind: Any) -> Schema:  # noqa: ANN401 - any annotation
        if is_document(kind):
            return self.reference(kind)
        if inner := element(kind):
            return {"type": "array", "items": self._value(inner)}
        if typing.get_origin(kind) is dict:
            return {"type": "object", "additionalProperties": self._value(typing.get_args(kind)[1])}
        if typing.get_origin(kind) is Literal:
            return {"enum": list(typing.get_args(kind))}
        return dict(_SIMPLE[kind])


def _object(properties: Schema, needed: list[str] | None = None) -> Schema:
    """Return the schema of an object; all of its properties are needed unless it is said which."""
    return {"type": "object", "properties": properties, "required": list(properties) if needed is None else needed}


def _version() -> Schema:
    return {"const": SCHEMA_VERSION, "description": "Version of the records' form."}


def _dump() -> Schema:
    return {"type": "string", "description": "Path of the dump, as it was given."}


def _attributes(cls: type) -> dict[str, str]:
    """Return what docstrings say of a dataclass's attributes and properties; None in Python is absent in JSON."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, listed = (inspect.cleandoc(base.__doc__ or "")).partition("Attributes:\n")
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.MULTILINE):
            found[name] = re.sub(r"\bNone\b", "absent", re.sub(r"\s+", " ", text))
        found |= {name: inspect.getdoc(each) or "" for name, each in vars(base).items() if isinstance(each, property)}
    return found


def main(directory: str) -> None:
    """Write the schemas into a directory."""
    for name, schema in schemas().items():
        with whole_file(Path(directory) / name, mode=PUBLIC) as file:
            file.write(f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1])
