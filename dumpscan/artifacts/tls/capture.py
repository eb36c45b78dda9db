"""What a capture holds of TLS sessions: their randoms, and records by which a secret is proven."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capture:
    """The TLS sessions of a capture."""
