"""Everybody reads his own language by his own clock: in the inbox, in messages, at addresses that an event names."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest

from pipeline.claim import claim
from pipeline.deliver import message

SSL = {
    "type": "ssl_expiry",
    "severity": "high",
    "data": {"host": "shop", "days_left": 7, "expires_at": "2026-11-27T22:30:00Z"},
}


def told(world: Any, channel: str = "email") -> dict[str, Any]:
    """The messages that are due, by address."""
    with world.begin() as connection:
        rows = claim(connection, channel, 100, 30.0, monotonic()).rows
    return {row.address: message(row, channel) for row in rows}


@pytest.mark.mission("E-16", "E-25")
def test_a_batch_speaks_to_each_in_his_language_and_by_his_clock(world: Any) -> None:
    places = {"ada": ("en-GB", "Europe/London"), "bea": ("de-AT", "Europe/Vienna"), "cem": (None, None)}
    for user, (locale, zone) in places.items():
        own = {"locale": locale, "time_zone": zone} if locale else {}
        world.user(user, email=f"{user}@example.org", roles=["operations"], **own)
    world.execute("UPDATE users SET locale = 'xx-YY', time_zone = 'Mars/Olympus' WHERE id = 'cem'")
    (event,) = world.publish({**SSL, "recipients": [{"email": "dan@example.org", "locale": "de"}]})
    said = told(world)
    assert {address: one.title for address, one in said.items()} == {
        "ada@example.org": "The certificate of shop expires in 7 days",
        "bea@example.org": "Das Zertifikat von shop läuft in 7 Tagen ab",
        "cem@example.org": "The certificate of shop expires in 7 days",
        "dan@example.org": "Das Zertifikat von shop läuft in 7 Tagen ab",
    }
    shown = {
        "ada": "27 November 2026, 22:30 GMT",
        "bea": "27. November 2026, 23:30 MEZ",
        "cem": "27 November 2026, 22:30 UTC",
    }
    assert [user for user, moment in shown.items() if moment not in said[f"{user}@example.org"].text] == []
    in_app = world.notification(event, "bea")["content"]
    assert in_app.startswith("Gültig bis 27. November 2026, 23:30 MEZ")


def test_an_address_beside_many_others_keeps_its_own_language(world: Any) -> None:
    others = [{"email": f"n{number}@example.org", "locale": "en"} for number in range(98)]
    world.publish({**SSL, "recipients": [*others, {"email": "eva@example.org", "locale": "de"}, "nobody"]})
    said = told(world)
    assert said["eva@example.org"].title.startswith("Das Zertifikat")
    assert said["n7@example.org"].title.startswith("The certificate")
