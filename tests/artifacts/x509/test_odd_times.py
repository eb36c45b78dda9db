"""Times that DER does not allow and BER does, beside an independent reader."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from dumpscan.artifacts import der
from dumpscan.artifacts.x509.odd_parts import _odd_time

ZONES = st.sampled_from(["Z", "+0100", "-0330", "+1245"])


def read(tag: int, text: str) -> datetime | None:
    return _odd_time(der.Element(tag, b"", text.encode()))


def of_library(kind: type, text: str) -> datetime:
    moment: datetime = kind(contents=text.encode()).native
    return moment.astimezone(UTC)


def times(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Return times of years, a day away from the ends of what a clock of any zone can show."""
    return st.datetimes(datetime.fromisoformat(f"{first:04}-01-02"), datetime.fromisoformat(f"{last}-12-30"))


@given(times(1950, 2049), st.sampled_from(["%y%m%d%H%M", "%y%m%d%H%M%S"]), ZONES)
def test_utc_time(moment: datetime, form: str, zone: str) -> None:
    text = f"{moment:{form}}{zone}"
    assert read(der.UTC_TIME, text) == of_library(core.UTCTime, text)


@given(
    times(1000, 9999),
    st.sampled_from(["%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%d%H%M%S.5"]),
    ZONES,
)
def test_generalized_time(moment: datetime, form: str, zone: str) -> None:
    text = moment.strftime(form) + zone
    assert read(der.GENERALIZED_TIME, text) == of_library(core.GeneralizedTime, text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2024010203.5Z", "2024-01-02 03:30:00"),
        ("202401020304.25Z", "2024-01-02 03:04:15"),
        ("20240102030405,125Z", "2024-01-02 03:04:05.125000"),
        ("20240102030405", "2024-01-02 03:04:05"),
        ("20240102030405-02", "2024-01-02 05:04:05"),
    ],
)
def test_fractions_and_short_zones(text: str, shown: str) -> None:
    found = read(der.GENERALIZED_TIME, text)
    assert found is not None
    assert str(found.replace(tzinfo=None)) == shown


@pytest.mark.parametrize(
    "text", ["", "2024", "20241302030405Z", "20240102250405Z", "00000102030405Z", "x" * 15, "2" * 400]
)
def test_what_is_no_time(text: str) -> None:
    assert read(der.GENERALIZED_TIME, text) is None
    assert read(der.UTC_TIME, text) is None


def test_times_at_the_ends_of_the_calendar() -> None:
    assert read(der.GENERALIZED_TIME, "99991231235959-0100") is None
    assert read(der.GENERALIZED_TIME, "00010101000000+0100") is None
