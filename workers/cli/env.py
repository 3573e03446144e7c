"""`bellwire env`: where the installation is, for the shell: `eval "$(bellwire env)"`."""

from __future__ import annotations

import shlex
from typing import Annotated
from urllib.parse import urlsplit

import typer

from config.settings import Settings
from workers.cli.app import app
from workers.cli.output import JsonOption, print_json
from workers.stack.environment import attach

ADDRESSES = ("database_url", "broker_url", "redis_url")


@app.command()
def env(
    *,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Also the keys, and addresses that carry a password.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Print the addresses of the database, the broker and Redis, as lines for the shell."""
    given = attach()
    found = {**_addresses(given), **(_keys(given) if secrets else {})}
    shown = {name: value for name, value in found.items() if secrets or not _has_password(value)}
    left_out = [name for name in found if name not in shown]
    if json:
        print_json(shown)
        return
    for name, value in shown.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    for name in left_out:
        typer.echo(f"{name} carries a password; --secrets shows it.", err=True)


def _addresses(given: Settings) -> dict[str, str]:
    values = {name: getattr(given, name) for name in ADDRESSES}
    return {f"BELLWIRE_{name.upper()}": value.get_secret_value() for name, value in values.items() if value}


def _keys(given: Settings) -> dict[str, str]:
    keys = {
        "BELLWIRE_SECRET_KEY": ",".join(key.get_secret_value() for key in given.secret_key),
        "BELLWIRE_JWT_SECRET": given.jwt_secret.get_secret_value() if given.jwt_secret else "",
    }
    return {name: value for name, value in keys.items() if value}


def _has_password(address: str) -> bool:
    return bool(urlsplit(address).password) or "password=" in address
