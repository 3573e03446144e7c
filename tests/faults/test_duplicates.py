"""The same thing at the same moment from everywhere: it happens once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from workers.receivers.http import HttpReceiver

pytestmark = [pytest.mark.faults]


@pytest.mark.mission("B-8")
def test_200_identical_events_at_once_are_told_once(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    (event,) = numbered("identical", [chance.randint(1, 9)])
    site.set_up(webhooks={"all": {"url": f"{receiver.url}/all"}})
    site.start_worker("first")
    site.start_worker("second")
    sizes = [chance.randint(1, 8) for _ in range(200)]
    together = [sizes[: place + 1] for place in range(len(sizes)) if sum(sizes[:place]) < 200]
    with ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda taken: site.publish([event] * taken[-1]), together))
    count = sum(taken[-1] for taken in together)
    site.wait_until_settled(count)
    check_invariants(site, receiver, [event], duplicates=False)
    assert site.value("SELECT sum(repeats)::int FROM events") == count - 1
    assert site.value("SELECT count(DISTINCT duplicate_of) FROM events") == 1


def test_a_message_that_the_broker_delivers_twice_happens_once(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    # Chat messages are never folded into each other, so only the message's id can tell.
    published = [
        {"type": "message_received", "tenant": "acme", "data": {"n": number, "sender": "Ann"}} for number in range(20)
    ]
    site.set_up(webhooks={"all": {"url": f"{receiver.url}/all"}})
    site.start_worker()
    ids = [str(uuid4()) for _ in published]
    messages = [*zip(published, ids, strict=True)] * 3
    chance.shuffle(messages)
    for event, id_ in messages:
        site.publish(event, task_id=id_)
    published += numbered("last", [0])
    site.publish(published[-1])
    site.wait_until_settled(len(published))
    check_invariants(site, receiver, published, duplicates=False)
