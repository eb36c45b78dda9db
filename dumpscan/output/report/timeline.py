"""Where the validity periods of certificates lie on a time line, in per cent of its width."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dumpscan.output.report.rows import CertificateRow

MAX_BARS = 30
"""Certificates on the time line; the tables have all of them."""

_MAX_REACH = timedelta(days=3653)
"""How far it reaches at most before and after the report's time; periods that go further are cut, visibly."""

_MIN_REACH = timedelta(days=183)
"""How far it reaches at least in both directions."""

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

_STEPS = (1, 2, 5)
"""Years between two ticks."""

_MAX_TICKS = 11


@dataclass(frozen=True, slots=True)
class Bar:
    """A validity period: its left edge and width, and whether it goes on beyond an edge of the time line."""

    row: CertificateRow
    left: float
    width: float
    cut_left: bool
    cut_right: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time line: bars, ticks for years as (position, label), and the report's time."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    now: float
    total: int

    @classmethod
    def of(cls, rows: Sequence[CertificateRow], now: datetime) -> Self:
        """Lay out the first rows that have a period, which a certificate that ends before it begins has not."""
        dated = [row for row in rows if row.since and row.until and row.since <= row.until]
        shown = dated[:MAX_BARS]
        low = max(min((row.since for row in shown if row.since), default=now), _shift(now, -_MAX_REACH))
        high = min(max((row.until for row in shown if row.until), default=now), _shift(now, _MAX_REACH))
        low, high = min(low, _shift(now, -_MIN_REACH)), max(high, _shift(now, _MIN_REACH))
        span = (high - low).total_seconds()

        def position(moment: datetime) -> float:
            return round(100 * (moment - low).total_seconds() / span, 2)

        bars = []
        for row in shown:
            if row.since is None or row.until is None:
                continue
            left = min(max(position(row.since), 0.0), 99.6)
            right = max(min(position(row.until), 100.0), 0.4)
            width = round(max(right - left, 0.4), 2)
            bars.append(Bar(row, left, width, cut_left=row.since < low, cut_right=row.until > high))
        return cls(tuple(bars), _ticks(low, high, position(low), position(high)), position(now), len(dated))


def _ticks(low: datetime, high: datetime, left: float, right: float) -> tuple[tuple[float, str], ...]:
    years = range(low.year + 1, high.year + 1)
    step = next((step for step in _STEPS if len(years) <= _MAX_TICKS * step), _STEPS[-1])
    span = (high - low).total_seconds()
    return tuple(
        (round(left + (right - left) * (datetime(year, 1, 1, tzinfo=UTC) - low).total_seconds() / span, 2), str(year))
        for year in years
        if year % step == 0
    )


def _shift(moment: datetime, by: timedelta) -> datetime:
    """Return a moment moved within the years 1 to 9999."""
    try:
        return moment + by
    except OverflowError:
        return _LAST if by > timedelta() else _FIRST
