"""`bellwire keys`: API keys."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.setup import create_key, ensure_tenant, list_keys, revoke_key
from workers.cli.app import app
from workers.cli.output import JsonOption, TenantOption, print_json, say, show_table
from workers.cli.stack import ACTOR, database
from workers.stack.errors import StackError

keys = typer.Typer(no_args_is_help=True, help="API keys: each has one tenant and one role.")
app.add_typer(keys, name="keys")


@keys.command()
def create(
    *,
    tenant: Annotated[str, typer.Option(help="Whose key it is; made if it is new.")],
    role: Annotated[str, typer.Option(help="publisher, operator or admin.")],
    json: JsonOption = False,
) -> None:
    """Make a key. It is shown once, alone on the last line, and stored nowhere."""
    with database() as connection:
        is_new = ensure_tenant(connection, tenant, ACTOR)
        new = create_key(connection, tenant=tenant, role=role, actor=ACTOR)
    if is_new:
        typer.echo(f"Tenant {tenant} is new.", err=True)
    if json:
        print_json({"id": new.id, "tenant": tenant, "role": role, "key": new.key})
        return
    say(f"Key {new.id}, {role} of {tenant}. It is shown this once:")
    typer.echo(new.key)


@keys.command("list")
def list_all(*, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Keys, without what they are made of."""
    with database() as connection:
        listed = list_keys(connection, tenant=tenant)
    if json:
        print_json({"keys": listed})
    else:
        show_table(listed, ("id", "tenant", "role", "created_at", "revoked_at"), nothing="There are no keys.")


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")], *, json: JsonOption = False
) -> None:
    """Make a key worthless from now on."""
    with database() as connection:
        if not revoke_key(connection, key_id=key, actor=ACTOR):
            raise StackError(f"There is no key {key}, or it was revoked before.")
    if json:
        print_json({"id": key, "revoked": True})
    else:
        say(f"Key {key} is revoked.")
