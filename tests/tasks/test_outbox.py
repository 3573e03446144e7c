"""The round of the outbox in a worker: with the broker or without it, and whatever one row holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as listening
from sqlalchemy.exc import OperationalError

from config.settings import settings
from models.engine import engine
from tests.support.waiting import wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "publish_sql.py"
REFUSE = """
CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not this one' USING ERRCODE = 'untranslatable_character';
END
$$;
CREATE TRIGGER refuse_poison BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.branch = 'poison')
EXECUTE FUNCTION refuse_poison();
"""


def publish(process: Any, *events: dict[str, Any], tenant: str = "acme") -> None:
    """As a caller does, each in a transaction of its own."""
    for event in events:
        statement = "SELECT bellwire_publish(:tenant, cast(:event AS jsonb))"
        process.execute(statement, tenant=tenant, event=json.dumps(event))


def some_event(host: str, **more: Any) -> dict[str, Any]:
    return {"type": "ssl_expiry", "data": {"host": host}, **more}


def hosts(process: Any) -> list[str]:
    return [row.host for row in process.execute("SELECT data->>'host' AS host FROM events ORDER BY id")]


@pytest.mark.parametrize("with_broker", [True, False])
def test_a_round_publishes_what_waits_and_delivers_it(process: Any, with_broker: bool) -> None:
    from tasks.bells import ringer
    from tasks.sweep import sweep, sweep_here

    process.hook("/hook")
    publish(process, some_event("shop"))
    if with_broker:
        sweep()
        assert ringer().flush()
        ids = [str(row.id) for row in process.deliveries()]
        assert process.broker.bells("deliver.webhook") == [[ids]]
    else:
        sweep_here(process.child, 0.0)
        wait_until(lambda: [row.status for row in process.deliveries()] == ["sent"], "the delivery", 10)
    assert hosts(process) == ["shop"]


def test_a_round_empties_it_however_much_is_there(process: Any) -> None:
    from pipeline.outbox import MOST_ROWS
    from tasks.outbox import work_off_outbox

    publish(process, *(some_event(str(number)) for number in range(MOST_ROWS + 5)))
    work_off_outbox(process.child)
    assert len(hosts(process)) == MOST_ROWS + 5
    assert process.execute("SELECT FROM outbox") == []


def test_what_the_database_refuses_is_kept_and_the_rest_is_published(process: Any) -> None:
    from tasks.outbox import work_off_outbox

    process.execute(REFUSE)
    try:
        publish(process, some_event("a"), some_event("b", branch="poison"), some_event("c"))
        work_off_outbox(process.child)
    finally:
        process.execute("DROP FUNCTION refuse_poison CASCADE")
    assert hosts(process) == ["a", "c"]
    (kept,) = process.execute("SELECT source, tenant, error, payload FROM rejections")
    assert (kept.source, kept.tenant, kept.error) == ("outbox", "acme", "cannot be stored: DataError")
    assert json.loads(kept.payload)["data"] == {"host": "b"}
    assert process.execute("SELECT FROM outbox") == []


def test_with_the_database_away_everything_waits(process: Any) -> None:
    from tasks.outbox import work_off_outbox

    def gone(*_: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("the server went away"))

    publish(process, some_event("shop"))
    listening.listen(engine(), "commit", gone)
    try:
        with pytest.raises(OperationalError):
            work_off_outbox(process.child)
    finally:
        listening.remove(engine(), "commit", gone)
    assert (hosts(process), len(process.execute("SELECT FROM outbox"))) == ([], 1)
    work_off_outbox(process.child)
    assert hosts(process) == ["shop"]


def test_the_example_publishes_what_it_commits_and_nothing_else(process: Any) -> None:
    from pipeline.setup import ensure_tenant
    from tasks.sweep import sweep

    with engine().begin() as connection:
        ensure_tenant(connection, "demo")
    url = settings().database_url
    assert url is not None
    environment = os.environ | {"BELLWIRE_DATABASE_URL": url.get_secret_value()}
    done = subprocess.run((sys.executable, EXAMPLE), env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    sweep()
    (stored,) = process.execute("SELECT tenant, data FROM events")
    assert stored.tenant == "demo"
    assert (stored.data["host"], stored.data["order_id"]) == ("sql.example.org", done.stdout.split()[-1])
