"""Messages that came before, and messages that are no event."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.rejections import LONGEST_ID, MOST_KEPT_BYTES, NOT_KEPT, Rejected, keep, unseen, without_secrets
from pipeline.sweep import forget_seen


def see(world: Any, *ids: str, source: str = "celery") -> set[str]:
    with world.begin() as connection:
        return unseen(connection, source, ids)


@pytest.mark.mission("D-4")
def test_a_message_that_is_delivered_again_was_seen(world: Any) -> None:
    assert see(world, "a", "b") == {"a", "b"}
    assert see(world, "b", "c") == {"c"}


def test_a_message_whose_transaction_failed_was_not_seen(world: Any) -> None:
    with pytest.raises(KeyError), world.begin() as connection:
        unseen(connection, "celery", ["a"])
        raise KeyError
    assert see(world, "a") == {"a"}


def test_the_same_id_from_another_source_is_another_message(world: Any) -> None:
    see(world, "a")
    assert see(world, "a", source="bus") == {"a"}


@pytest.mark.parametrize(
    "id_",
    ["a\x00b", "a\ud800b", "ü", "", "x" * (LONGEST_ID + 1), "x" * 1_000_000],
    ids=["nul", "half-a-pair", "umlaut", "empty", "long", "a-megabyte"],
)
def test_whatever_id_a_publisher_chose_is_seen_once(world: Any, id_: str) -> None:
    assert see(world, id_, "plain") == {id_, "plain"}
    assert see(world, id_) == set()


@pytest.mark.parametrize(("age", "again"), [("7 hours", {"a"}), ("5 hours", set())], ids=["forgotten", "remembered"])
def test_ids_are_forgotten_long_after_a_broker_would_deliver_again(world: Any, age: str, again: set[str]) -> None:
    see(world, "a")
    world.execute(f"UPDATE letters SET seen_at = now() - interval '{age}'")
    with world.begin() as connection:
        forget_seen(connection)
    assert see(world, "a") == again


def test_what_is_no_event_is_kept_for_a_person(world: Any) -> None:
    with world.begin() as connection:
        keep(connection, [Rejected("bus", "type: is required", b"\x80\x04pickle\x00")])
    (row,) = world.execute("SELECT source, error, payload FROM rejections")
    assert (row.source, row.error, bytes(row.payload)) == ("bus", "type: is required", b"\x80\x04pickle\x00")


def test_a_huge_message_is_cut(world: Any) -> None:
    with world.begin() as connection:
        keep(connection, [Rejected("bus", "is too large", b"x" * (MOST_KEPT_BYTES + 1))])
    assert world.execute("SELECT length(payload) AS size FROM rejections")[0].size == MOST_KEPT_BYTES


@pytest.mark.mission("A-14")
@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        (b'{"type": 1, "data": {"password": "x"}}', '{"data":{"password":"••••••"},"type":1}'.encode()),
        (b'[[{"data": [{"p\\u0061ssword": 7}]}], {}]', '[[{"data":[{"password":"••••••"}]}],{}]'.encode()),
        (b'{"data": {"password": "cut o', NOT_KEPT),
        ('{"data": {"password": "cut o'.encode("utf-16"), NOT_KEPT),
        (b'{"data": {"host":  "as it came"}}', b'{"data": {"host":  "as it came"}}'),
        (b'{"data": {"host": "\\u00e4 cut o', b'{"data": {"host": "\\u00e4 cut o'),
    ],
)
def test_what_is_secret_is_not_kept_with_it(payload: bytes, kept: bytes) -> None:
    assert without_secrets(payload, frozenset({"password"})) == kept
