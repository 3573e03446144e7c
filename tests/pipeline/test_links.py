"""Links that act without a login: what they are bound to, and what they are not good for."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from timeit import repeat
from typing import Any

import pytest

from config.settings import SettingsError, settings
from pipeline.links import (
    ACKNOWLEDGE_FOR,
    ExpiredLinkError,
    LinkError,
    Unsubscribe,
    acknowledge_url,
    read_acknowledge,
    read_unsubscribe,
    unsubscribe_url,
)

NOTIFICATION = "0192f0c1-3a0f-7d5b-8f3e-0a1b2c3d4e5f"
ANA = {"tenant": "acme", "user_id": "ana", "address": "ana@example.org", "event": "ssl_expiry", "channel": "email"}
DAY = 86400


def unsubscribing(**changes: Any) -> str:
    """The token of an unsubscribe link."""
    return unsubscribe_url(**{**ANA, **changes}).rpartition("/")[2]


def acknowledging(**changes: Any) -> str:
    return acknowledge_url(**{"tenant": "acme", "notification_id": NOTIFICATION, **changes}).rpartition("/")[2]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Starts the process anew, so to speak, with other settings."""

    def settled(**given: str) -> None:
        for name, value in given.items():
            monkeypatch.setenv(f"BELLWIRE_{name.upper()}", value)
        settings.cache_clear()

    return settled


@pytest.mark.mission("E-22")
def test_an_unsubscribe_link_is_bound_to_tenant_user_event_and_channel(settled: Callable[..., None]) -> None:
    settled(public_url="https://bell.example.org/base/")
    url = unsubscribe_url(**ANA)  # type: ignore[arg-type]
    assert url.startswith("https://bell.example.org/base/u/")
    assert read_unsubscribe(url.rpartition("/")[2]) == Unsubscribe("acme", "email", "ssl_expiry", "ana", None)


def test_the_link_of_an_address_without_a_user_names_the_address() -> None:
    token = unsubscribing(user_id=None, address="öna@exämple.org")
    assert read_unsubscribe(token) == Unsubscribe("acme", "email", "ssl_expiry", None, "öna@exämple.org")


def test_the_link_of_a_user_does_not_carry_the_address() -> None:
    assert unsubscribing(address="ana@example.org") == unsubscribing(address="other@example.org")


@pytest.mark.parametrize("user_id", ["", "me", "a/b?c#d", "🔔" * 255, '","email'])
def test_any_users_id_comes_back_as_it_was(user_id: str) -> None:
    token = unsubscribing(user_id=user_id)
    assert read_unsubscribe(token).user_id == user_id
    assert all(character.isalnum() or character in "-_." for character in token)


def test_an_acknowledge_link_is_bound_to_one_notification() -> None:
    link = read_acknowledge(acknowledging())
    assert (link.tenant, link.notification_id) == ("acme", NOTIFICATION)


@pytest.mark.parametrize(("days", "works"), [(0, True), (29.9, True), (30.1, False), (400, False)])
def test_an_acknowledge_link_works_for_thirty_days(days: float, works: bool) -> None:
    token = acknowledging(now=time() - days * DAY)
    if works:
        assert read_acknowledge(token)
    else:
        with pytest.raises(ExpiredLinkError):
            read_acknowledge(token)


def test_an_acknowledge_link_works_as_long_as_an_acknowledgement_silences(settled: Callable[..., None]) -> None:
    settled(ack_ttl=str(60 * DAY))
    assert read_acknowledge(acknowledging(now=time() - ACKNOWLEDGE_FOR - DAY))


def test_an_unsubscribe_link_works_for_ever() -> None:
    assert unsubscribing() == unsubscribing()  # there is no time in it


def test_a_link_of_one_purpose_is_worthless_for_the_other() -> None:
    with pytest.raises(LinkError):
        read_acknowledge(unsubscribing())
    with pytest.raises(LinkError):
        read_unsubscribe(acknowledging())


def test_whoever_changes_a_character_has_no_link_any_more() -> None:
    token = unsubscribing()
    payload, _, signature = token.rpartition(".")
    for place in range(len(payload)):
        other = "A" if payload[place] != "A" else "B"
        with pytest.raises(LinkError):
            read_unsubscribe(f"{payload[:place]}{other}{payload[place + 1 :]}.{signature}")
    for place in range(len(signature) - 1):  # the last one has two bits that mean nothing
        other = "A" if signature[place] != "A" else "B"
        with pytest.raises(LinkError):
            read_unsubscribe(f"{payload}.{signature[:place]}{other}{signature[place + 1 :]}")


@pytest.mark.parametrize(
    "token", ["", ".", "x", "..", "WyJhIl0.", ".x", "é.é", "\0", "\ud800", "a" * 9000, "WyJhIl0.AAAA", "%2e%2e"]
)
def test_what_nobody_signed_is_no_link(token: str) -> None:
    for read in (read_unsubscribe, read_acknowledge):
        with pytest.raises(LinkError):
            read(token)


def test_the_first_key_signs_and_all_are_accepted(settled: Callable[..., None]) -> None:
    settled(secret_key="old")
    old = unsubscribing()
    settled(secret_key="new,old")
    assert read_unsubscribe(old).user_id == "ana"
    new = unsubscribing()
    settled(secret_key="new")
    assert read_unsubscribe(new).user_id == "ana"
    with pytest.raises(LinkError):
        read_unsubscribe(old)


def test_without_a_key_no_link_is_made_and_none_is_ours(settled: Callable[..., None]) -> None:
    token = unsubscribing()
    settled(secret_key="")
    with pytest.raises(SettingsError, match="BELLWIRE_SECRET_KEY"):
        unsubscribing()
    with pytest.raises(LinkError):
        read_unsubscribe(token)


def test_links_are_short() -> None:
    user = "8f14e45f-ceea-467f-a8d6-1f2b3c4d5e6f"
    assert len(unsubscribing(user_id=user, event="billing.invoice-generated")) <= 160
    assert len(acknowledging()) <= 110


def test_a_link_costs_next_to_nothing() -> None:
    """It is made for every email. Four times what it takes on a machine that does nothing else."""
    seconds = min(repeat(unsubscribing, number=1000, repeat=5)) / 1000
    assert seconds < 80e-6
