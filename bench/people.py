"""The people whom the channels' benchmark tells: many, so that it is no one person's limits that are measured.

Run as ``python -m bench.people`` in the environment of the product's processes; it reads the browsers as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from sqlalchemy import Connection

from config.settings import settings
from models.engine import transaction
from models.migrate import upgrade
from pipeline.push_tokens import register
from pipeline.routes import put_route
from pipeline.setup import ensure_tenant, note_change
from pipeline.users import put_user

TENANT = "bench"
PEOPLE = 200
PLATFORMS = {"web_push": "web", "apns": "ios", "fcm": "android"}
# What ships would tell the same people over other channels, too.
SHIPPED = ("named-recipients", "ssl-to-operations")


def name_of(number: int) -> str:
    """A person; with a channel's name before it, one who is reached by that one only."""
    return f"person-{number % PEOPLE}"


def email_of(number: int) -> str:
    """An email address."""
    return f"{name_of(number)}@example.org"


def phone_of(number: int) -> str:
    """A phone number, E.164."""
    return f"+4915112{number % PEOPLE:06}"


def device_of(number: int) -> str:
    """An iPhone's token."""
    return f"{number % PEOPLE:064x}"


def registration_of(number: int) -> str:
    """An Android app's token."""
    return f"{name_of(number)}:APA91b{'Zz09_-' * 20}"


def main() -> None:
    """Migrate and set up."""
    browsers = json.loads(sys.stdin.readline())["browsers"]
    database = settings().database_url
    assert database is not None
    upgrade(database.get_secret_value())
    with transaction() as connection:
        ensure_tenant(connection, TENANT)
        for name, body in _routes():
            put_route(connection, tenant=TENANT, name=name, body=body, actor="bench")
        for number in range(PEOPLE):
            _put_person(connection, number, browsers[number])
        note_change(connection, TENANT)
    print(json.dumps({"people": PEOPLE}), flush=True)


def _routes() -> Iterator[tuple[str, dict[str, object]]]:
    """Whom an event names is told over the channel that is the event's branch."""
    named = {"recipients": {"resolver": "explicit"}, "sms_severity": "low", "priority": "high"}
    for name in SHIPPED:
        yield name, {"match": {"branch": "nowhere"}, "channels": ["email"], **named}
    for channel in ("email", "sms", "push"):
        yield f"by-{channel}", {"match": {"branch": channel}, "channels": [channel], **named}


def _put_person(connection: Connection, number: int, browser: str) -> None:
    name = name_of(number)
    tokens = {"web_push": browser, "apns": device_of(number), "fcm": registration_of(number)}
    put_user(connection, tenant=TENANT, user_id=f"email-{name}", body={"email": email_of(number)}, actor="bench")
    put_user(connection, tenant=TENANT, user_id=f"sms-{name}", body={"phone": phone_of(number)}, actor="bench")
    for kind, platform in PLATFORMS.items():
        body = {"platform": platform, "token": tokens[kind], "device_id": "bench"}
        register(connection, tenant=TENANT, user_id=f"{kind}-{name}", body=body, actor="bench")


if __name__ == "__main__":
    main()
