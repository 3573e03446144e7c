"""Tells processes where the local stack is, in the ordinary settings, so that no other code knows about it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from config.settings import Settings, settings
from workers.stack.errors import StackError
from workers.stack.keys import jwt_secret, secret_key
from workers.stack.places import Places

PATIENCE = 1.0  # seconds


def addresses(places: Places, given: Settings) -> dict[str, str]:
    """The variables that point to the local stack's servers, for those that are not set to others."""
    local = {
        "BELLWIRE_DATABASE_URL": None if given.database_url else places.database_url,
        "BELLWIRE_BROKER_URL": None if given.broker_url else places.broker_url,
        "BELLWIRE_REDIS_URL": None if given.redis_url else places.redis_url,
    }
    return {name: value for name, value in local.items() if value is not None}


def generated(places: Places, given: Settings) -> dict[str, str]:
    """The secrets that nobody set, made at the first call; and where users' tokens are signed, if elsewhere."""
    values = {}
    if not given.secret_key:
        values["BELLWIRE_SECRET_KEY"] = secret_key(places)
    if given.jwt_secret is None and given.jwt_jwks_url is None:
        # A token that is signed with a secret of ours is refused by a stack that was started with others' keys.
        if url := places.published_keys:
            values["BELLWIRE_JWT_JWKS_URL"] = url
        else:
            values["BELLWIRE_JWT_SECRET"] = jwt_secret(places)
    return values


def attach() -> Settings:
    """Point this process to the running local stack, where its settings do not say otherwise, and return them anew.

    Raises:
        StackError: no stack runs on the home, or it is another user's.
    """
    given = settings()
    places = Places.of(given.home)
    missing = addresses(places, given)
    if missing and not _runs(places):
        raise StackError(
            f"Bellwire does not run on {places.home}: start it with `bellwire up`, or set {', '.join(missing)}."
        )
    os.environ.update(missing | (generated(places, given) if missing else {}))
    settings.cache_clear()
    return settings()


def _runs(places: Places) -> bool:
    """Whether a server answers; the sockets of one that was killed are still there."""
    return any(_answers(file, places) for file in (places.valkey_socket, places.sockets / ".s.PGSQL.5432"))


def _answers(file: Path, places: Places) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(file))
        except PermissionError:
            raise StackError(f"{places.home} belongs to another user; run this as that user or as root.") from None
        except TimeoutError:
            return True  # it is there, and busy
        except OSError:
            return False
    return True
