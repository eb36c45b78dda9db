"""Short texts of the report: cut where they are longer than any honest one, times in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NAMES = 6
"""Alternative names that are listed for one certificate, and notes for one process."""

MAX_TEXT = 400
"""Characters of a name that are shown."""

_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""What stands for no end of a certificate (RFC 5280, 4.1.2.5)."""


def shorten(text: str | None, limit: int = MAX_TEXT) -> str:
    """Return a text; one that is longer than any honest one is cut, and its length is given."""
    if text is None:
        return ""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters in all)"


def joined(texts: Sequence[str], limit: int = MAX_NAMES) -> str:
    """Return a list in one line; of a long list, the beginning and a count."""
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(shorten(text, MAX_TEXT // 2) for text in texts[:limit]) + more


def day(moment: datetime | None) -> str:
    """Return the day of a time in UTC; empty if there is no time."""
    return "" if moment is None else in_utc(moment).date().isoformat()


def minute(moment: datetime | None) -> str:
    """Return a time to the minute, in UTC; empty if there is none (a case has the year 1 instead)."""
    return "" if moment is None or moment.year == 1 else f"{in_utc(moment).isoformat(' ', 'minutes')[:16]} UTC"


def remaining(until: datetime, now: datetime) -> str:
    """Return how many days are left until a time, or have passed since."""
    if until == _NO_END:
        return "no end"
    days = (until - now).days
    match days:
        case 0:
            return "less than a day left"
        case _ if days > 0:
            return f"{days:,} day{'s' if days > 1 else ''} left"
        case _:
            return f"{-days:,} day{'s' if days < -1 else ''} ago"


def in_utc(moment: datetime) -> datetime:
    """Return a time in UTC; one without a time zone is taken as UTC."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # hours from the year 1 or 9999
        return moment.replace(tzinfo=UTC)
