"""`bellwire deliveries` and `bellwire dead-letters`: lists for the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from pipeline.ledger import list_dead_letters, list_deliveries
from workers.cli.app import app
from workers.cli.output import JsonOption, TenantOption, ago, counted, lead_on, print_json, say, show_table
from workers.cli.stack import database

ChannelOption = Annotated[str | None, typer.Option(help="email, telegram, webhook, in_app ...")]
EventOption = Annotated[str | None, typer.Option(help="An event type, or a pattern: billing.*")]
RecipientOption = Annotated[str | None, typer.Option(help="A user's id, or a whole address.")]
ReasonOption = Annotated[str | None, typer.Option(help="retries_exhausted, refused, no_provider ...")]
SinceOption = Annotated[str | None, typer.Option(help="A time with its offset, or an age: 15m, 2h, 7d.")]
LimitOption = Annotated[int, typer.Option(min=1, max=200, help="Rows in a page.")]
CursorOption = Annotated[str | None, typer.Option(help="Where the page before ended.")]

COLUMNS = ("id", "event", "recipient", "channel", "provider", "address", "status", "reason", "tries", "last")
SPARE = ("address", "provider", "last", "tries", "recipient", "detail", "channel", "reason", "event")


@app.command("deliveries")
def deliveries(
    *,
    tenant: TenantOption = None,
    status: Annotated[str | None, typer.Option(help="queued, failed, sent, dead_letter ...")] = None,
    channel: ChannelOption = None,
    event: EventOption = None,
    recipient: RecipientOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    json: JsonOption = False,
) -> None:
    """Deliveries, the newest first."""
    filters = {**_filters(channel, event, recipient, reason, since), "status": status}
    with database() as connection:
        page, following = list_deliveries(connection, tenant=tenant, filters=filters, cursor=cursor, limit=limit)
    if json:
        print_json({"deliveries": page, "next_cursor": following})
        return
    nothing = "No delivery on this page." if following else "No such delivery."
    show_table(map(shown, page), COLUMNS, nothing=nothing, spare=SPARE)
    lead_on(following)


@app.command("dead-letters")
def dead_letters(
    *,
    tenant: TenantOption = None,
    channel: ChannelOption = None,
    event: EventOption = None,
    recipient: RecipientOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    json: JsonOption = False,
) -> None:
    """What is out of retries, refused or unclear and waits for a person, with the causes."""
    filters = _filters(channel, event, recipient, reason, since)
    with database() as connection:
        page = list_dead_letters(connection, tenant=tenant, filters=filters, cursor=cursor, limit=limit)
    if json:
        print_json(page)
        return
    if not page["dead_letters"]:
        say("No dead letters.", "dim")
        return
    causes = [{**cause, "for_example": cause["example"]["detail"] or None} for cause in page["causes"]]
    show_table(causes, ("reason", "channel", "count", "for_example"), title="Causes")
    columns = ("id", "event", "recipient", "channel", "address", "reason", "tries", "last", "detail")
    show_table(map(shown, page["dead_letters"]), columns, title="Dead letters", spare=SPARE)
    total = sum(cause["count"] for cause in page["causes"])
    say(f"{counted(total, 'dead letter')}. `bellwire replay ID...` or `bellwire replay --all` sends them again.", "dim")
    lead_on(page["next_cursor"])


def _filters(
    channel: str | None, event: str | None, recipient: str | None, reason: str | None, since: str | None
) -> dict[str, str | None]:
    return {"channel": channel, "event": event, "recipient": recipient, "reason": reason, "since": since}


def shown(delivery: Mapping[str, Any]) -> dict[str, Any]:
    """A delivery as a row: how often it was tried, and what came of it last; of a dead letter, what made it one."""
    last = delivery["attempts"][-1] if delivery["attempts"] else None
    moment = last["started_at"] if last else delivery["sent_at"] or delivery["created_at"]
    return {
        **delivery,
        "tries": len(delivery["attempts"]),
        "last": ago(moment),
        "detail": delivery.get("detail") or ((last["detail"] or None) if last else None),
    }
