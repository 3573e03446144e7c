"""`bellwire migrate`: the schema of a database that the local stack does not keep."""

from __future__ import annotations

from typing import Annotated

import typer

from models.migrate import is_newest, upgrade
from workers.cli.app import app
from workers.stack.environment import attach
from workers.stack.errors import StackError


@app.command()
def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail unless the schema is the newest.")
    ] = False,
) -> None:
    """Bring the database to the newest schema. Safe to run from several machines at once."""
    url = attach().database_url
    if url is None:
        raise StackError("BELLWIRE_DATABASE_URL is not set.")
    if not check:
        problem = upgrade(url.get_secret_value())
        if problem is not None:
            typer.echo(f"There is no second wall between tenants: {problem}. See docs/operations.md.", err=True)
    elif not is_newest(url.get_secret_value()):
        raise StackError("The database does not have the newest schema; `bellwire migrate` brings it there.")
    typer.echo("The schema is the newest.")
