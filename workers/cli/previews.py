"""`bellwire previews`: what channels without a provider would have sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.previews import list_previews, read_preview
from workers.cli.app import app
from workers.cli.deliveries import CursorOption, LimitOption
from workers.cli.output import JsonOption, TenantOption, lead_on, print_json, say, show_table
from workers.cli.stack import database
from workers.stack.errors import StackError

COLUMNS = ("delivery", "channel", "recipient", "address", "title", "at")


@app.command()
def previews(
    delivery: Annotated[
        str | None, typer.Argument(metavar="DELIVERY", help="Show the message of this one instead of the list.")
    ] = None,
    *,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write its HTML there, for a browser.")] = None,
    tenant: TenantOption = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    json: JsonOption = False,
) -> None:
    """Messages of channels without a provider, the newest first; with DELIVERY, what one of them says."""
    if delivery is not None:
        _show(_read(delivery, tenant), html, json=json)
        return
    if html is not None:
        raise typer.BadParameter("--html needs the DELIVERY whose message it is.")
    with database() as connection:
        page, following = list_previews(connection, tenant=tenant, cursor=cursor, limit=limit)
    if json:
        print_json({"previews": page, "next_cursor": following})
        return
    show_table(page, COLUMNS, nothing="The preview mailbox is empty.", spare=("address", "recipient"))
    if page:
        say("`bellwire previews DELIVERY` shows what one says, with --html FILE as it looks.", "dim")
    lead_on(following)


def _read(delivery: str, tenant: str | None) -> dict[str, Any]:
    with database() as connection:
        found = read_preview(connection, tenant=tenant, delivery_id=delivery)
    if found is None:
        raise StackError(
            f"The preview mailbox has no message of a delivery {delivery}; `bellwire previews` lists them."
        )
    return found


def _show(message: Mapping[str, Any], html: Path | None, *, json: bool) -> None:
    if html is not None:
        _write(message, html)
    if json:
        print_json(message)
        return
    say(f"{message['channel']} to {message['recipient'] or 'no user'} ({message['address']}), {message['at']}", "dim")
    if message["title"]:
        say(message["title"], "bold")
    typer.echo(f"\n{message['text']}")
    if html is not None:
        say(f"Its HTML is in {html}.", "dim")


def _write(message: Mapping[str, Any], file: Path) -> None:
    if message["html"] is None:
        raise StackError(f"This message of {message['channel']} has no HTML.")
    try:
        file.write_text(message["html"], encoding="utf-8")
    except OSError as error:
        raise StackError(f"{file} cannot be written: {error.strerror}.") from None
