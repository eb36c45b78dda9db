"""Every error in a scenario names the file, the table, the key and what was expected."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.exceptions import ScenarioError
from dumpscan.synth.toml_table import Table, load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
GETTERS: dict[str, Callable[[Table], Any]] = {
    "text": lambda table: table.text("key"),
    "pattern": lambda table: table.text("key", pattern="[a-z]+"),
    "choice": lambda table: table.choice("key", ("one", "two")),
    "no choice": lambda table: table.choice("key", ()),
    "integer": lambda table: table.integer("key", minimum=-5, maximum=500),
    "flag": lambda table: table.flag("key"),
    "size": lambda table: table.size("key"),
    "sizes": lambda table: table.sizes("key"),
    "texts": lambda table: table.texts("key"),
    "moment": lambda table: table.moment("key"),
    "table": lambda table: table.table("key", required=True),
    "tables": lambda table: table.tables("key"),
}


def table(path: Path, **values: Any) -> Table:  # noqa: ANN401 -- whatever a file can hold
    return Table(path, "process.regions #2", values)


@pytest.mark.parametrize("getter", GETTERS)
@given(value=VALUES)
def test_any_value_is_taken_or_refused_with_a_message(getter: str, value: Any) -> None:  # noqa: ANN401
    values = table(Path("x.toml"), key=value)
    message = ""
    try:
        GETTERS[getter](values)
    except ScenarioError as error:
        message = str(error)
    assert not message or message.startswith("x.toml: [process.regions #2] key: expected ")
    assert len(message) < 400
    values.finish()


@pytest.mark.parametrize("getter", [name for name in GETTERS if name not in ("flag", "sizes", "texts", "tables")])
def test_missing_required_keys_are_errors(tmp_path: Path, getter: str) -> None:
    with pytest.raises(ScenarioError, match=r"\[process.regions #2\] key: missing; expected "):
        GETTERS[getter](table(tmp_path))


@pytest.mark.parametrize(
    ("value", "bytes_"), [(1, 1), ("512 B", 512), ("64KiB", 65536), ("3 MiB", 3 << 20), ("2 GiB", 2 << 30)]
)
def test_sizes_have_units(tmp_path: Path, value: int | str, bytes_: int) -> None:
    assert table(tmp_path, key=value).size("key") == bytes_
    assert table(tmp_path, key=[value, value]).sizes("key") == (bytes_, bytes_)


@pytest.mark.parametrize(
    "value", [0, -1, True, 1.5, "64 KB", "KiB", "64  KiB", "-1 KiB", "1024 GiB1", "2048 GiB", 1 << 50]
)
def test_other_sizes_are_refused(tmp_path: Path, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(ScenarioError, match="expected a size up to"):
        table(tmp_path, key=value).size("key")


def test_booleans_are_no_integers(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="an integer from 0"):
        table(tmp_path, key=True).integer("key")


def test_times_need_an_offset_and_become_utc(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        "a = 2024-05-17T09:31:08+02:00\nb = 2024-05-17T09:31:08\nc = 2024-05-17\nd = 0001-01-01T00:00:00+14:00\n"
    )
    root = load_scenario(path)
    assert root.moment("a") == datetime(2024, 5, 17, 7, 31, 8, tzinfo=UTC)
    for key in "bcd":
        with pytest.raises(ScenarioError, match=f"the top level {key}: expected a date and time with an offset"):
            root.moment(key)


def test_unknown_keys_are_refused_with_a_hint(tmp_path: Path) -> None:
    values = table(tmp_path, nmae="x", size=1)
    assert values.text("name", None) is None
    assert values.size("size") == 1
    with pytest.raises(ScenarioError, match=r"nmae: unknown key; did you mean 'name'\?"):
        values.finish()
    strange = table(tmp_path, zzz=1)
    strange.text("name", None)
    with pytest.raises(ScenarioError, match="zzz: unknown key; known keys: name"):
        strange.finish()


def test_errors_of_what_is_built_get_their_place(tmp_path: Path) -> None:
    values = Table(tmp_path / "x.toml", "objects.a", {})
    with pytest.raises(ScenarioError, match=r"x.toml: \[objects.a\] subject: no name$"), values.blamed("subject"):
        raise ScenarioError("no name")
    with pytest.raises(ScenarioError, match=r"x.toml: \[objects.a\]: no name$"), values.blamed():
        raise ScenarioError("no name")
    with pytest.raises(ScenarioError) as caught, values.blamed(), values.blamed("inner"):
        raise ScenarioError("no name")
    assert str(caught.value).count("x.toml") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = \nb = 1", "not TOML: .*line 1"),
        (b"a = 1\na = 2\nb = 1", "not TOML: .*line 2"),
        (b"a = '\xff'", "not UTF-8 at offset 0x5"),
        (b"#" * (5 << 20), "larger than 4 MiB"),
        (b"a = " + b"[" * 20_000 + b"]" * 20_000, "not TOML"),
        (b"MDMP\x93\xa7\0\0", "expected a scenario in TOML|not TOML"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=message) as caught:
        load_scenario(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ScenarioError, match="cannot be read: "):
            load_scenario(path)
