"""Every field of every record has its place in a case file, and comes back as it was."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_type_hints

import pytest

from dumpscan import findings
from dumpscan.case.store import rows
from dumpscan.case.store.reader import Case
from dumpscan.findings import Finding, KeyObject, Location, Process
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from pathlib import Path

PLACED = {"locations", "location_count", "sha256", "size"}


def value_of(name: str, hint: Any) -> object:  # noqa: ANN401 - any type
    """Return a value of a type that is not the default."""
    if name in {"key_id", "secret_id", "sha256"}:
        return "ab" * 32
    if name == "thumbprint":
        return "AB" * 20
    for kind, value in (
        (tuple[str, ...], (name, "b")),
        (tuple[int, ...], (5, 6)),
        (tuple[tuple[str, str], ...], ((name, "b"),)),
        (tuple[tuple[int, int], ...], ((1, 2),)),
        (tuple[int, int], (3, 4)),
        (bytes, b"x" + name.encode()),
        (bool, True),
        (int, 77),
        (str, f"{name}\u202e"),
        (datetime, datetime(2025, 1, 1, tzinfo=UTC)),
    ):
        if hint == kind or kind in get_args(hint):
            return value
    raise TypeError(f"{name}: a case file does not keep {hint}: add its type to `rows._READERS`, or name it in `KINDS`")


def filled(cls: type[Any], **given: object) -> Any:  # noqa: ANN401 - an instance of it
    hints = get_type_hints(cls)
    values = {each.name: value_of(each.name, hints[each.name]) for each in fields(cls) if each.name not in given}
    for each in fields(cls):
        if isinstance(each.default, bool) and each.name in values:
            values[each.name] = not each.default
    return cls(**values, **given)


def kinds() -> list[type[Finding]]:
    found = [each for each in vars(findings).values() if isinstance(each, type) and issubclass(each, Finding)]
    return [each for each in found if each is not Finding]


def test_every_kind_of_finding_has_a_table() -> None:
    assert {each.kind for each in kinds()} == set(rows.KINDS)


@pytest.mark.parametrize("cls", kinds(), ids=lambda cls: cls.kind)
def test_every_field_comes_back(cls: type[Finding], tmp_path: Path) -> None:
    process = filled(Process, environment=("A=b",))
    place = filled(Location, file="/a", key_object=filled(KeyObject), process=process)
    derived = {name: () for name in rows.KINDS[cls.kind].derived if name != "needs_support"}
    if "needs_support" in rows.KINDS[cls.kind].derived:
        derived["needs_support"] = False  # type: ignore[assignment]
    given = filled(cls, size=1, locations=(place,), location_count=1, **derived)
    dump = result("/a", given, processes=(process,))
    with Case.open(write_case(tmp_path / "case.db", dump), secrets=True) as case:
        assert case.dumps() == [dump.record]
        (found,) = case.findings()
    kept = {name: getattr(found, name) for name in derived}
    assert {each.name: getattr(found, each.name) for each in fields(cls)} == {
        each.name: getattr(given, each.name) for each in fields(cls)
    } | kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Finding):
    """A kind of finding that somebody adds."""

    kind: ClassVar[str] = "ticket"

    realm: str
    key: bytes = field(repr=False)
    ends: datetime | None = None
    names: tuple[str, ...] = ()


def test_a_new_kind_takes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = rows.Kind(Ticket, secret="key")  # noqa: S106 - a field's name
    monkeypatch.setitem(rows.KINDS, Ticket.kind, line)  # type: ignore[arg-type]
    place = filled(Location, file="/a", key_object=None, process=None)
    given = [
        Ticket(sha256=f"{number:064x}", size=1, locations=(place,), location_count=1, realm="R", key=b"k", **more)  # type: ignore[arg-type]
        for number, more in enumerate(({}, {"ends": datetime(2025, 1, 1, tzinfo=UTC), "names": ("a", "b")}))
    ]
    path = write_case(tmp_path / "case.db", result("/a", *given))
    with Case.open(path, secrets=True) as case:
        assert list(case.findings()) == given
        assert case.summary().findings["ticket"] == 2


def test_a_finding_that_was_given_more_fields_reads_older_rows() -> None:
    assert all(
        each.default is not MISSING or each.default_factory is not MISSING or each.name in columns
        for kind in rows.KINDS.values()
        for columns in [{*kind.own.columns, *PLACED, kind.secret, "proof"}]
        for each in fields(kind.finding)
    )
