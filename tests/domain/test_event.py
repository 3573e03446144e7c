"""What of an address anybody may see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.event import Person, masked


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        pytest.param("ops@example.org", "o•••@example.org", id="email"),
        pytest.param("+4915112345678", "•••678", id="phone"),
        pytest.param("12345", "•••", id="short-chat-id"),
        pytest.param("@channel_name", "•••ame", id="telegram-channel"),
        pytest.param("https://hooks.example.org/T0/secret", "https://hooks.example.org/•••", id="url"),
        pytest.param("https://user:password@hooks.example.org/x", "https://hooks.example.org/•••", id="url-with-login"),
        pytest.param("https://hooks.example.org?token=x", "https://hooks.example.org/•••", id="url-with-query"),
        pytest.param("https://hooks.example.org#token", "https://hooks.example.org/•••", id="url-with-fragment"),
        pytest.param("https://hooks.example.org\\@secret", "https://hooks.example.org/•••", id="url-with-backslash"),
    ],
)
def test_a_masked_address_keeps_only_what_an_insider_needs(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_a_user_is_named_by_his_id(user: Callable[..., Person]) -> None:
    assert user("u1").label == "u1"


def test_an_address_is_named_by_its_mask() -> None:
    assert Person(None, None, None, {"email": "ops@example.org"}).label == "o•••@example.org"
