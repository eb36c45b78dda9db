"""By which moments certificates are judged: when the dumps were made, now, or on a day.

What was valid when a dump was made could be used by whoever took the dump then. So a certificate counts as live if it
is valid at any of the moments, and as expired if it has ended at all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from dumpscan.findings import Validity, validity

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class At:
    """By which moments certificates are judged.

    Attributes:
        now: The present, or the day that is asked for; UTC. It stands in for the time of a dump that does not tell its
            own.
        present: Whether that moment counts.
        capture: Whether the time counts at which a dump was made that the certificate or its key lies in.
    """

    now: datetime
    present: bool = True
    capture: bool = True

    @classmethod
    def of(cls, moment: At | datetime | None) -> At:
        """Return how to judge, given that, a moment beside the times of capture, or None for the present."""
        if isinstance(moment, At):
            return moment
        return cls(moment or datetime.now(UTC))

    @classmethod
    def captured(cls) -> Self:
        """Judge by the times of capture alone."""
        return cls(datetime.now(UTC), present=False)

    @classmethod
    def on(cls, moment: datetime) -> Self:
        """Judge by one moment alone."""
        return cls(moment, capture=False)

    def moments(self, captured: Iterable[datetime | None]) -> tuple[datetime, ...]:
        """Return the moments that count for what lies in dumps made at some times, each once, `now` first."""
        times = {self.now: None} if self.present else {}
        if self.capture:
            times |= dict.fromkeys(time or self.now for time in captured)
        return tuple(times) or (self.now,)

    def validity(
        self, not_before: datetime | None, not_after: datetime | None, captured: Iterable[datetime | None]
    ) -> Validity:
        """Return whether a certificate is valid at any of the moments; it has expired if it has at all of them."""
        states = [validity(not_before, not_after, moment) for moment in self.moments(captured)]
        if Validity.VALID in states:
            return Validity.VALID
        return next((state for state in states if state is not Validity.EXPIRED), Validity.EXPIRED)
