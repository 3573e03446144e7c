"""Who takes an issue is shown at once to all who were told of it, so that no second one takes it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from config.settings import settings
from pipeline.links import acknowledge_url
from tests.support.api import SECRET_KEY, Api, token
from tests.support.sockets import open_socket
from tests.support.streams import Browser
from tests.support.waiting import wait_until

_hosts = count(1)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Where tabs are opened."""
    with Browser() as made:
        yield made


@pytest.fixture(scope="module")
def team(api: Api) -> Api:
    """Ada and grace are operators, cy is a customer."""
    with api.client() as admin:
        for user in ("ada", "grace"):
            admin.put(f"/v1/users/{user}", json={"roles": ["operations"]})
        admin.put("/v1/users/cy", json={})
    return api


def tell(api: Api, **more: Any) -> dict[str, str]:
    """An issue of its own; the notifications of those who are told, by user."""
    (event,) = api.route({"type": "ssl_failure", "data": {"host": f"h{next(_hosts)}.example.org"}, **more})
    return dict(api.rows("SELECT user_id, id::text FROM notifications WHERE event_id = %s", event))


def by_api(api: Api, notification: str) -> None:
    with api.user("ada") as client:
        assert client.post(f"/v1/notifications/{notification}/acknowledge", json={"note": "Mine."}).status_code == 200


def by_key(api: Api, notification: str) -> None:
    with api.client("operator") as client:
        assert client.post(f"/api/notifications/{notification}/acknowledge", json={"note": "Mine."}).status_code == 200


def by_link(api: Api, notification: str) -> None:
    link = acknowledge_url(tenant="default", notification_id=notification).removeprefix(settings().public_url)
    with api.client(None) as anyone:
        assert anyone.post(link, data={"note": "Mine."}).status_code == 200


@pytest.mark.mission("B-15")
@pytest.mark.parametrize(("take", "by"), [(by_api, "ada"), (by_key, "key:"), (by_link, "ada")])
def test_all_who_were_told_see_at_once_who_took_it(
    team: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch, take: Any, by: str
) -> None:
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", SECRET_KEY)
    settings.cache_clear()
    told = tell(team)
    tabs = [browser.sse(team.url, "grace"), browser.ws(team.url, "grace")]
    tabs.append(open_socket(browser, team.url, "websocket", {"token": token("grace")}))
    stranger = browser.ws(team.url, "cy")
    take(team, told["ada"])
    for tab in tabs:
        (shown,) = wait_until(partial(tab.of, "acknowledged"), "the acknowledgement")
        assert shown.keys() == {"id", "ack_by_user_id", "ack_at", "ack_note", "status"}
        assert (shown["id"], shown["ack_note"], shown["status"]) == (told["grace"], "Mine.", "acknowledged")
        assert shown["ack_by_user_id"].startswith(by)
        assert shown["ack_at"].endswith("Z")
        assert tab.notifications == []  # `onmessage` is for notifications
    assert stranger.of("acknowledged") == []
    settings.cache_clear()


def test_what_is_about_a_customer_is_shown_to_nobody_who_may_not_see_that_customer(team: Api, browser: Browser) -> None:
    customer = str(uuid4())
    told = tell(team, customer_id=customer)
    sees = browser.ws(team.url, None, headers={"Authorization": f"Bearer {token('grace', customers=[customer])}"})
    other = browser.ws(team.url, "grace")
    by_key(team, told["ada"])
    plain = tell(team)
    by_key(team, plain["ada"])
    wait_until(lambda: len(sees.of("acknowledged")) == 2, "both")
    wait_until(lambda: other.of("acknowledged"), "the second")
    assert [one["id"] for one in other.of("acknowledged")] == [plain["grace"]]


def test_who_takes_it_for_himself_alone_tells_nobody_else(team: Api, browser: Browser) -> None:
    told = tell(team, recipients=["cy", "grace"])
    tab, own = browser.ws(team.url, "grace"), browser.ws(team.url, "cy")
    team.rows("UPDATE notifications SET audience = 'customer' WHERE id = %s", told["cy"])
    with team.user("cy") as client:
        client.post(f"/v1/notifications/{told['cy']}/acknowledge")
    wait_until(lambda: own.of("acknowledged"), "his own")
    assert [one["id"] for one in own.of("acknowledged")] == [told["cy"]]
    assert tab.of("acknowledged") == []
