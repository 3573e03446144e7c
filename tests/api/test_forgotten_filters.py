"""The API with the tenant taken out of all that its statements ask for: the second wall alone keeps tenants apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.api import Api, running

MARK = "theirs"
HOOK = {"url": f"https://{MARK}.example.org/hook", "events": ["ssl_*"]}
ROUTE = {"match": {"event": f"{MARK}*"}, "recipients": {"resolver": "user", "users": [MARK]}, "channels": ["email"]}
SET_UP: list[tuple[str, Any]] = [
    ("/v1/users/theirs", {"email": f"{MARK}@example.org", "name": MARK, "roles": [MARK]}),
    ("/v1/routes/theirs", ROUTE),
    ("/v1/event-types/theirs", {"group": MARK, "sample": {"of": MARK}}),
    ("/v1/webhooks/theirs", HOOK),
    ("/v1/providers/resend", {"credentials": {"api_key": MARK}, "senders": {"*": f"{MARK} <{MARK}@example.org>"}}),
]

READS = (
    "/v1/users",
    "/v1/users/theirs",
    "/v1/routes",
    "/v1/routes/theirs",
    "/v1/event-types",
    "/v1/event-types/theirs",
    "/v1/webhooks",
    "/v1/webhooks/theirs",
    "/v1/providers",
    "/v1/providers/resend",
    "/v1/suppressions",
    "/v1/audit",
    "/v1/events",
    "/v1/events/{event}",
    "/v1/events/{event}/explain",
    "/v1/deliveries",
    "/v1/deliveries/{delivery}",
    "/v1/dead-letters",
)
USER_READS = ("/v1/notifications", "/v1/notifications/{notification}")

WRITES: tuple[tuple[str, str, Any], ...] = (
    ("PUT", "/v1/users/theirs", {"email": "taken@example.org"}),
    ("DELETE", "/v1/users/theirs", None),
    ("DELETE", "/v1/routes/theirs", None),
    ("DELETE", "/v1/event-types/theirs", None),
    ("POST", "/v1/webhooks/theirs/rotate", None),
    ("DELETE", "/v1/webhooks/theirs", None),
    ("DELETE", "/v1/providers/resend", None),
    ("DELETE", "/v1/suppressions", {"channel": "email", "address": f"other-{MARK}@example.org"}),
    ("POST", "/v1/events/{event}/cancel", None),
    ("POST", "/v1/notifications/{notification}/acknowledge", {"note": "taken"}),
    ("POST", "/v1/dead-letters/replay", {"filter": {}}),
)
USER_WRITES: tuple[tuple[str, str, Any], ...] = (
    ("PATCH", "/v1/notifications/{notification}/read", None),
    ("POST", "/v1/notifications/read-all", None),
    ("DELETE", "/v1/notifications/{notification}", None),
)

STANDING = (
    "users WHERE tenant",
    "routes WHERE tenant",
    "event_types WHERE tenant",
    "webhooks WHERE tenant",
    "provider_accounts WHERE tenant",
    "suppressions WHERE tenant",
    "events WHERE tenant",
    "notifications WHERE tenant",
    "deliveries WHERE tenant",
    "dead_letters WHERE tenant",
    "tenants WHERE id",
)


@pytest.fixture(scope="module")
def settings(servers: Mapping[str, str]) -> dict[str, str]:
    return {
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
        "app": "tests.support.unfiltered:app",
    }


@pytest.fixture(scope="module")
def api(module_database_url: str, settings: dict[str, str], tmp_path_factory: Any) -> Iterator[Api]:
    """An API whose statements forget whose rows they are about."""
    with running(module_database_url, tmp_path_factory.mktemp("api"), **settings) as made:
        yield made


@pytest.fixture(scope="module")
def ids(api: Api) -> dict[str, str]:
    """What there is of another tenant, made by an API that forgets nothing; its ids."""
    with api.client("admin", MARK) as client:
        for path, body in SET_UP:
            answer = client.put(path, json=body)
            assert answer.is_success, answer.text
        suppressed = {"channel": "email", "address": f"other-{MARK}@example.org"}
        assert client.post("/v1/suppressions", json=suppressed).is_success
    (event,) = api.route({"type": f"{MARK}.happened", "recipients": [MARK], "data": {"words": MARK}}, tenant=MARK)
    ((notification, delivery),) = api.rows(
        "SELECT d.notification_id::text, d.id::text FROM deliveries d WHERE d.event_id = %s AND d.channel = 'email'",
        event,
    )
    api.rows("UPDATE notifications SET user_id = 'theirs', sequence = 1 WHERE id = %s", notification)
    api.rows("INSERT INTO inboxes (tenant, user_id, last) VALUES ('theirs', 'theirs', 1) ON CONFLICT DO NOTHING")
    api.rows("UPDATE deliveries SET status = 'dead_letter', due_at = NULL WHERE id = %s", delivery)
    api.rows(
        "INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail)"
        " VALUES (%s, 'theirs', 'email', 'theirs', 'bounced', 'theirs')",
        delivery,
    )
    return {"event": event, "notification": notification, "delivery": delivery}


def everything(api: Api) -> dict[str, list[Any]]:
    """All rows of the other tenant."""
    return {one: sorted(map(str, api.rows(f"SELECT * FROM {one} = %s", MARK))) for one in STANDING}


def leaks(api: Api, ids: Mapping[str, str]) -> set[str]:
    """The addresses that show somebody something of another tenant. Whoever asks has the names and the ids."""
    shown = set()
    with api.client("admin", "ours") as ours, api.user(MARK, "ours") as namesake:
        for client, paths in ((ours, READS), (namesake, USER_READS)):
            for path in paths:
                answer = client.get(path.format_map(ids))
                if answer.is_success and MARK in answer.text:
                    shown.add(path)
                assert answer.status_code in (200, 404, 500), (path, answer.text)
    return shown


def test_no_address_shows_anything_of_another_tenant(api: Api, ids: dict[str, str]) -> None:
    assert leaks(api, ids) == set()


def test_no_address_changes_anything_of_another_tenant(api: Api, ids: dict[str, str]) -> None:
    before = everything(api)
    assert all(before.values()), {name: len(rows) for name, rows in before.items()}
    with api.client("admin", "ours") as ours, api.user(MARK, "ours") as namesake:
        for client, changes in ((ours, WRITES), (namesake, USER_WRITES)):
            for method, path, body in changes:
                client.request(method, path.format_map(ids), json=body)
                assert everything(api) == before, (method, path)


def test_without_the_wall_these_same_addresses_would_show_it(
    api: Api, ids: dict[str, str], settings: dict[str, str], tmp_path: Any
) -> None:
    """Else the two tests above would hold nothing: the filters are really gone, and there is something to see."""
    with running(api.database_url, tmp_path, **settings, BELLWIRE_TEST_WITHOUT_WALL="1") as open_api:
        open_api.keys.update(api.keys)
        assert len(leaks(open_api, ids)) > len(READS) // 2
