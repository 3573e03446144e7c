"""Tells processes where the local stack is, in the ordinary settings, so that no other code knows about it."""

from __future__ import annotations

import os

from config.settings import Settings
from workers.stack.keys import jwt_secret, secret_key
from workers.stack.places import Places


def addresses(places: Places, settings: Settings) -> dict[str, str]:
    """The variables that point to the local stack's servers, for those that are not set to others."""
    local = {
        "BELLWIRE_DATABASE_URL": None if settings.database_url else places.database_url,
        "BELLWIRE_BROKER_URL": None if settings.broker_url else places.broker_url,
        "BELLWIRE_REDIS_URL": None if settings.redis_url else places.redis_url,
    }
    return {name: value for name, value in local.items() if value is not None}


def generated(places: Places, settings: Settings) -> dict[str, str]:
    """The secrets that nobody set, made at the first call."""
    values = {}
    if not settings.secret_key:
        values["BELLWIRE_SECRET_KEY"] = secret_key(places)
    if settings.jwt_secret is None and settings.jwt_jwks_url is None:
        values["BELLWIRE_JWT_SECRET"] = jwt_secret(places)
    return values


def attach(settings: Settings) -> None:
    """Point this process to the local stack of `settings.home`; commands call it before they read their settings anew.

    Raises:
        PermissionError: the home belongs to another user.
    """
    places = Places.of(settings.home)
    os.environ.update(addresses(places, settings))
    if places.home.exists():
        os.environ.update(generated(places, settings))
