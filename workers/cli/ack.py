"""`bellwire ack`: take an issue, so that the rest of it stops."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection, text

from pipeline.acknowledge import acknowledge
from pipeline.identifiers import is_uuid
from workers.cli.app import app
from workers.cli.output import JsonOption, counted, print_json, say
from workers.cli.stack import ACTOR, database, show_taken
from workers.stack.errors import StackError

# An operator has events at hand rather than notifications, so both are understood.
FIND = text("""
SELECT n.id::text, n.tenant FROM notifications n WHERE n.id = cast(:id AS uuid) AND n.deleted_at IS NULL
UNION ALL
(SELECT n.id::text, n.tenant FROM notifications n WHERE n.event_id = cast(:id AS uuid) AND n.deleted_at IS NULL
 ORDER BY n.ack_at NULLS LAST, n.id LIMIT 1)
LIMIT 1
""")
WITHDRAWN = text("""
SELECT count(*) FROM deliveries d JOIN notifications n ON n.event_id = d.event_id
WHERE n.id = cast(:id AS uuid) AND d.status = 'cancelled' AND d.reason = 'acknowledged'
""")


@app.command()
def ack(
    issue: Annotated[str, typer.Argument(metavar="ID", help="A notification, or the event that it tells of.")],
    *,
    by: Annotated[str, typer.Option(help="Who takes it: a user's id.")] = ACTOR,
    note: Annotated[str | None, typer.Option(help="What the others are told.")] = None,
    recipient_only: Annotated[
        bool, typer.Option("--recipient-only", help="Silent for the notification's recipient only, not for everyone.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Take an issue for everyone: what was not sent is withdrawn, and the same issue stays silent until resolved."""
    with database() as connection:
        notification_id, tenant = _find(connection, issue)
        taken = acknowledge(
            connection,
            tenant=tenant,
            notification_id=notification_id,
            by_user_id=by,
            everyone=not recipient_only,
            note=note,
            actor=ACTOR,
        )
        withdrawn = connection.execute(WITHDRAWN, {"id": notification_id}).scalar_one()
    assert taken is not None  # it was found in the same transaction
    show_taken(tenant, taken)
    shown = taken.notification
    if json:
        print_json(shown)
        return
    say(f"{shown['title']}: taken by {shown['ack_by_user_id']} at {shown['ack_at']}.", "green")
    if shown["ack_note"]:
        say(f"Note: {shown['ack_note']}")
    words = f"{counted(withdrawn, 'delivery', 'deliveries')} of this event withdrawn."
    say(words if withdrawn else "Nothing was left to withdraw.", "dim")


def _find(connection: Connection, issue: str) -> tuple[str, str]:
    row = connection.execute(FIND, {"id": issue}).first() if is_uuid(issue) else None
    if row is None:
        raise StackError(f"There is no notification {issue}, and no event of that id that anybody was notified of.")
    return row.id, row.tenant
