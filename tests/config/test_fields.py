"""What text that somebody wrote may hold."""

from __future__ import annotations

import pytest

from config.fields import check_text
from domain.errors import InvalidInputError


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a\x00b", "must not contain control characters"),
        ("a\x85b", "must not contain control characters"),
        ("a\ud83d", "must not contain half of a surrogate pair"),
        ("x" * 256, "must have at most 255 characters"),
        (" x", "must not be empty nor begin or end with a blank"),
        (7, "must be text"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_in_its_own_words(value: object, problem: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_text(value, "name")
    assert str(refused.value) == f"name: {problem}"
