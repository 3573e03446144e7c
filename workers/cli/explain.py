"""`bellwire explain`: why an event came to what it came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from pipeline.ledger import explain_event
from workers.cli.app import app
from workers.cli.output import JsonOption, print_json, say, show_table
from workers.cli.stack import database
from workers.stack.errors import StackError


@app.command()
def explain(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The id of an event.")],
    *,
    every_route: Annotated[bool, typer.Option("--every-route", help="Also the routes that did not match.")] = False,
    json: JsonOption = False,
) -> None:
    """Say in words which routes an event took, who was told, who was left out, and why."""
    with database() as connection:
        found = explain_event(connection, tenant=None, event_id=event)
    if found is None:
        raise StackError(f"There is no event {event}.")
    if json:
        print_json(found)
    else:
        _show(found, every_route=every_route)


def _show(found: Mapping[str, Any], *, every_route: bool) -> None:
    say(f"{found['type']} ({found['severity']}) of tenant {found['tenant']}: {found['status']}", "bold")
    say(found["words"])
    routes = [{"route": one["name"], "": one["words"]} for one in found["routes"] if every_route or one["matched"]]
    show_table(routes, ("route", "") if every_route else ("route",), title="Routes" if every_route else "Routes taken")
    deliveries = [
        {**one, "to": one["recipient"] or "the tenant", "what_became_of_it": one["words"]}
        for one in found["deliveries"]
    ]
    show_table(
        deliveries,
        ("id", "to", "channel", "address", "status", "what_became_of_it"),
        title="Deliveries",
        spare=("address", "channel"),
    )
    show_table(_left_out(found["skipped"]), ("recipient", "channel", "because"), title="Left out")
    for one in found["acknowledged"]:
        note = f": {one['ack_note']}" if one["ack_note"] else ""
        say(f"{one['recipient']}'s notification: taken by {one['ack_by_user_id']} at {one['ack_at']}{note}")


def _left_out(skipped: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a recipient and reason, with all channels that it holds for: what is critical tries every channel."""
    rows: dict[tuple[str, str], list[str]] = {}
    for one in skipped:
        rows.setdefault((one["recipient"], one["words"]), []).append(one["channel"])
    return [
        {"recipient": recipient, "channel": ", ".join(filter(None, channels)) or None, "because": words}
        for (recipient, words), channels in rows.items()
    ]
