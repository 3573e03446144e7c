"""The desks of the provider lab, one file a provider. A new one is a file and one line here."""

from __future__ import annotations

from typing import Final

from workers.receivers.lab import Desk

DESKS: Final[tuple[type[Desk], ...]] = ()
