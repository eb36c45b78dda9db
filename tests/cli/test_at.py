"""The moments that `--at` takes."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from dumpscan.case.moments import At
from dumpscan.cli.commands import Judging

NOON = At.on(datetime(2025, 6, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    "given",
    [
        "2025-06-01T12:00:00",
        "2025-06-01T12:00",
        "2025-06-01 12:00:00",
        "2025-06-01T12:00:00Z",
        "2025-06-01T14:00+02:00",
    ],
)
def test_times_are_taken_as_iso_8601_writes_them(given: str) -> None:
    assert Judging().convert(given, None, None) == NOON


def test_a_day_is_its_beginning() -> None:
    assert Judging().convert("2025-06-01", None, None) == At.on(datetime(2025, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize("given", ["", "June", "2025-06", "2025-06-31", "0001-01-01T00:00+14:00"])
def test_nothing_else_is(given: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a date such as 2025-06-01"):
        Judging().convert(given, None, None)
