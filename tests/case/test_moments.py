"""What was valid when a dump was made counts: live at capture or now, unless one of the two is asked for."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dumpscan.case.gate import reasons
from dumpscan.case.moments import At
from dumpscan.case.records import Exposure
from dumpscan.case.rules import GateRule
from dumpscan.case.store.reader import Case
from dumpscan.findings import Validity
from dumpscan.output.case_summary import case_summary
from support import output_samples as samples
from support.case_samples import result, write_case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dumpscan.case.store.writer import DumpResult

THEN, LATER, NOW = (datetime(year, 5, 17, tzinfo=UTC) for year in (2024, 2025, 2026))
SINCE, UNTIL = datetime(2023, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
WEB, KEY, *_ = samples.findings()
ENDED = replace(WEB, not_before=SINCE, not_after=UNTIL)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("at", "captured", "state"),
    [
        (At(NOW), (THEN,), Validity.VALID),
        (At(NOW), (LATER,), Validity.EXPIRED),
        (At(NOW), (LATER, THEN), Validity.VALID),
        (At(NOW), (None,), Validity.EXPIRED),
        (At(NOW), (), Validity.EXPIRED),
        (At.on(NOW), (THEN,), Validity.EXPIRED),
        (At.on(THEN), (LATER,), Validity.VALID),
        (At(NOW, present=False), (THEN,), Validity.VALID),
        (At(THEN, present=False), (LATER,), Validity.EXPIRED),
        (At(THEN, present=False), (None,), Validity.VALID),
        (At.on(datetime(2020, 1, 1, tzinfo=UTC)), (), Validity.FUTURE),
    ],
)
def test_moments(at: At, captured: tuple[datetime | None, ...], state: Validity) -> None:
    assert at.validity(SINCE, UNTIL, captured) is state


def dump(path: str, captured: datetime | None, *found: object) -> DumpResult:
    return result(path, *found, captured=captured)  # type: ignore[arg-type]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return write_case(tmp_path / "a.case", dump("/a.dmp", THEN, KEY, ENDED), dump("/b.dmp", None))


@pytest.mark.parametrize(
    ("at", "exposure", "live", "expired"),
    [
        (At(NOW), Exposure.LIVE, 1, 0),
        (At.on(NOW), Exposure.PAIRED, 0, 1),
        (At.on(THEN), Exposure.LIVE, 1, 0),
        (At(NOW, present=False), Exposure.LIVE, 1, 0),
    ],
)
def test_a_case_is_judged_by_them(case: Path, at: At, exposure: Exposure, live: int, expired: int) -> None:
    with Case.open(case) as opened:
        assert [dump.captured for dump in opened.dumps()] == [THEN, None]
        (key,) = opened.exposed_keys(at)
        summary = opened.summary(at)
        rules = [GateRule.LIVE_KEY, GateRule.EXPIRED]
        broken = [each.rule for each in reasons(opened, rules, dumps=["/a.dmp"], now=at)]
    assert (key.exposure, key.captured) == (exposure, (THEN,))
    assert summary.keys[exposure] == 1
    assert (summary.live_certificates, summary.expired_certificates) == (live, expired)
    assert broken == ([GateRule.LIVE_KEY] if live else [GateRule.EXPIRED])


def test_the_time_of_another_dump_does_not_count(tmp_path: Path) -> None:
    path = write_case(tmp_path / "a.case", dump("/a.dmp", LATER, KEY, ENDED), dump("/b.dmp", THEN))
    with Case.open(path) as opened:
        assert [each.exposure for each in opened.exposed_keys(At(NOW))] == [Exposure.PAIRED]
        assert opened.summary(At(NOW)).keys[Exposure.PAIRED] == 1


def test_the_summary_says_when(case: Path) -> None:
    with Case.open(case) as opened:
        lines = case_summary(opened.summary(At(NOW)), opened.exposed_keys(At(NOW)), [], At(NOW))
    assert lines[0] == "Private keys with a certificate that is valid now, or was when captured: 1"
    assert "valid when captured (2024-05-17), expired now" in lines[1]


@pytest.mark.parametrize(
    ("at", "heading"),
    [
        (lambda: At.on(datetime(2024, 6, 1, tzinfo=UTC)), "with a certificate that is valid on 2024-06-01: 1"),
        (At.captured, "with a certificate that is valid when captured: 1"),
        (lambda: At.on(datetime.now(UTC)), "with certificates, none of them valid now: 1"),
    ],
)
def test_the_heading_names_the_moment(case: Path, at: Callable[[], At], heading: str) -> None:
    moment = at()
    with Case.open(case) as opened:
        lines = case_summary(opened.summary(moment), opened.exposed_keys(moment), [], moment)
    assert lines[0] == f"Private keys {heading}"


def test_a_case_of_an_older_version_can_be_read(case: Path) -> None:
    with sqlite3.connect(case) as connection:
        connection.executescript("ALTER TABLE dumps DROP COLUMN captured; PRAGMA user_version = 2;")
    with Case.open(case) as opened:
        assert not opened.has_captured
        assert [each.exposure for each in opened.exposed_keys(At(NOW))] == [Exposure.PAIRED]
        assert opened.summary(At(NOW)).keys[Exposure.PAIRED] == 1
        assert [each.captured for each in opened.dumps()] == [None, None]
