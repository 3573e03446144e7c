"""Dead letters are told to whoever watches: each at least once, with ids and no words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.dead_letter import mark_announced, unannounced
from pipeline.replay import replay

SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "private.example.org"}}


@pytest.fixture
def dead(world: Any) -> Any:
    """A tenant with one dead letter."""
    world.user("u1", email="u1@example.org", roles=["operations"])
    world.publish(SSL)
    world.refuse("email", "550 unknown user")
    return world


def announce(world: Any) -> list[dict[str, Any]]:
    with world.begin() as connection:
        letters = unannounced(connection)
        mark_announced(connection, letters)
    return letters


@pytest.mark.mission("B-12")
def test_a_new_dead_letter_is_announced_once(dead: Any) -> None:
    (letter,) = announce(dead)
    assert (letter["tenant"], letter["channel"], letter["type"], letter["reason"], letter["attempts"]) == (
        "acme",
        "email",
        "ssl_expiry",
        "refused",
        1,
    )
    assert announce(dead) == []


def test_the_announcement_leads_to_the_delivery_and_tells_nothing_private(dead: Any) -> None:
    (letter,) = announce(dead)
    (row,) = dead.execute("SELECT id, event_id, notification_id FROM deliveries WHERE channel = 'email'")
    assert [letter["delivery_id"], letter["event_id"], letter["notification_id"]] == [str(one) for one in row]
    written = json.dumps(letter)
    assert not [secret for secret in ("u1@example.org", "private.example.org", "550") if secret in written]


def test_what_was_not_published_is_announced_next_time(dead: Any) -> None:
    with pytest.raises(KeyError), dead.begin() as connection:
        mark_announced(connection, unannounced(connection))
        raise KeyError
    assert len(announce(dead)) == 1


def test_two_workers_never_announce_the_same_one_at_once(dead: Any) -> None:
    with dead.begin() as connection:
        assert len(unannounced(connection)) == 1
        assert announce(dead) == []


@pytest.mark.mission("B-12")
def test_one_that_was_replayed_and_died_again_is_announced_again(dead: Any) -> None:
    (letter,) = announce(dead)
    with dead.begin() as connection:
        replay(connection, tenant="acme", ids=[letter["delivery_id"]], actor="cli")
    dead.refuse("email")
    assert [one["attempts"] for one in announce(dead)] == [2]
