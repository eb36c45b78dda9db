"""The checked-in JSON Schema: what the dataclasses give, and what real output of every kind satisfies."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dumpscan.findings import KINDS
from dumpscan.memory.formats import KINDS as DUMP_KINDS
from dumpscan.output.formats.registry import make_renderer
from dumpscan.output.formats.render import View
from dumpscan.output.json_schema import main, schemas
from dumpscan.output.records import finding_record
from support import record_samples as samples
from support.corpus import ROOT
from support.kernel_images import Lab, build_lab

jsonschema = pytest.importorskip("jsonschema")

DIRECTORY = ROOT / "docs" / "json-schema"
GOLDEN = Path(__file__).with_name("golden")
SAMPLE = ROOT / "sample_dumps" / "webserver.dmp"


def closed(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Forbid what the schema does not name, so that nothing goes undescribed."""
    match schema:
        case dict():
            found = {name: closed(value) for name, value in schema.items()}
            return found | ({"additionalProperties": False} if isinstance(found.get("properties"), dict) else {})
        case list():
            return [closed(value) for value in schema]
        case _:
            return schema


def errors(name: str, instance: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(closed(schemas()[name]))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]


def test_the_schemas_that_are_checked_in_are_those_of_the_code(tmp_path: Path) -> None:
    main(str(tmp_path))
    assert {path.name for path in DIRECTORY.iterdir()} == {path.name for path in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        assert path.read_text() == (DIRECTORY / path.name).read_text(), "run: python -m dumpscan.output.json_schema"


@pytest.mark.parametrize("name", schemas())
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas()[name])
    kinds = {each["$ref"].rpartition("/")[2] for each in schemas()["record.schema.json"]["oneOf"]}
    assert kinds == {*(kind.kind for kind in KINDS), "process", "symbols", "answer", "redaction", *map(str, DUMP_KINDS)}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json*")), ids=lambda path: path.name)
def test_output_of_every_kind_satisfies_them(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".json":
        assert not errors("document.schema.json", json.loads(text))
    else:
        assert not [error for line in text.splitlines() for error in errors("record.schema.json", json.loads(line))]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return build_lab(tmp_path_factory.mktemp("lab"))


@pytest.mark.parametrize("command", ["info", "pslist", "cmdline", "envars", "scan", "keys", "symbols needed"])
def test_output_of_the_commands_satisfies_them(command: str, lab: Lab) -> None:
    arguments = [*command.split(), str(lab.image), "--symbols", str(lab.symbols), "--format", "json"]
    if command != "symbols needed":
        arguments += [str(SAMPLE), str(ROOT / "README.md")]
    done = subprocess.run([sys.executable, "-m", "dumpscan", *arguments], capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert document["findings"]
    assert document["inputs"]
    assert not errors("document.schema.json", document)


def test_they_would_notice_what_is_wrong() -> None:
    stream = io.StringIO()
    renderer = make_renderer("json", command="x", view=View.FINDINGS, stream=stream)
    renderer.add(finding_record(samples.CERTIFICATE))
    renderer.close()
    good = json.loads(stream.getvalue())
    assert not errors("document.schema.json", good)
    changes: list[tuple[tuple[Any, ...], Any]] = [
        (("findings", 0, "size"), "1"),
        (("findings", 0, "kind"), "nothing"),
        (("findings", 0, "x509", "not_after"), 5),
        (("findings", 0, "locations", 0, "extents", 0, "length"), None),
        (("findings", 0, "locations", 0, "undescribed"), 1),
        (("dumpscan", "schema"), 99),
        (("inputs",), [{"file": "a", "status": "pending", "problems": []}]),
    ]
    for path, value in changes:
        bad = copy.deepcopy(good)
        inner = bad
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        assert errors("document.schema.json", bad), path
