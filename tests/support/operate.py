"""An operator at work: `python -m tests.support.operate` reads a verb a line and answers each with a line, all JSON.

A process of its own, because the settings of an installation are read once a process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from models.engine import transaction
from pipeline.acknowledge import acknowledge
from pipeline.digest_defaults import put_digest
from pipeline.ledger import read_event
from pipeline.provider_accounts import put_account
from pipeline.push_tokens import register
from pipeline.replay import replay
from pipeline.routes import put_route
from pipeline.setup import create_key, ensure_tenant
from pipeline.users import put_user
from pipeline.webhooks import put_webhook


def set_up(connection: Connection, tenant: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """A tenant with all that it has; answers webhooks with their secrets, and keys."""
    by: dict[str, Any] = {"tenant": tenant, "actor": "cli"}
    ensure_tenant(connection, tenant)
    for user_id, body in wanted.get("users", {}).items():
        put_user(connection, **by, user_id=user_id, body=body)
    for user_id, devices in wanted.get("devices", {}).items():
        for body in devices:
            register(connection, **by, user_id=user_id, body=body)
    for provider, body in wanted.get("accounts", {}).items():
        put_account(connection, **by, provider=provider, body=body)
    if "digest" in wanted:
        put_digest(connection, **by, body=wanted["digest"])
    for name, body in wanted.get("routes", {}).items():
        put_route(connection, **by, name=name, body=body)
    return {
        "webhooks": {
            name: put_webhook(connection, **by, user_id=None, name=name, body=body)
            for name, body in wanted.get("webhooks", {}).items()
        },
        "keys": {role: create_key(connection, **by, role=role).key for role in wanted.get("keys", ())},
    }


def take(connection: Connection, **arguments: Any) -> dict[str, Any] | None:
    """Acknowledge; the notification as it is then."""
    taken = acknowledge(connection, **arguments)
    return taken and taken.notification


VERBS: dict[str, Callable[..., Any]] = {
    "set_up": set_up,
    "acknowledge": take,
    "replay": replay,
    "read_event": read_event,
}


def main() -> None:
    """One transaction a line."""
    for line in sys.stdin:
        verb, arguments = json.loads(line)
        with transaction() as connection:
            answer = VERBS[verb](connection, **arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
