"""Secrets of events (A-14): taken out of the data at the door, sealed apart from it, opened for emails, then wiped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from config.settings import SettingsError
from domain.errors import InvalidInputError
from domain.event import MASK, Event
from domain.fingerprint import canonical
from pipeline.document import document
from pipeline.sealing import keyed, opened_once, sealed

DEEPEST: Final = 40  # an event's data is at most 32 deep
PATIENCE: Final = 7  # days that a dead letter's secret waits for somebody to send it again

STORE = text("""
INSERT INTO event_secrets (event_id, tenant, sealed)
SELECT event_id, tenant, sealed FROM jsonb_to_recordset(cast(:secrets AS jsonb))
    AS r(event_id uuid, tenant text, sealed text)
""")

# Whatever waits long is looked at in turn, so a round costs the same however much waits.
WIPE = text(f"""
WITH picked AS (
    SELECT event_id FROM event_secrets ORDER BY looked_at LIMIT :most FOR UPDATE SKIP LOCKED
),
judged AS (
    SELECT p.event_id, coalesce(e.status, '') <> 'accepted' AND NOT EXISTS (
        SELECT FROM deliveries d LEFT JOIN dead_letters l ON l.delivery_id = d.id
        WHERE d.event_id = p.event_id AND d.channel = 'email'
          AND (d.status IN ('queued', 'held', 'processing', 'failed')
               OR (d.status = 'dead_letter' AND l.created_at > now() - interval '{PATIENCE} days'))) AS over
    FROM picked p LEFT JOIN events e ON e.id = p.event_id
),
wiped AS (DELETE FROM event_secrets s USING judged j WHERE s.event_id = j.event_id AND j.over)
UPDATE event_secrets s SET looked_at = now() FROM judged j WHERE s.event_id = j.event_id AND NOT j.over
""")
MOST_LOOKED_AT: Final = 2_000  # a round


@dataclass(frozen=True, slots=True)
class Hidden:
    """What becomes of data with secrets.

    Attributes:
        data: with dots in their place: what is stored, shown and sent by every channel but email.
        sealed: all of the data, encrypted.
        identity: what its fingerprint is made of.
    """

    data: dict[str, Any]
    sealed: str
    identity: dict[str, Any]


def hide(data: dict[str, Any], names: Iterable[str]) -> Hidden | None:
    """Take the fields of these names, at any depth, out of `data`; None when it has none of them.

    In the fingerprint the secret is replaced by what only our key makes of it: whoever reads the database could else
    try passwords until one of them gave the same fingerprint.

    Raises:
        InvalidInputError: there is no key to seal them with.
    """
    secret = frozenset(names)
    shown = replaced(data, secret, lambda _: MASK)
    if shown == data:
        return None
    try:
        identity = replaced(data, secret, lambda value: keyed(canonical(value).encode()).hex())
        return Hidden(shown, sealed(canonical(data).encode()), identity)
    except SettingsError:
        problem = "has a secret, which this installation cannot keep: BELLWIRE_SECRET_KEY is not set"
        raise InvalidInputError("data", problem) from None


def replaced(value: Any, names: frozenset[str], change: Callable[[Any], Any], depth: int = 0) -> Any:
    """`value` with every field of these names changed, at any depth."""
    if depth > DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {
            name: change(inner) if name in names else replaced(inner, names, change, depth + 1)
            for name, inner in value.items()
        }
    return [replaced(inner, names, change, depth + 1) for inner in value] if isinstance(value, list) else value


def store_secrets(connection: Connection, events: Iterable[Event]) -> None:
    """Keep what was taken out of these events; no statement when nothing was."""
    rows = [{"event_id": one.id, "tenant": one.tenant, "sealed": one.sealed} for one in events if one.sealed]
    if rows:
        connection.execute(STORE, {"secrets": document(rows)})


def revealed(stored: str) -> dict[str, Any]:
    """The data of an event with its secrets. Raises SettingsError when the key that sealed it is gone."""
    data: dict[str, Any] = json.loads(opened_once(stored))
    return data


def wipe_secrets(connection: Connection) -> None:
    """Delete the secrets that no email needs any more: one statement, and so many a round."""
    connection.execute(WIPE, {"most": MOST_LOOKED_AT})
