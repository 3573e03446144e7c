"""Stored notifications are shown to whoever is connected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from config.settings import settings
from pipeline.acknowledge import Acknowledged, Marked
from pipeline.inbox import Frame


@pytest.fixture
def heard(process: Any, redis_url: str) -> Iterator[Any]:
    """Listens as an API process does; gives the frames that arrived, after waiting for `count`."""
    with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("ws:notification")
        listener.get_message(timeout=5)

        def heard(count: int) -> list[Any]:
            found: list[Any] = []
            while len(found) < count:
                said = listener.get_message(timeout=5)
                assert said is not None, f"only {len(found)} frames came"
                found.append(json.loads(said["data"]))
            return found

        yield heard


@pytest.mark.mission("A-4", "E-9")
def test_a_new_notification_is_shown_the_moment_it_is_stored(process: Any, heard: Any, ssl: dict[str, Any]) -> None:
    process.user("u1", email="u1@example.org", roles=["operations"])
    process.publish(ssl)
    (frame,) = heard(1)
    assert (frame["tenant"], frame["userId"], frame["targetServerId"]) == ("acme", "u1", None)
    (row,) = process.execute("SELECT id::text AS id, title FROM notifications")
    assert (frame["notification"]["id"], frame["notification"]["title"]) == (row.id, row.title)


def test_many_are_shown_in_their_order(process: Any, heard: Any) -> None:
    from tasks.live import show

    show([Frame("acme", "u1", number, {"id": str(number), "title": "Köln"}) for number in range(20)])
    assert [(frame["notification"]["id"], frame["sequence"]) for frame in heard(20)] == [
        (str(number), number) for number in range(20)
    ]


def test_an_acknowledgement_that_concerns_thousands_goes_out_in_a_few_messages(process: Any, heard: Any) -> None:
    from tasks.live import show_acknowledged

    taken = {"ack_by_user_id": "ada", "ack_at": "2026-11-20T09:00:00.000Z", "ack_note": None, "status": "acknowledged"}
    people = tuple(Marked(f"n{number}", f"u{number}", None) for number in range(1200))
    show_acknowledged("acme", Acknowledged({**taken, "title": "Down"}, True, people))
    frames = heard(3)
    assert [len(frame["notifications"]) for frame in frames] == [500, 500, 200]
    assert {tuple(one) for frame in frames for one in frame["notifications"]} == {
        (one.user_id, one.id, None) for one in people
    }
    assert all((frame["tenant"], frame["acknowledged"]) == ("acme", taken) for frame in frames)


def test_of_an_issue_that_came_again_and_again_each_hears_of_the_newest(process: Any, heard: Any) -> None:
    from tasks.live import show_acknowledged

    taken = {"ack_by_user_id": "ada", "ack_at": None, "ack_note": None, "status": "acknowledged"}
    told = tuple(Marked(f"n{number:03}", "u1", None) for number in range(100))
    show_acknowledged("acme", Acknowledged(taken, False))  # somebody was faster: nothing is said
    show_acknowledged("acme", Acknowledged(taken, True, told))
    (frame,) = heard(1)
    assert [one[1] for one in frame["notifications"]] == [f"n{number:03}" for number in range(99, 74, -1)]


@pytest.mark.mission("D-38")
def test_with_nobody_to_carry_frames_publishing_goes_on(
    process: Any, monkeypatch: pytest.MonkeyPatch, ssl: dict[str, Any]
) -> None:
    from tasks import live

    monkeypatch.setenv("BELLWIRE_REDIS_URL", "unix:///nowhere/at/all")
    settings.cache_clear()
    live._client.cache_clear()
    process.user("u1", email="u1@example.org", roles=["operations"])
    process.publish(ssl)
    assert len(process.execute("SELECT FROM notifications")) == 1
    monkeypatch.undo()
    settings.cache_clear()
    live._client.cache_clear()
