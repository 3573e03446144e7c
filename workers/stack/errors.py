"""What the local stack says when it cannot go on: one sentence for the person at the terminal."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or go on; the text is one clear sentence that says what to do."""
