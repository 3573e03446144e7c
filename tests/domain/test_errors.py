"""Input that is refused says where."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInputError


@pytest.mark.parametrize(
    ("field", "outer", "joined"),
    [
        pytest.param("severity", "events[3]", "events[3].severity", id="a-field"),
        pytest.param("[2]", "recipients", "recipients[2]", id="an-entry"),
        pytest.param("", "events[0]", "events[0]", id="the-whole"),
    ],
)
def test_an_error_seen_from_outside_names_the_whole_path(field: str, outer: str, joined: str) -> None:
    error = InvalidInputError(field, "is wrong", too_large=True).within(outer)
    assert (error.field, error.problem, error.too_large) == (joined, "is wrong", True)
    assert str(error) == f"{joined}: is wrong"


def test_an_error_about_the_whole_body_is_only_its_problem() -> None:
    assert str(InvalidInputError("", "is not valid JSON")) == "is not valid JSON"
