"""`bellwire suppressions`: addresses that are told no more."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipeline.setup import check_tenant
from pipeline.suppressions import add_suppression, lift, list_suppressions
from workers.cli.app import app
from workers.cli.deliveries import CursorOption, LimitOption
from workers.cli.output import JsonOption, TenantOption, ago, lead_on, print_json, say, show_table
from workers.cli.stack import ACTOR, database
from workers.stack.errors import StackError

suppressions = typer.Typer(help="Addresses that are told no more; without a command, the list of them.")
app.add_typer(suppressions, name="suppressions")

COLUMNS = ("tenant", "channel", "address", "event", "reason", "source", "provider", "since")
SPARE = ("provider", "since", "source", "tenant")

OwnerOption = Annotated[str, typer.Option("--tenant", help="Whose list it is.")]
ChannelArgument = Annotated[str, typer.Argument(metavar="CHANNEL", help="email, sms, whatsapp or telegram.")]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="As a user's on that channel.")]
EventOption = Annotated[str | None, typer.Option(help="Only for this type of event; all by default.")]


@suppressions.callback(invoke_without_command=True)
def every_address(context: typer.Context, *, json: JsonOption = False) -> None:
    """Addresses that are told no more."""
    if context.invoked_subcommand is None:
        list_all(json=json)
    elif json:
        raise typer.BadParameter(f"belongs behind {context.invoked_subcommand}", param_hint="--json")


@suppressions.command("list")
def list_all(
    *,
    tenant: TenantOption = None,
    channel: Annotated[str | None, typer.Option(help="email, sms, whatsapp or telegram.")] = None,
    address: Annotated[str | None, typer.Option(help="In any spelling.")] = None,
    reason: Annotated[str | None, typer.Option(help="permanent_bounce, spam_complaint, unsubscribed ...")] = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    json: JsonOption = False,
) -> None:
    """The list, each address with the reason and where that came from."""
    filters = {"channel": channel, "address": address, "reason": reason}
    with database() as connection:
        page, following = list_suppressions(connection, tenant=tenant, filters=filters, cursor=cursor, limit=limit)
    if json:
        print_json({"suppressions": page, "next_cursor": following})
        return
    rows = [{**one, "since": ago(one["created_at"])} for one in page]
    show_table(rows, COLUMNS, nothing="No such suppression.", spare=SPARE)
    lead_on(following)


@suppressions.command()
def add(
    channel: ChannelArgument,
    address: AddressArgument,
    *,
    tenant: OwnerOption,
    event: EventOption = None,
    note: Annotated[str | None, typer.Option(help="Why; kept in the audit.")] = None,
    json: JsonOption = False,
) -> None:
    """Suppress an address; it counts from the next message on, those that wait included."""
    body = {"channel": channel, "address": address, "event": event, "note": note}
    with database() as connection:
        check_tenant(connection, tenant)
        added = add_suppression(connection, tenant=tenant, body=body, actor=ACTOR)
    if json:
        print_json(added)
    else:
        say(f"{_named(added)} is suppressed: {added['reason']}.", "green")


@suppressions.command("lift")
def lift_one(
    channel: ChannelArgument,
    address: AddressArgument,
    *,
    tenant: OwnerOption,
    event: EventOption = None,
    json: JsonOption = False,
) -> None:
    """Take an address off the list: its entry for one event type, or the one for all events."""
    body = {"channel": channel, "address": address, "event": event}
    with database() as connection:
        if not lift(connection, tenant=tenant, body=body, actor=ACTOR):
            raise StackError("There is no such suppression; `bellwire suppressions list` shows them.")
    if json:
        print_json({**body, "tenant": tenant, "lifted": True})
    else:
        say(f"{_named(body)} is told again.")


def _named(one: dict[str, Any]) -> str:
    scope = f" for {one['event']}" if one["event"] else ""
    return f"{one['channel']} {one['address']}{scope}"
