"""`bellwire token`: a user's Bearer token, for trying things out and for platforms without a token service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
import typer

from config.fields import check_text, check_word
from config.settings import Settings
from pipeline.identifiers import check_uuid
from pipeline.setup import ROLES, check_tenant
from workers.cli.app import app
from workers.cli.output import JsonOption, print_json
from workers.cli.stack import database, reach
from workers.stack.errors import StackError


@app.command()
def token(
    *,
    tenant: Annotated[str, typer.Option(help="The user's tenant.")],
    user: Annotated[str, typer.Option(help="The user's id.")],
    customer: Annotated[
        list[str] | None, typer.Option(metavar="UUID", help="A customer's UUID; may be repeated.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help=f"{', '.join(ROLES[:-1])} or {ROLES[-1]}; an ordinary user has none.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="For how long it is good.")] = 24.0,
    json: JsonOption = False,
) -> None:
    """Sign a user's token and print it, alone on the last line."""
    settings = reach()
    with database() as connection:
        check_tenant(connection, tenant)
    now = datetime.now(UTC)
    expires = now + timedelta(hours=hours)
    claims = {
        "sub": check_text(user, "--user"),
        "tenant": tenant,
        "customers": [check_uuid(one, "--customer") for one in customer or ()],
        "aud": settings.jwt_audience,
        "iat": now,
        "exp": expires,
        **({} if role is None else {"role": check_word(role, "--role", ROLES)}),
    }
    signed = _signed(claims, settings)
    if json:
        print_json({"token": signed, "expires_at": expires.isoformat(timespec="seconds")})
    else:
        typer.echo(signed)


def _signed(claims: dict[str, Any], settings: Settings) -> str:
    if settings.jwt_secret is None:
        raise StackError(
            "Users' tokens are signed elsewhere: BELLWIRE_JWT_JWKS_URL names the keys that they are checked with."
            if settings.jwt_jwks_url
            else "BELLWIRE_JWT_SECRET is not set, so no token can be signed."
        )
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")
