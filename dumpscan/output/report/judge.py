"""How the report judges certificates: by the moments asked for, and by when the dumps were made that they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dumpscan.findings import Validity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dumpscan.case.moments import At
    from dumpscan.findings import Certificate, Finding


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges certificates.

    Attributes:
        at: By which moments.
        captured: When each dump was made, by its path, as far as they say.
    """

    at: At
    captured: Mapping[str, datetime | None]

    def moments(self, finding: Finding) -> dict[datetime | None, None]:
        """Return when the dumps were made that a finding lies in."""
        return {self.captured.get(place.file): None for place in finding.locations}

    def when_captured(self, certificate: Certificate) -> datetime | None:
        """Return when a dump that it lies in was made and it was valid; None if it was not, or that does not count."""
        if not self.at.capture:
            return None
        times = (time for time in self.moments(certificate) if time is not None)
        return next((time for time in times if certificate.validity(time) is Validity.VALID), None)
