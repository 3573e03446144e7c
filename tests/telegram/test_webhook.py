"""A press comes in at the API, proved by the secret token, and is answered at Telegram."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api, running, token
from tests.support.streams import Browser
from tests.support.waiting import wait_until

SECRET = "a-secret-token"
PATH = "/v1/receipts/telegram"


@pytest.fixture
def api(chat: Any, servers: dict[str, str], tmp_path: Path) -> Iterator[Api]:
    """An API that Telegram calls."""
    ours = {
        **chat.environment,
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
        "BELLWIRE_TELEGRAM_UPDATES": "webhook",
        "BELLWIRE_TELEGRAM_WEBHOOK_SECRET": SECRET,
    }
    with running(chat.environment["BELLWIRE_DATABASE_URL"], tmp_path, **ours) as made:
        yield made


def post(api: Api, update: Any, secret: str = SECRET) -> httpx.Response:
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
    return httpx.post(
        f"{api.url}{PATH}", content=json.dumps(update), headers=headers, timeout=30, trust_env=False, verify=False
    )


ODD: list[dict[str, Any]] = [
    {"update_id": 1},
    {"update_id": 1, "callback_query": {"id": [], "data": {}}},
    {"update_id": 1, "callback_query": {"id": "7", "data": "a:" + "A" * 38, "message": {"chat": {"id": 71}}}},
    {"update_id": 1, "message": {"text": "/start", "chat": {"id": -(10**40)}}},
    {"update_id": 1, "message": {"text": "\ud800", "chat": None}},
]


@pytest.mark.mission("B-3")
@pytest.mark.mission("B-15")
def test_a_press_is_taken_once_a_forged_one_not_at_all_and_an_odd_one_breaks_nothing(chat: Any, api: Api) -> None:
    alert = chat.alert()
    update = chat.press()
    assert post(api, update, "another").status_code == 401
    assert chat.taken_by(alert) is None
    assert post(api, update).status_code == 200
    assert chat.taken_by(alert) == "ada"
    assert chat.shown()["text"].endswith("Acknowledged by ada")
    assert post(api, update).status_code == 200
    assert chat.shown()["text"].count("Acknowledged by") == 1
    for odd in ODD:
        assert post(api, odd).status_code == 200, odd


@pytest.mark.mission("A-32")
def test_a_press_has_the_count_of_unread_ones_shown_anew_in_every_tab(chat: Any, api: Api) -> None:
    chat.alert()
    with Browser() as browser:
        tab = browser.sse(api.url, None, Authorization=f"Bearer {token('ada', 'acme')}")
        wait_until(lambda: tab.of("unread_count"), "the first count")
        update = chat.press()
        for _ in range(2):  # the second changes nothing
            post(api, update)
        wait_until(lambda: len(tab.of("unread_count")) == 2, "the next count")
