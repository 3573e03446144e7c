"""Short ways to an event and its like; a test names only the fields that it is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from domain.catalogue import EventType, Resolver, Route
from domain.event import Condition, Event, Person
from domain.fingerprint import canonical, fingerprint
from domain.routing import Routing, resolve
from domain.vocabulary import Severity

_numbers = count(1)


@pytest.fixture
def event() -> Callable[..., Event]:
    """Makes an event; its fingerprint is that of its type and data, as at the door without key fields."""
    return _event


@pytest.fixture
def routing() -> Callable[..., Routing]:
    """Resolves routes for an event of type `alarm`, severity medium, no branch."""
    return lambda *routes: resolve(routes, "alarm", Severity.MEDIUM, None)


@pytest.fixture
def user() -> Callable[..., Person]:
    """Makes a user with an email address."""
    return _user


@pytest.fixture
def to_users() -> Callable[..., Route]:
    """Makes a route to named users."""
    return lambda *users, channels=("email",), **fields: Route(
        fields.pop("name", "r"), recipients=(Resolver("user", users=users),), channels=channels, **fields
    )


@pytest.fixture
def alarm() -> EventType:
    """The catalogue's entry of the type `alarm`."""
    return EventType("alarm", "alarms")


def _event(**fields: Any) -> Event:
    data = fields.setdefault("data", {"host": "shop"})
    made = {
        "id": f"00000000-0000-7000-8000-{next(_numbers):012d}",
        "tenant": "t",
        "type": "alarm",
        "condition": Condition.FIRING,
        "severity": Severity.MEDIUM,
        "data_json": canonical(data),
        "dedupe_window": 300,
        "occurred_at": datetime(2026, 11, 20, 9, tzinfo=UTC),
    } | fields
    made.setdefault(
        "fingerprint",
        fingerprint(
            tenant=made["tenant"],
            event_type=made["type"],
            branch=made.get("branch"),
            customer_id=made.get("customer_id"),
            recipients=made.get("recipients"),
            key=(),
            data=data,
            data_json=made["data_json"],
        ),
    )
    return Event(**made)


def _user(user_id: str, **fields: Any) -> Person:
    made = {"name": user_id.title(), "locale": None, "addresses": {"email": f"{user_id}@example.org"}} | fields
    return Person(user_id=user_id, **made)
