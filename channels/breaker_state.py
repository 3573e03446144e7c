"""How a breaker stands; the words are pybreaker's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN

__all__ = ("PROBE_SECONDS", "STATE_CLOSED", "STATE_HALF_OPEN", "STATE_OPEN", "Standing")

PROBE_SECONDS: Final = 30.0  # a probe that nobody reported about by then is given up; longer than every deadline


@dataclass(frozen=True, slots=True)
class Standing:
    """One breaker.

    Attributes:
        failures: in a row.
        wait: seconds until it lets a probe through (open) or gives the present one up (half-open).
        probe: whoever asked may send the one probe.
    """

    state: str
    failures: int = 0
    wait: float = 0.0
    probe: bool = False
