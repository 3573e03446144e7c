"""What the status shows of providers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import text

from models.engine import transaction

NOTE = text("""
INSERT INTO deliverability (hour, tenant, channel, provider, kind, shard, count, cost)
VALUES (date_trunc('hour', now(), 'UTC'), 'acme', :channel, :provider, :kind, 0, :count, :cost)
""")


@pytest.mark.mission("E-20", "E-47")
def test_status_shows_what_became_of_what_providers_accepted(bellwire: Any, work: Any) -> None:
    noted = [
        {"channel": "email", "provider": "resend", "kind": "accepted", "count": 1200, "cost": 0},
        {"channel": "email", "provider": "resend", "kind": "bounced", "count": 90, "cost": 0},
        {"channel": "sms", "provider": "twilio", "kind": "accepted", "count": 3, "cost": "0.0249"},
    ]
    with transaction() as connection:
        connection.execute(NOTE, noted)
    said = bellwire("status").out
    assert re.search(r"email +resend +1,200 +0 +90 +7\.50% +0 +0\.00%", said)
    assert re.search(r"sms +twilio +3 .*0\.02 USD", said)
    assert bellwire("status", "--json").json["deliverability"][0]["bounce_rate"] == 0.075
    assert bellwire("status", "--tenant", "other", "--json").json["deliverability"] == []


def test_status_says_nothing_of_providers_when_there_is_nothing_to_say(bellwire: Any) -> None:
    assert "Deliverability" not in bellwire("status").out
