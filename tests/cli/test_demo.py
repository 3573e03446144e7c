"""The demo: what it feeds, and the whole of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from config.demo import demo, sample_events
from config.settings import settings
from models.engine import transaction
from pipeline.users import get_user, put_user
from workers.demo import feed


def count(table: str) -> int:
    with transaction() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE tenant = 'demo'")).scalar_one())


def test_the_demo_tenant_gets_its_people_and_what_happened_to_them(installation: None) -> None:
    with transaction() as connection:
        events = feed(connection)
    assert len(events) == count("events") == len(sample_events())
    assert count("users") == len(demo("").users)
    assert count("webhooks") == 0


def test_it_gets_its_webhooks_where_somebody_listens(installation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_WEBHOOK_ALLOW_NETWORKS", "127.0.0.1/32")
    settings.cache_clear()
    with transaction() as connection:
        feed(connection, "http://127.0.0.1:9")
    assert count("webhooks") == len(demo("").webhooks)


def test_feeding_twice_publishes_once(installation: None) -> None:
    for fed in (len(sample_events()), 0):
        with transaction() as connection:
            assert len(feed(connection)) == fed
    assert count("events") == len(sample_events())


def test_feeding_again_leaves_what_a_person_changed(installation: None) -> None:
    with transaction() as connection:
        feed(connection)
    user_id = next(iter(demo("").users))
    for again in (False, True):
        with transaction() as connection:
            put_user(connection, tenant="demo", user_id=user_id, body={"email": "mine@example.org"}, actor="cli")
            if again:  # the events of long ago are gone, the people are not
                connection.execute(text("DELETE FROM events WHERE tenant = 'demo'"))
        with transaction() as connection:
            feed(connection)
            user = get_user(connection, tenant="demo", user_id=user_id)
        assert user is not None
        assert user["email"] == "mine@example.org"


@pytest.mark.mission("A-11")
@pytest.mark.timeout(240)
def test_the_whole_demo_ends_as_expected_and_touches_nothing_else(tmp_path: Path) -> None:
    # What a real installation would be configured with must not count: nothing listens there.
    (tmp_path / ".env").write_text("BELLWIRE_DATABASE_URL=postgresql://127.0.0.1:1/production\n")
    given = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
    environment = {**given, "TMPDIR": str(tmp_path), "BELLWIRE_BROKER_URL": "redis://127.0.0.1:1/0"}
    said = subprocess.run(
        (sys.executable, "-m", "workers.cli", "demo", "--json"),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=220,
        check=False,
    )
    assert said.returncode == 0, said.stderr + said.stdout[-3000:]
    seen: dict[str, Any] = json.loads(said.stdout)
    assert seen["unexpected"] == []
    ways = {(one["channel"], one["provider"]) for one in seen["deliveries"] if one["status"] != "suppressed"}
    assert ways == {
        ("email", "smtp"),
        ("email", "resend"),  # the first mail, which SMTP did not take
        ("sms", "twilio"),
        ("push", "apns"),
        ("push", "fcm"),
        ("push", "web_push"),
        ("telegram", "telegram"),
        ("whatsapp", "whatsapp"),
        ("webhook", "webhook"),
        ("in_app", None),
    }
    assert len(seen["events"]) == len(sample_events())
    hooks = {one["webhook"]: one for one in seen["deliveries"] if one["webhook"] in ("flaky", "broken")}
    assert [tried["outcome"] for tried in hooks["flaky"]["attempts"]] == ["failed", "failed", "sent"]
    assert (hooks["broken"]["status"], len(hooks["broken"]["attempts"])) == ("dead_letter", 6)
    assert list(tmp_path.iterdir()) == [tmp_path / ".env"]
