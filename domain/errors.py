"""The one error for input that cannot be taken."""

from __future__ import annotations


class InvalidInputError(ValueError):
    """Input that is refused. It names the field and never repeats the value, which may be a secret.

    Attributes:
        field: where, in dotted form: ``events[3].severity``; empty when it is the whole body.
        problem: what is wrong and what would be right, in words.
        too_large: a limit of size was exceeded (HTTP 413 instead of 400).
    """

    def __init__(self, field: str, problem: str, *, too_large: bool = False) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem
        self.too_large = too_large

    def within(self, prefix: str) -> InvalidInputError:
        """The same error seen from one level further out."""
        joined = prefix + ("" if not self.field or self.field.startswith("[") else ".") + self.field
        return InvalidInputError(joined, self.problem, too_large=self.too_large)
