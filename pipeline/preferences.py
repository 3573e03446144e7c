"""Preferences (A-28, D-3): what a user wants of each group and event type, over which channels, for which customer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from uuid_utils import uuid7

from config.fields import check_text
from domain.errors import InvalidInputError
from domain.preferences import changed, locked
from domain.vocabulary import CHANNELS
from pipeline.audit import record
from pipeline.digest_defaults import defaults_of
from pipeline.document import document
from pipeline.event_types import EventTypes, event_types_of
from pipeline.preference_changes import MOST_ENTRIES, Change, Key, check_preferences
from pipeline.rehold import reconsider

ALL_ON: Final[Mapping[str, bool]] = dict.fromkeys(CHANNELS, True)

# Locked until the end of the transaction, so that nobody else (an unsubscribe link, another tab) changes what was read.
# A user's token is proof enough that the platform knows him, though nobody has put an address of his yet. The update
# changes nothing, and waits for whoever erases him just now; whoever found him by looking would find nobody to lock.
ENSURE_USER = text("""
INSERT INTO users (tenant, id) VALUES (:tenant, :user_id) ON CONFLICT (tenant, id) DO UPDATE SET id = excluded.id
""")
LOCK_USER = text("SELECT FROM users WHERE tenant = :tenant AND id = :user_id FOR UPDATE")

READ = text("""
SELECT group_name, event, customer_id::text, channels, cadence, cadences,
       (SELECT digest FROM tenants WHERE id = :tenant) AS defaults
FROM preferences
WHERE tenant = :tenant AND user_id = :user_id
ORDER BY group_name, event NULLS FIRST, customer_id NULLS FIRST
""")

_STORE = """
INSERT INTO preferences AS p (id, tenant, user_id, group_name, event, customer_id, channels, cadence, cadences)
SELECT r.id, :tenant, :user_id, r.group_name, r.event, r.customer_id, r.channels, r.cadence, r.cadences
FROM jsonb_to_recordset(cast(:entries AS jsonb))
     AS r(id uuid, group_name text, event text, customer_id uuid, channels jsonb, cadence text, cadences jsonb)
ON CONFLICT (tenant, user_id, group_name, coalesce(event, ''),
             coalesce(customer_id, '00000000-0000-0000-0000-000000000000'::uuid))
DO UPDATE SET {changes}, updated_at = now()
"""
# What an unsubscribe link has said before the first access stays.
FILL = text(_STORE.format(changes="channels = excluded.channels || p.channels"))
STORE = text(
    _STORE.format(changes="channels = excluded.channels, cadence = excluded.cadence, cadences = excluded.cadences")
)
DROP_EMPTY = text("""
DELETE FROM preferences
WHERE tenant = :tenant AND user_id = :user_id AND channels = '{}' AND cadence IS NULL AND cadences = '{}'
""")


@dataclass(frozen=True, slots=True)
class Said:
    """What an entry says: which channels, how often on all of them, and how often on one."""

    channels: Mapping[str, bool] = field(default_factory=dict)
    cadence: str | None = None
    cadences: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left that it decides."""
        return not self.channels and self.cadence is None and not self.cadences


NOTHING: Final = Said()


def get_preferences(
    connection: Connection, *, tenant: str, user_id: str, customers: Collection[str], actor: str, remote: str | None
) -> list[dict[str, Any]]:
    """What a user wants, for all customers and for each of `customers`; by group, the group's own entry first.

    The first time, and after the catalogue has grown, the entries of its groups are made, with every channel on (A-30).

    Raises:
        InvalidInputError: the user's id cannot be one.
    """
    owner = {"tenant": tenant, "user_id": check_text(user_id, "user_id")}
    types = event_types_of(connection, tenant)
    stored = _read(connection, owner)
    missing = _missing(stored, types)
    if missing:
        _lock(connection, owner)
        _fill(connection, owner, missing, actor, remote)
        stored = _read(connection, owner)
    return _shown(stored, customers, types)


