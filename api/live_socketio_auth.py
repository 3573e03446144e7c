"""What a Socket.IO client says in `auth`, put where the other framings have it: into the header and the address."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

from api.errors import invalid

IN_QUERY: Final = ("ticket", "since", "device_id")
# What an earlier connection sent: a library sends the address again, with a ticket that was used and an old number.
STALE: Final = {"token": "ticket", "ticket": "ticket", "since": "since", "device_id": "device_id"}
HEADERS: Final = {"token": b"authorization", "since": b"last-event-id"}


def with_auth(scope: Scope, auth: Any) -> Scope:
    """The handshake with what `auth` has put in its place; what it does not name stays.

    Raises:
        Problem: 400, it is no object of texts and numbers.
    """
    given = _given(auth)
    stale = {STALE[name] for name in given}
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="replace")
    kept = [(name, value) for name, value in query if name not in stale]
    added = [(name, given[name]) for name in IN_QUERY if name in given]
    replaced = {HEADERS[name] for name in given if name in HEADERS}
    headers = [(name, value) for name, value in scope["headers"] if name not in replaced]
    if "token" in given:
        headers.append((b"authorization", b"Bearer " + given["token"].encode("utf-8", "replace")))
    encoded = urlencode([*kept, *added], errors="replace")
    return {**scope, "headers": headers, "query_string": encoded.encode("ascii")}


def _given(auth: Any) -> dict[str, str]:
    """Its text and numbers that we know of."""
    if auth is None:
        return {}
    if not isinstance(auth, dict):
        raise invalid("auth", "must be an object")
    given = {name: auth[name] for name in STALE if auth.get(name) is not None}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise invalid(f"auth.{name}", "must be text or a number")
    return {name: str(value) for name, value in given.items()}
