"""`bellwire status`: what waits, since when, and what is broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from redis import RedisError
from sqlalchemy import Connection, text

from channels.breaker import Breakers
from config.connections import redis_client
from config.settings import settings
from pipeline.moments import written
from pipeline.overview import overview
from pipeline.rejected_accounts import rejected_accounts
from workers.cli.app import app
from workers.cli.output import JsonOption, TenantOption, counted, duration, print_json, say, show_table
from workers.cli.stack import database

WEBHOOKS = text("SELECT id::text, name FROM webhooks WHERE id::text = ANY(:ids)")


@app.command()
def status(*, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """What waits and since when, what happened in the last day, what bounced, dead letters, open breakers, queues."""
    with database() as connection:
        seen = overview(connection, tenant=tenant, since=datetime.now(UTC) - timedelta(days=1))
        seen["breakers"] = _breakers(connection, tenant)
        seen["rejected_accounts"] = [
            {**one, "since": written(one["since"])} for one in rejected_accounts(connection, tenant)
        ]
    seen["queues"] = _queues()
    if json:
        print_json(seen)
    else:
        _show(seen)


def _queues() -> list[dict[str, Any]] | None:
    """Messages by queue; None when the broker does not answer."""
    from tasks.depths import queue_depths

    try:
        return [{"queue": name, "messages": depth} for name, depth in queue_depths().items()]
    except Exception:  # brokers' clients raise many kinds
        return None


def _breakers(connection: Connection, tenant: str | None) -> list[dict[str, Any]] | None:
    """Breakers that are not closed; None when Redis does not answer."""
    url = settings().redis_url
    if url is None:
        return None
    try:
        client = redis_client(url.get_secret_value(), "breakers")
        client.ping()
        states = Breakers(client).states()
    except RedisError:
        return None
    keys = {key: key.split(":", 2) for key in states if tenant is None or key.startswith(f"{tenant}:")}
    names = _webhook_names(connection, [parts[-1] for parts in keys.values()])
    return [
        {
            "tenant": parts[0],
            "provider": ":".join(names.get(part, part) for part in parts[1:]),
            "state": states[key].state,
            "failures": states[key].failures,
            "tries_again_in": duration(states[key].wait),
        }
        for key, parts in sorted(keys.items())
    ]


def _webhook_names(connection: Connection, ids: list[str]) -> dict[str, str]:
    return {row.id: row.name for row in connection.execute(WEBHOOKS, {"ids": ids})} if ids else {}


def _show(seen: dict[str, Any]) -> None:
    for one in seen["rejected_accounts"]:
        words = f"{one['provider']} does not accept the account of tenant {one['tenant']} since {one['since']}"
        say(f"{words}: {one['problem']}. What would go there waits; see docs/operations.md.", "bold red")
    waiting, due = seen["events"], seen["oldest_due_seconds"]
    if waiting["accepted"]:
        oldest = duration(waiting["oldest_seconds"])
        say(f"{counted(waiting['accepted'], 'event')} not yet routed, the oldest for {oldest}.", "yellow")
    live = [{**row, "oldest_due": _oldest(due["by_channel"], row["channel"])} for row in seen["live"]]
    show_table(
        live,
        ("channel", "status", "count", "oldest_due"),
        title="Deliveries that wait",
        nothing="No delivery waits.",
    )
    if seen["live"] and not due["all"] and seen["next_due_seconds"] is not None:
        say(f"Nothing is due; the next will be in {duration(seen['next_due_seconds'])}.", "dim")
    show_table(seen["finals"], ("channel", "status", "reason", "count"), title="What happened in the last day")
    _show_deliverability(seen["deliverability"])
    show_table(seen["dead_letters"], ("channel", "reason", "count"), title="Dead letters: `bellwire dead-letters`")
    _show_queues(seen["queues"])
    if seen["breakers"] is None:
        say("Redis does not answer: each worker keeps breakers of its own.", "bold red")
    else:
        columns = ("tenant", "provider", "state", "failures", "tries_again_in")
        show_table(seen["breakers"], columns, title="Breakers", nothing="Every breaker is closed.")


def _show_deliverability(figures: list[dict[str, Any]]) -> None:
    rows = [
        {
            **row,
            "bounce_rate": _percent(row["bounce_rate"]),
            "complaint_rate": _percent(row["complaint_rate"]),
            "cost": f"{row['cost']:.2f} {settings().sms_currency}" if row["cost"] else None,
        }
        for row in figures
    ]
    counted_of = ("accepted", "delivered", "bounced", "bounce_rate", "complained", "complaint_rate", "cost")
    show_table(rows, ("channel", "provider", *counted_of), title="Deliverability in the last day", spare=("cost",))


def _percent(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:.2%}"


def _oldest(by_channel: dict[str, float], channel: str) -> str | None:
    seconds = by_channel.get(channel, 0.0)
    return duration(seconds) if seconds > 0 else None


def _show_queues(queues: list[dict[str, Any]] | None) -> None:
    if queues is None:
        say("The broker does not answer: workers look for what is due by themselves.", "bold red")
        return
    filled = [row for row in queues if row["messages"]]
    show_table(filled, ("queue", "messages"), title="Queues", nothing="The broker's queues are empty.")