def put_preferences(
    connection: Connection,
    *,
    tenant: str,
    user_id: str,
    customers: Collection[str],
    body: object,
    actor: str,
    remote: str | None = None,
) -> list[dict[str, Any]]:
    """Change the entries that `body` names, all or none; it counts for whatever is claimed after the commit (E-46).

    Args:
        body: ``{"preferences": [{"group", "event", "customer_id", "channels", "cadence"}]}``; an entry as
            `get_preferences` shows it is taken too.

    Raises:
        InvalidPreferenceError: an entry names something that is not there, or that cannot be switched off.
        InvalidInputError: anything else, naming the field: ``preferences[3].channels.email``.
    """
    owner = {"tenant": tenant, "user_id": check_text(user_id, "user_id")}
    _lock(connection, owner)
    types = event_types_of(connection, tenant)
    _fill(connection, owner, _missing(_read(connection, owner), types), actor, remote)
    stored = _read(connection, owner)
    changes = check_preferences(body, _known(stored, types), customers, types.all())
    before = {_key(row): Said(row.channels, row.cadence, row.cadences) for row in stored}
    after = {one.key: _after(one, before.get(one.key, NOTHING), types) for one in changes}
    differing = [key for key, said in after.items() if said != before.get(key, NOTHING)]
    if len(before.keys() | {key for key in differing if not after[key].is_empty}) > MOST_ENTRIES:
        raise InvalidInputError("preferences", f"would come to more than {MOST_ENTRIES} entries of this user")
    _store(connection, STORE, owner, {key: after[key] for key in differing})
    connection.execute(DROP_EMPTY, owner)
    reconsider(connection, tenant, user_id)
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="preference.put",
        subject=user_id,
        before={"preferences": [_told(key, before[key]) for key in differing if key in before]},
        after={"preferences": [_told(key, after[key]) for key in differing]},
        remote=remote,
    )
    return _shown(_read(connection, owner), customers, types)


def _known(stored: Sequence[Row[Any]], types: EventTypes) -> dict[str, set[str]]:
    """The event types by group: those in force, and what the user has unsubscribed from though nobody lists it."""
    known = types.by_group()
    for row in stored:
        known.setdefault(row.group_name, set()).update(() if row.event is None else (row.event,))
    return known


def _missing(stored: Sequence[Row[Any]], types: EventTypes) -> list[str]:
    """The groups whose entry is not there or does not name every channel."""
    defaults = [row for row in stored if _is_default(_key(row), types)]
    return sorted(types.groups - {row.group_name for row in defaults if ALL_ON.keys() <= row.channels.keys()})


def _is_default(key: Key, types: EventTypes) -> bool:
    """Whether it is an entry that every user has."""
    return key[1:] == (None, None) and key[0] in types.groups


def _after(change: Change, before: Said, types: EventTypes) -> Said:
    channels = changed(before.channels, change.channels)
    return Said(
        {**ALL_ON, **channels} if _is_default(change.key, types) else channels,
        change.cadence if change.names_cadence else before.cadence,
        changed(before.cadences, change.cadences),
    )


def _lock(connection: Connection, owner: Mapping[str, str]) -> None:
    connection.execute(ENSURE_USER, owner)
    connection.execute(LOCK_USER, owner)


def _fill(
    connection: Connection, owner: Mapping[str, str], groups: Sequence[str], actor: str, remote: str | None
) -> None:
    if not groups:
        return
    _store(connection, FILL, owner, {(group, None, None): Said(ALL_ON) for group in groups})
    record(
        connection,
        tenant=owner["tenant"],
        actor=actor,
        action="preference.create",
        subject=owner["user_id"],
        after={"groups": groups},
        remote=remote,
    )


def _store(connection: Connection, statement: Any, owner: Mapping[str, str], entries: Mapping[Key, Said]) -> None:
    rows = [
        {"id": str(uuid7()), "group_name": group, "event": event, "customer_id": customer, **asdict(said)}
        for (group, event, customer), said in entries.items()
    ]
    if rows:
        connection.execute(statement, {**owner, "entries": document(rows)})


def _read(connection: Connection, owner: Mapping[str, str]) -> Sequence[Row[Any]]:
    return connection.execute(READ, owner).all()


def _key(row: Row[Any]) -> Key:
    return row.group_name, row.event, row.customer_id


def _shown(stored: Sequence[Row[Any]], customers: Collection[str], types: EventTypes) -> list[dict[str, Any]]:
    """Entries as the API shows them; those for customers that the token does not name are left out."""
    return [
        {
            **_told(_key(row), Said(row.channels, row.cadence or _usual(row), row.cadences)),
            "locked": locked(types.all(), group=row.group_name, event=row.event),
        }
        for row in stored
        if row.customer_id is None or row.customer_id in customers
    ]


def _usual(row: Row[Any]) -> str | None:
    """How often a group is told of that says nothing itself: as the tenant has it, else at once."""
    if row.event is not None or row.customer_id is not None:
        return None
    usual = {one.group: one.cadence for one in defaults_of(row.defaults).entries if one.event is None}
    return usual.get(row.group_name) or "instant"


def _told(key: Key, said: Said) -> dict[str, Any]:
    group, event, customer = key
    return {
        "group": group,
        "event": event,
        "customer_id": customer,
        "channels": {channel: said.channels[channel] for channel in CHANNELS if channel in said.channels},
        "cadence": said.cadence,
        "cadences": {channel: said.cadences[channel] for channel in CHANNELS if channel in said.cadences},
    }
