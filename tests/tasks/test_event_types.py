"""A tenant's own event type in what workers accept, route and send: from the next batch on."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from models.engine import engine
from pipeline.own_event_types import delete_event_type, put_event_type
from workers.receivers.together import Receivers

TYPE = "backup.failed"
EVENT = {"tenant": "acme", "type": TYPE, "recipients": ["u1"]}


def settings_for(receivers: Receivers) -> dict[str, str]:
    return {
        **receivers.whole_environment(),
        "BELLWIRE_EMAIL_PROVIDERS": "resend",
        "BELLWIRE_RATE_LIMITS": "resend=1000/1",
        "BELLWIRE_RECIPIENT_CAPS": "",
    }


def put(**fields: Any) -> None:
    body = {"group": "backup", "severity": "high", "key": ["host"], "title": "The backup of {host} failed", **fields}
    with engine().begin() as connection:
        put_event_type(connection, tenant="acme", name=TYPE, body=body, actor="cli")


def remove() -> None:
    with engine().begin() as connection:
        assert delete_event_type(connection, tenant="acme", name=TYPE, actor="cli")


def tell(process: Any, **data: Any) -> Any:
    process.publish({**EVENT, "data": data})
    process.ring("email")
    return process.execute("SELECT * FROM events ORDER BY id")[-1]


def subjects(process: Any) -> list[str]:
    return [json.loads(one.body)["subject"] for one in process.receivers.lab.received]


@pytest.fixture
def u1(process: Any) -> Any:
    process.user("u1", email="u1@example.org")
    return process


@pytest.mark.mission("C-5")
def test_its_words_and_its_identity_count_from_the_next_batch_on(u1: Any) -> None:
    tell(u1, host="a", message="before")
    put()
    assert tell(u1, host="a", message="one").severity == "high"
    assert tell(u1, host="a", message="two").status == "duplicate"
    remove()
    assert tell(u1, host="a", message="after").severity == "medium"
    before, own, after = subjects(u1)
    assert own == "The backup of a failed"
    assert own not in (before, after)


def by_bus(process: Any, event: dict[str, Any]) -> None:
    from tasks.batching import Letter
    from tasks.letters import accept_letters

    accept_letters([Letter(str(uuid4()), json.dumps([[event], {}, {}]).encode())], "celery")


def by_outbox(process: Any, event: dict[str, Any]) -> None:
    from tasks.outbox import work_off_outbox

    process.execute("SELECT bellwire_publish('acme', cast(:event AS jsonb))", event=json.dumps(event))
    work_off_outbox(process.child)


@pytest.mark.mission("C-5")
@pytest.mark.parametrize("way", [by_bus, by_outbox])
def test_it_is_in_force_whatever_way_an_event_comes(u1: Any, way: Any) -> None:
    put(secret=["pin"])
    way(u1, {**EVENT, "data": {"host": "a", "pin": "1234"}})
    (stored,) = u1.execute("SELECT severity, data FROM events")
    assert (stored.severity, stored.data) == ("high", {"host": "a", "pin": "••••••"})


@pytest.mark.mission("C-5")
@pytest.mark.parametrize(("transactional", "status"), [(True, "sent"), (False, "suppressed")])
def test_what_a_tenant_says_is_owed_is_sent_whatever_is_preferred(u1: Any, transactional: bool, status: str) -> None:
    put(transactional=transactional)
    u1.publish({**EVENT, "data": {"host": "a"}})
    u1.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, channels)"
        """ VALUES (gen_random_uuid(), 'acme', 'u1', 'backup', '{"email": false}')"""
    )
    u1.ring("email")
    assert [one.status for one in u1.deliveries("email")] == [status]
    assert len(subjects(u1)) == transactional
