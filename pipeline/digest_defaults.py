"""What a tenant has for users who do not say themselves when and how often they want to be told."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection, text

from config.catalogue import GROUP_ALIASES
from config.fields import Fields, check_list, check_word
from domain.errors import InvalidInputError
from domain.event import PreferenceEntry
from domain.hold import NO_DEFAULTS, DigestDefaults
from pipeline.audit import record
from pipeline.contacts import check_cron, check_time_zone
from pipeline.event_types import event_types_of
from pipeline.preference_changes import MOST_ENTRIES, check_cadence, check_cadences
from pipeline.setup import NOTE_CHANGE

EMPTY: Final[Mapping[str, Any]] = {"cron": None, "time_zone": None, "cadences": []}

READ = text("SELECT digest FROM tenants WHERE id = :tenant")
LOCK = text("SELECT digest FROM tenants WHERE id = :tenant FOR NO KEY UPDATE")
STORE = text("UPDATE tenants SET digest = cast(:digest AS jsonb) WHERE id = :tenant")


def defaults_of(stored: Mapping[str, Any] | None) -> DigestDefaults:
    """What is stored of a tenant, as routing takes it."""
    if stored is None:
        return NO_DEFAULTS
    entries = tuple(
        PreferenceEntry(one["group"], one["event"], None, {}, one["cadence"], one["cadences"])
        for one in stored["cadences"]
    )
    return DigestDefaults(stored["cron"], stored["time_zone"], entries)


def get_digest(connection: Connection, *, tenant: str) -> dict[str, Any]:
    """``cron``, ``time_zone`` and ``cadences`` of a tenant, as `put_digest` takes them."""
    return {**EMPTY, **(connection.execute(READ, {"tenant": tenant}).scalar() or {})}


def put_digest(
    connection: Connection, *, tenant: str, body: object, actor: str, remote: str | None = None
) -> dict[str, Any]:
    """Change the fields that `body` names; null clears one. It counts for what is routed from now on.

    Args:
        body: ``{"cron": "0 8 * * 1-5", "time_zone": "Europe/Berlin", "cadences": [{"group", "event", "cadence",
            "cadences"}]}``; an entry as users have them in their preferences.

    Raises:
        InvalidInputError: naming the field, such as ``cadences[1].group``.
    """
    changes = _changes(body, event_types_of(connection, tenant).by_group())
    before = {**EMPTY, **(connection.execute(LOCK, {"tenant": tenant}).scalar() or {})}
    after = {**before, **changes}
    connection.execute(STORE, {"tenant": tenant, "digest": json.dumps(after)})
    connection.execute(NOTE_CHANGE, {"tenant": tenant})
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="digest.put",
        subject=tenant,
        before={name: before[name] for name in changes},
        after=changes,
        remote=remote,
    )
    return after


def _changes(body: object, known: Mapping[str, Collection[str]]) -> dict[str, Any]:
    fields = Fields(body, "", tuple(EMPTY))
    assert isinstance(body, Mapping)  # Fields has seen to it
    changes: dict[str, Any] = {name: None for name in ("cron", "time_zone") if name in body}
    if "cron" in fields:
        changes["cron"] = check_cron(fields.raw("cron"), "cron")
    if "time_zone" in fields:
        changes["time_zone"] = check_time_zone(fields.raw("time_zone"), "time_zone")
    if "cadences" in body:
        given = body["cadences"] if body["cadences"] is not None else []
        entries = [_entry(entry, at, known) for at, entry in check_list(given, "cadences", length=MOST_ENTRIES)]
        _check_once(entries)
        changes["cadences"] = entries
    return changes


def _entry(body: object, at: str, known: Mapping[str, Collection[str]]) -> dict[str, Any]:
    fields = Fields(body, at, ("group", "event", "cadence", "cadences"))
    named = fields.required("group")
    group = check_word(
        GROUP_ALIASES.get(named, named) if isinstance(named, str) else named, fields.place("group"), sorted(known)
    )
    event = check_word(fields.raw("event"), fields.place("event"), sorted(known[group])) if "event" in fields else None
    cadences = check_cadences(fields)
    said = {channel: often for channel, often in cadences.items() if often is not None}
    return {"group": group, "event": event, "cadence": check_cadence(fields), "cadences": said}


def _check_once(entries: Collection[Mapping[str, Any]]) -> None:
    seen: dict[tuple[str, str | None], int] = {}
    for place, entry in enumerate(entries):
        key = entry["group"], entry["event"]
        if key in seen:
            raise InvalidInputError(f"cadences[{place}]", f"names the same entry as cadences[{seen[key]}]")
        seen[key] = place
