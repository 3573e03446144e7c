"""What the supervisor says: short lines for the person at the terminal, the same with the time in logs/stack.log."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from workers.stack.places import Places


class Terminal:
    """One line at a time, never wrapped: others read them too."""

    def __init__(self, places: Places) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._log = (places.logs / "stack.log").open("a", buffering=1)

    def say(self, name: str, what: str, *, style: str = "") -> None:
        """`name` is a program of the stack, `what` happened to it."""
        self._console.print(Text(f"{name:<9} ", style="bold").append(what, style=style))
        self._note(f"{name}: {what}")

    def warn(self, name: str, what: str) -> None:
        """Something that a person may want to look at."""
        self.say(name, what, style="yellow")

    def ready(self, address: str) -> None:
        """The one line that programs wait for."""
        self._console.print(Text(f"ready {address}", style="bold green"))
        self._note(f"ready {address}")

    def _note(self, text: str) -> None:
        self._log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
