"""Tickets: what a browser, which can send no header with a stream, shows in its address instead of a token."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.access import User
from api.answers import Json
from api.examples import answered
from api.live_access import TICKET_SECONDS, bearer, new_ticket, proved

router = APIRouter(tags=["live"])

EXAMPLE = {"ticket": "1Jf0yq8bTn2m7b9m3sV9x1bH4rJ6kq0Zt5w2c8d7e6f", "expires_in": TICKET_SECONDS}


@router.post("/v1/notifications/ticket", responses=answered(EXAMPLE))
def ticket(request: Request, caller: User) -> Response:
    """A ticket that opens one stream within 30 seconds, as `?ticket=`, with the rights of the token and until it ends.

    Addresses are written to logs, so a token must not be in one; a ticket that was used is worth nothing.
    """
    made = new_ticket(proved(bearer(request)))
    return Json({"ticket": made, "expires_in": TICKET_SECONDS})
