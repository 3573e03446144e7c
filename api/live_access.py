"""Who may listen: whoever has a user's token, or a ticket that was given for one (RFC 6750; tickets for browsers, which
cannot send a header with a stream)."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from typing import Final

import structlog
from redis import Redis, RedisError
from starlette.requests import HTTPConnection

from api.access import NO_USER, unauthenticated
from api.errors import Problem, invalid
from api.hub import Listener
from api.tokens import InvalidTokenError, verified
from config.connections import redis_client
from config.fields import check_text
from config.settings import settings
from domain.errors import InvalidInputError
from models.scope import transaction_of
from pipeline.setup import FIND_TENANT, KEY_PREFIX

log = structlog.get_logger(__name__)

TICKET_SECONDS: Final = 30
SUBPROTOCOL: Final = "bearer"
MOST_DIGITS: Final = 18  # of a number that PostgreSQL can hold


def listener_of(connection: HTTPConnection) -> Listener:
    """Who wants to listen. Blocks: it asks Redis about a ticket and the database about the tenant.

    Raises:
        Problem: 401; 503 when there is nowhere to look a ticket up.
    """
    ticket = connection.query_params.get("ticket")
    if ticket is not None:
        return _redeemed(ticket)
    listener = proved(bearer(connection))
    with transaction_of(listener.tenant) as opened:
        if opened.execute(FIND_TENANT, {"tenant": listener.tenant}).first() is None:
            raise unauthenticated("The token names a tenant that does not exist.", NO_USER)
    return listener


def proved(token: str) -> Listener:
    """Whose token it is. Raises Problem 401."""
    if token.startswith(KEY_PREFIX):
        raise unauthenticated("This needs a user's token: an API key has no inbox.", NO_USER)
    try:
        claims = verified(token)
    except InvalidTokenError as error:
        raise unauthenticated(f"The token {error}.", NO_USER) from None
    return Listener(claims.tenant, claims.user_id, claims.customers, claims.expires_at)


def bearer(connection: HTTPConnection) -> str:
    """The token of a request: in `Authorization`, or beside ``bearer`` among the subprotocols of a WebSocket.

    Raises:
        Problem: 401, there is none.
    """
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    offered: list[str] = connection.scope.get("subprotocols") or []
    if offered[:1] == [SUBPROTOCOL] and len(offered) > 1:
        return offered[1]
    raise unauthenticated("A user's token is needed, as Authorization: Bearer ..., or a ticket as ?ticket=.", NO_USER)


def new_ticket(listener: Listener) -> str:
    """A ticket that opens one stream within `TICKET_SECONDS`. Blocks.

    Raises:
        Problem: 503, Redis is away.
    """
    ticket = secrets.token_urlsafe(32)
    try:
        _client().set(_key(ticket), json.dumps(asdict(listener)), ex=TICKET_SECONDS)
    except RedisError as error:
        raise _away(error) from None
    return ticket


def start_number(connection: HTTPConnection) -> int | None:
    """After which number to resume: `Last-Event-ID`, or ``?since=``; None for what comes from now on.

    Raises:
        Problem: 400, it is no whole number.
    """
    named = ("Last-Event-ID", connection.headers.get("last-event-id")), ("since", connection.query_params.get("since"))
    for name, given in named:
        if given:
            if given.isascii() and given.isdigit() and len(given) <= MOST_DIGITS:
                return int(given)
            raise Problem(400, "bellwire.invalid_input", f"{name}: must be a whole number of 0 or more", field=name)
    return None


def device_of(connection: HTTPConnection) -> str | None:
    """What the client calls its device, in ``?device_id=``.

    Raises:
        Problem: 400, nobody could read it.
    """
    given = connection.query_params.get("device_id", "").strip()
    try:
        return check_text(given, "device_id") if given else None
    except InvalidInputError as error:
        raise invalid(error.field, error.problem) from None


def _redeemed(ticket: str) -> Listener:
    try:
        stored = _client().getdel(_key(ticket))
    except RedisError as error:
        raise _away(error) from None
    if not isinstance(stored, bytes):
        raise unauthenticated("The ticket is unknown, was used before, or is too old.", NO_USER)
    claims = json.loads(stored)
    return Listener(claims["tenant"], claims["user_id"], tuple(claims["customers"]), claims["expires_at"])


def _key(ticket: str) -> str:
    """Who can read Redis must not be able to use the tickets in it."""
    return f"ws:tickets:{sha256(ticket.encode('utf-8', 'surrogatepass')).hexdigest()}"


@cache
def _client() -> Redis:
    url = settings().redis_url
    if url is None:
        raise _away(None)
    return redis_client(url.get_secret_value(), "live")


def live_away(detail: str) -> Problem:
    """503: Redis, which connects the servers, does not answer."""
    return Problem(503, "bellwire.live_away", detail, headers={"Retry-After": "2"})


def _away(error: RedisError | None) -> Problem:
    log.warning("tickets_away", problem=type(error).__name__)
    return live_away("Tickets cannot be given or used at the moment; a token in the header works.")
