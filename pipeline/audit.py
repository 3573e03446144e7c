"""Audit: who did what when, written in the transaction that did it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

RECORD = text("""
INSERT INTO audit (tenant, actor, action, subject, remote_address, before, after)
VALUES (:tenant, :actor, :action, :subject, :remote, cast(:before AS jsonb), cast(:after AS jsonb))
""")


def record(
    connection: Connection,
    *,
    tenant: str,
    actor: str,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    remote: str | None = None,
) -> None:
    """Add one row. Rows stay when a user is erased, so no address, secret or message goes into them.

    Args:
        actor: ``key:<id>``, ``user:<id>`` or ``cli``.
        action: a verb and what it was done to: ``webhook.put``, ``issue.acknowledge``.
        subject: the name or id of what it was done to.
        remote: the address that the request came from.
    """
    connection.execute(
        RECORD,
        {
            "tenant": tenant,
            "actor": actor,
            "action": action,
            "subject": subject,
            "remote": remote,
            "before": None if before is None else json.dumps(before),
            "after": None if after is None else json.dumps(after),
        },
    )
