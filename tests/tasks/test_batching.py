"""Many messages of one event are one batch: at a low rate none waits, at a high rate batches grow by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import InvalidInputError
from tasks.batching import AWAY, MOST_BYTES, MOST_LETTERS, MOST_TRIES, Batches, Letter


@dataclass
class Message:
    """A message of the broker, as Celery hands it to a strategy."""

    body: bytes | str
    headers: dict[str, Any]
    delivery_tag: int = 7
    channel: Any = None
    acknowledged: int = 0

    def ack_log_error(self, *_: Any) -> None:
        self.acknowledged += 1


@dataclass
class Consumer:
    """The sides of a consumer that a batch touches. Its pool ends a batch when the test says so."""

    processes: int = 2
    under_way: list[tuple[list[str], Callable[..., None], Callable[..., None]]] = field(default_factory=list)
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    event_dispatcher: Any = None
    connection_errors: tuple[type[BaseException], ...] = ()
    given_up: list[str] = field(default_factory=list)
    now: float = 1000.0

    @property
    def pool(self) -> Any:
        def apply_async(_: Any, arguments: Any, callback: Any, error_callback: Any) -> None:
            letters, gives_up = arguments
            self.given_up += [id_ for id_, _ in letters] if gives_up else []
            self.under_way.append(([id_ for id_, _ in letters], callback, error_callback))

        return SimpleNamespace(num_processes=self.processes, apply_async=apply_async)

    @property
    def timer(self) -> Any:
        return SimpleNamespace(call_after=self.call_after)

    def call_after(self, seconds: float, call: Callable[[], None]) -> None:
        """The pause between two batches passes at once; longer waits pass when the test says so."""
        if seconds > 0.1:
            self.later.append((seconds, call))
        else:
            self.now += seconds
            call()

    def batches(self) -> list[list[str]]:
        return [ids for ids, _, _ in self.under_way]

    def done(self) -> None:
        self.under_way.pop(0)[1](None)

    def failed(self, problem: str = AWAY) -> None:
        self.under_way.pop(0)[2](RuntimeError(problem))

    def wait(self) -> float:
        seconds, call = self.later.pop(0)
        self.now += seconds
        call()
        return round(seconds, 3)


def message(id_: str | None, size: int = 10) -> Message:
    return Message(b"x" * size, {} if id_ is None else {"id": id_})


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def batches(consumer: Consumer) -> Batches:
    return Batches(consumer, "bellwire.publish", lambda: consumer.now)


def test_a_single_message_goes_at_once(consumer: Consumer, batches: Batches) -> None:
    batches.take(message("a"))
    assert consumer.batches() == [["a"]]


@pytest.mark.mission("D-31")
def test_what_comes_while_a_batch_is_under_way_is_the_next_batch(consumer: Consumer, batches: Batches) -> None:
    for id_ in "abcd":
        batches.take(message(id_))
    assert consumer.batches() == [["a"]]
    consumer.done()
    assert consumer.batches() == [["b", "c", "d"]]


def test_half_of_the_pool_is_left_to_deliveries() -> None:
    consumer = Consumer(processes=6)
    batches = Batches(consumer, "bellwire.publish", lambda: consumer.now)
    for id_ in "abcde":
        batches.take(message(id_))
    assert consumer.batches() == [["a"], ["b"], ["c"]]


def test_a_batch_has_its_limit_in_messages(consumer: Consumer, batches: Batches) -> None:
    for number in range(MOST_LETTERS + 3):
        batches.take(message(str(number)))
    consumer.done()
    assert [len(ids) for ids in consumer.batches()] == [MOST_LETTERS]


def test_a_batch_has_its_limit_in_bytes(consumer: Consumer, batches: Batches) -> None:
    batches.take(message("first"))
    for id_ in "abc":
        batches.take(message(id_, MOST_BYTES // 2))
    consumer.done()
    assert consumer.batches() == [["a", "b"]]


def test_a_message_over_the_limit_goes_alone(consumer: Consumer, batches: Batches) -> None:
    batches.take(message("first"))
    batches.take(message("huge", MOST_BYTES * 2))
    batches.take(message("small"))
    consumer.done()
    consumer.done()
    assert consumer.batches() == [["small"]]


@pytest.mark.mission("A-26", "D-4")
def test_a_message_is_confirmed_when_its_batch_is_stored_and_not_before(consumer: Consumer, batches: Batches) -> None:
    one = message("a")
    batches.take(one)
    assert one.acknowledged == 0
    consumer.done()
    assert one.acknowledged == 1


@pytest.mark.mission("A-26")
def test_a_batch_that_failed_comes_again_first_and_unconfirmed(consumer: Consumer, batches: Batches) -> None:
    one = message("a")
    batches.take(one)
    batches.take(message("b"))
    consumer.failed()
    batches.take(message("c"))
    assert (consumer.batches(), one.acknowledged) == ([], 0)
    consumer.wait()
    assert consumer.batches() == [["a", "b", "c"]]


def test_failures_in_a_row_wait_longer_up_to_five_seconds(consumer: Consumer, batches: Batches) -> None:
    batches.take(message("a"))
    waits = []
    for _ in range(6):
        consumer.failed("KeyError")
        waits.append(consumer.wait())
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    consumer.done()
    batches.take(message("b"))
    consumer.failed()
    assert consumer.wait() == 0.5


def test_a_message_without_id_gets_one_because_tags_repeat(consumer: Consumer, batches: Batches) -> None:
    batches.take(message(None))
    batches.take(message(None))
    consumer.done()
    ((id_,),) = consumer.batches()
    assert len(id_) == 36


def test_a_batch_that_fails_for_a_reason_of_its_own_goes_one_by_one(consumer: Consumer, batches: Batches) -> None:
    for id_ in "abc":
        batches.take(message(id_))
    consumer.done()
    consumer.failed("KeyError")
    consumer.wait()
    assert consumer.batches() == [["b"]]
    consumer.done()
    assert consumer.batches() == [["c"]]


def test_a_message_that_fails_again_and_again_is_kept_for_a_person(consumer: Consumer, batches: Batches) -> None:
    batches.take(message("spoilt"))
    batches.take(message("good"))
    for _ in range(MOST_TRIES):
        consumer.failed("KeyError")
        consumer.wait()
    assert consumer.given_up == ["spoilt"]
    consumer.done()
    assert (consumer.batches(), consumer.given_up) == ([["good"]], ["spoilt"])


def test_a_database_that_is_away_makes_nobody_give_up(consumer: Consumer, batches: Batches) -> None:
    batches.take(message("a"))
    batches.take(message("b"))
    for _ in range(MOST_TRIES + 1):
        consumer.failed(AWAY)
        assert consumer.wait() == 0.5
    assert (consumer.batches(), consumer.given_up) == ([["a", "b"]], [])


@pytest.mark.parametrize("body", [None, 5, {"a": 1}, ["x"], "text", b"bytes"], ids=lambda body: type(body).__name__)
def test_whatever_a_body_is_it_goes_on_as_bytes(body: Any, consumer: Consumer, batches: Batches) -> None:
    batches.take(Message(body, {"id": "a"}))
    assert consumer.batches() == [["a"]]


def test_flower_is_shown_a_batch_as_one_task(consumer: Consumer, batches: Batches) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    consumer.event_dispatcher = SimpleNamespace(enabled=True, send=lambda kind, **about: said.append((kind, about)))
    batches.take(message("a"))
    consumer.done()
    assert [(kind, about["uuid"]) for kind, about in said] == [
        ("task-received", "a"),
        ("task-started", "a"),
        ("task-succeeded", "a"),
    ]
    assert said[0][1]["args"] == '["a"]'


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        ([[{"type": "x"}], {}, {}], {"type": "x"}),
        ([[[{"type": "x"}, {"type": "y"}]], {}, {}], [{"type": "x"}, {"type": "y"}]),
    ],
    ids=["one-event", "a-list"],
)
def test_what_was_published_is_the_first_argument(body: Any, payload: Any) -> None:
    assert Letter("a", json.dumps(body).encode()).payload() == payload


def test_on_the_bus_the_message_is_what_was_published() -> None:
    assert Letter("a", b'{"type": "x"}', wrapped=False).payload() == {"type": "x"}


@pytest.mark.parametrize(
    "body",
    [
        b"5",
        b"null",
        b"[]",
        b"{}",
        b'{"task": "bellwire.publish", "args": [{}]}',
        b"[[], {}, {}]",
        b'[[], {"events": []}, {}]',
        b"[[{}, {}], {}, {}]",
        b"[5, {}, {}]",
    ],
    ids=lambda body: body.decode(),
)
def test_a_task_without_its_one_argument_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(InvalidInputError, match="args: must be one event or one list of events"):
        Letter("a", body).payload()


@pytest.mark.parametrize("body", [b"\x80\x04\x95pickle", b"not json", b"", b"\xff"], ids=repr)
@pytest.mark.parametrize("wrapped", [True, False], ids=["task", "bus"])
def test_a_body_that_is_no_json_is_refused_in_words(body: bytes, wrapped: bool) -> None:
    with pytest.raises(InvalidInputError, match="is not"):
        Letter("a", body, wrapped).payload()


def test_a_message_over_ten_mebibytes_is_too_large() -> None:
    with pytest.raises(InvalidInputError) as raised:
        Letter("a", b" " * (10 * 1024 * 1024 + 1)).payload()
    assert raised.value.too_large
