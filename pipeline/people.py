"""The people behind what routes ask for: one statement a batch, whatever it asks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.event import Person, PreferenceEntry, WebhookEndpoint
from domain.recipients import ADDRESS_FIELDS, Wish

FIND = text("""
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(cast(:wanted AS jsonb)) AS w(tenant text, kind text, key text)
),
found AS (
    SELECT w.*, w.key AS user_id FROM wanted w WHERE w.kind = 'user'
    UNION ALL
    SELECT w.*, r.user_id FROM wanted w JOIN user_roles r ON r.tenant = w.tenant AND r.role = w.key
    WHERE w.kind = 'role'
    UNION ALL
    SELECT w.*, c.user_id FROM wanted w
    JOIN user_customers c ON c.tenant = w.tenant AND c.customer_id = cast(w.key AS uuid) WHERE w.kind = 'customer'
)
SELECT f.tenant, f.kind, f.key, u.id, u.name, u.email, u.phone, u.telegram_chat_id, u.whatsapp, u.locale, u.time_zone,
       u.apprise IS NOT NULL AS has_apprise, u.disabled_channels, u.quiet_hours, u.digest,
       ARRAY(SELECT t.id::text FROM push_tokens t WHERE t.tenant = u.tenant AND t.user_id = u.id AND t.is_active
             ORDER BY t.updated_at DESC, t.id) AS push_tokens,
       (SELECT jsonb_agg(jsonb_build_array(p.group_name, p.event, p.customer_id, p.channels, p.cadence, p.cadences))
        FROM preferences p
        WHERE p.tenant = u.tenant AND p.user_id = u.id
          AND (p.event IS NOT NULL OR p.customer_id IS NOT NULL OR p.channels @? '$.* ? (@ == false)'
               OR p.cadence IS NOT NULL OR p.cadences <> '{}')) AS preferences,
       (SELECT jsonb_agg(jsonb_build_array(h.id, h.name, h.url, h.events)) FROM webhooks h
        WHERE h.tenant = u.tenant AND coalesce(h.user_id, '') = u.id) AS webhooks
FROM found f JOIN users u ON u.tenant = f.tenant AND u.id = f.user_id
ORDER BY f.tenant, u.id
""")

People = Mapping[tuple[str, Wish], list[Person]]


def find_people(connection: Connection, wanted: Iterable[tuple[str, Wish]]) -> People:
    """Users by tenant and wish, in the order of their ids. Costs nothing when nothing is wanted."""
    asked = set(wanted)
    result: dict[tuple[str, Wish], list[Person]] = {}
    if not asked:
        return result
    document = json.dumps([{"tenant": tenant, "kind": wish.kind, "key": wish.key} for tenant, wish in asked])
    for row in connection.execute(FIND, {"wanted": document}):
        result.setdefault((row.tenant, Wish(row.kind, row.key)), []).append(person(row))
    return result


def person(row: Row[Any]) -> Person:
    """A user's row as routing sees it."""
    addresses = {
        channel: address for field, channel in ADDRESS_FIELDS.items() if (address := getattr(row, field)) is not None
    }
    if row.has_apprise:  # the address itself is full of secrets; whoever sends looks it up
        addresses["apprise"] = f"apprise:{row.id}"
    return Person(
        user_id=row.id,
        name=row.name,
        locale=row.locale,
        addresses=addresses,
        webhooks=tuple(WebhookEndpoint(id_, name, url, tuple(events)) for id_, name, url, events in row.webhooks or ()),
        preferences=preference_entries(row.preferences),
        push_tokens=tuple(row.push_tokens),
        disabled=frozenset(row.disabled_channels),
        **own_time(row),
    )


def own_time(row: Row[Any]) -> dict[str, Any]:
    """What a user's row says of the times at which he is told, as `Person` takes it."""
    return {
        "time_zone": row.time_zone,
        "quiet_hours": row.quiet_hours and (row.quiet_hours["from"], row.quiet_hours["to"]),
        "digest": row.digest and row.digest["cron"],
    }


def preference_entries(rows: Iterable[Any] | None) -> tuple[PreferenceEntry, ...]:
    """Preferences as they come out of the database, as ``[group, event, customer_id, channels]`` each.

    With ``cadence`` and ``cadences`` behind them where it matters how often.
    """
    return tuple(PreferenceEntry(*row) for row in rows or ())
