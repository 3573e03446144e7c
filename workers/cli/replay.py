"""`bellwire replay`: send dead letters again."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import text

from pipeline.identifiers import is_uuid
from pipeline.reasons import reason_in_words
from pipeline.replay import due_by_channel
from pipeline.replay import replay as replay_dead_letters
from workers.cli.app import app
from workers.cli.deliveries import ChannelOption, EventOption, ReasonOption, RecipientOption, SinceOption
from workers.cli.output import JsonOption, TenantOption, counted, print_json, say, show_table
from workers.cli.stack import ACTOR, database, let_bells_leave, ring_channels
from workers.stack.errors import StackError

OF_EVENTS = text("""
SELECT e.id::text, coalesce(array_agg(l.delivery_id::text ORDER BY l.delivery_id)
       FILTER (WHERE l.delivery_id IS NOT NULL), '{}') AS dead_letters
FROM events e LEFT JOIN deliveries d ON d.event_id = e.id LEFT JOIN dead_letters l ON l.delivery_id = d.id
WHERE e.id = ANY(cast(:ids AS uuid[])) AND (cast(:tenant AS text) IS NULL OR e.tenant = :tenant) GROUP BY e.id
""")


@app.command()
def replay(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Deliveries, as `dead-letters` lists them, or whole events."),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    tenant: TenantOption = None,
    channel: ChannelOption = None,
    event: EventOption = None,
    recipient: RecipientOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    json: JsonOption = False,
) -> None:
    """Send dead letters again: those named, those that the options leave, or --all.

    What nobody wants any more, because it expired, was acknowledged or is unwanted, is left out with the reason.
    """
    wanted = {"channel": channel, "event": event, "recipient": recipient, "reason": reason, "since": since}
    filters = {name: value for name, value in wanted.items() if value is not None}
    if sum((bool(ids), bool(filters), everything)) != 1:
        raise typer.BadParameter("Name the dead letters by ID, by options such as --channel, or all of them by --all.")
    result = _replay(tenant, ids=_dead_letters(ids, tenant)) if ids else _by_filters(filters, tenant)
    if json:
        print_json(result)
    else:
        _say(result)
    if ids and not result["replayed"]:
        raise typer.Exit(1)


def _dead_letters(ids: list[str], tenant: str | None) -> list[str]:
    """The ids, with the dead letters of an event in its place.

    Raises:
        StackError: one is no id, or is that of an event without dead letters.
    """
    wrong = next((one for one in ids if not is_uuid(one)), None)
    if wrong is not None:
        raise StackError(f"{wrong!r} is no id; `bellwire dead-letters` lists those that can be sent again.")
    with database() as connection:
        found = connection.execute(OF_EVENTS, {"ids": ids, "tenant": tenant}).all()
    of_events = {row.id: row.dead_letters for row in found}
    for event_id in (one for one, dead in of_events.items() if not dead):
        raise StackError(f"{event_id} is an event, and it has no dead letters; `bellwire explain {event_id}` says why.")
    return list(dict.fromkeys(letter for one in ids for letter in of_events.get(one.lower(), [one])))


def _by_filters(filters: dict[str, str], tenant: str | None) -> dict[str, Any]:
    """In transactions of a thousand, until there are none left; what dies again meanwhile is not taken twice."""
    result: dict[str, Any] = {"replayed": [], "left_out": []}
    more, seen = True, set[str]()
    while more:
        part = _replay(tenant, filters=filters)
        more = part["more"] and not seen.intersection(part["replayed"])
        seen.update(part["replayed"])
        result["replayed"] += part["replayed"]
        result["left_out"] += part["left_out"]
    return result


def _replay(tenant: str | None, **what: Any) -> dict[str, Any]:
    with database() as connection:
        result = replay_dead_letters(connection, tenant=tenant, actor=ACTOR, **what)
        due = due_by_channel(connection, result["replayed"])
    ring_channels(due)
    let_bells_leave()
    return result


def _say(result: dict[str, Any]) -> None:
    replayed, left_out = result["replayed"], result["left_out"]
    if not replayed and not left_out:
        say("No dead letter fits.", "dim")
    if replayed:
        say(f"{counted(len(replayed), 'dead letter')} will be sent again now.", "green")
    rows = [{**one, "because": reason_in_words(one["reason"])} for one in left_out]
    show_table(rows, ("id", "because"), title="Left out")
