"""Templates of tenants' own: saved as versions, published, rolled back, given up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from uuid_utils import uuid7

from config.catalogue import TEMPLATES
from domain.errors import InvalidInputError
from pipeline.audit import record
from pipeline.custom import PARTS
from pipeline.event_types import event_types_of
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.moments import written
from pipeline.published import Place, Published
from pipeline.setup import note_change
from pipeline.template_body import Body

HERE: Final = "tenant = :tenant AND event = :event AND channel = :channel AND locale = :locale"
MOST_SHOWN: Final = 200  # versions; what is older stays stored

ADD = text(f"""
INSERT INTO template_versions (id, tenant, event, channel, locale, number, body, fallback, created_by)
SELECT :id, :tenant, :event, :channel, :locale, coalesce(max(number), 0) + 1, cast(:body AS jsonb), :fallback, :actor
FROM template_versions WHERE {HERE} RETURNING number
""")
# Two hundred bodies come to fifty megabytes; a list has no use for them.
VERSIONS = text(f"""
SELECT id::text, number, created_by, created_at FROM template_versions
WHERE {HERE} ORDER BY number DESC LIMIT {MOST_SHOWN}
""")
VERSION = text(f"""
SELECT id::text, event, channel, locale, number, body, fallback, created_by, created_at FROM template_versions
WHERE {HERE} AND (cast(:number AS integer) IS NULL OR number = :number) ORDER BY number DESC LIMIT 1
""")
IN_FORCE = text("""
SELECT v.number, p.earlier, p.published_by, p.published_at
FROM published_templates p JOIN template_versions v ON v.id = p.version_id
WHERE p.tenant = :tenant AND p.event = :event AND p.channel = :channel AND p.locale = :locale
""")
PUBLISH = text("""
INSERT INTO published_templates (tenant, event, channel, locale, version_id, earlier, published_by)
VALUES (:tenant, :event, :channel, :locale, cast(:id AS uuid), cast(:earlier AS jsonb), :actor)
ON CONFLICT (tenant, event, channel, locale) DO UPDATE SET version_id = excluded.version_id,
    earlier = excluded.earlier, published_by = excluded.published_by, published_at = now()
""")
GIVE_UP = text(f"DELETE FROM published_templates WHERE {HERE}")
# Whoever publishes waits for whoever does at the same moment; the version of the tenant is raised in any case.
LOCK = text("SELECT id FROM tenants WHERE id = :tenant FOR UPDATE")
LIST = text("""
SELECT v.event, v.channel, v.locale, max(v.number) AS newest, count(*) AS versions,
       (SELECT w.number FROM published_templates p JOIN template_versions w ON w.id = p.version_id
        WHERE p.tenant = :tenant AND p.event = v.event AND p.channel = v.channel AND p.locale = v.locale) AS published
FROM template_versions v
WHERE v.tenant = :tenant AND (v.event || '/' || v.channel || '/' || v.locale) > :after
GROUP BY v.event, v.channel, v.locale ORDER BY v.event || '/' || v.channel || '/' || v.locale LIMIT :most
""")


def save_draft(
    connection: Connection, *, tenant: str, place: Place, body: Body, actor: str, remote: str | None = None
) -> dict[str, Any]:
    """Add a version that is in force nowhere yet. `body` was tried out."""
    values = {**_keys(tenant, place), "id": str(uuid7()), "actor": actor, "fallback": body.fallback}
    number = connection.execute(ADD, {**values, "body": json.dumps(body.parts)}).scalar_one()
    _note(connection, tenant, place, "template.draft", {"version": number, "fallback": body.fallback}, actor, remote)
    return get_version(connection, tenant=tenant, place=place, number=number) or {}


def get_template(connection: Connection, *, tenant: str, place: Place) -> dict[str, Any]:
    """What is in force, the shipped template where the tenant has none of its own, and all versions."""
    rows = connection.execute(VERSIONS, _keys(tenant, place)).all()
    current = connection.execute(IN_FORCE, _keys(tenant, place)).first()
    number = current and current.number
    body = _version(connection, tenant, place, number) if number else None
    return {
        "event": place[0],
        "channel": place[1],
        "locale": place[2] or None,
        "own": current is not None,
        "published": number,
        "published_by": current and current.published_by,
        "published_at": written(current.published_at) if current else None,
        **(_body(row=body) if body is not None else _shipped_body(connection, tenant, place)),
        "versions": [_listed(row, current) for row in rows],
    }


def get_version(connection: Connection, *, tenant: str, place: Place, number: int) -> dict[str, Any] | None:
    """One version with its words, or None."""
    row = _version(connection, tenant, place, number)
    if row is None:
        return None
    current = connection.execute(IN_FORCE, _keys(tenant, place)).first()
    return {
        "event": row.event,
        "channel": row.channel,
        "locale": row.locale or None,
        **_listed(row, current),
        **_body(row),
    }


def find_version(connection: Connection, *, tenant: str, place: Place, number: int | None) -> Published | None:
    """A version to render; the newest for None."""
    row = _version(connection, tenant, place, number)
    if row is None:
        return None
    return Published(row.id, row.event, row.channel, row.locale, row.body, row.fallback, row.number)


def list_templates(
    connection: Connection, *, tenant: str, cursor: str | None = None, limit: int = 200
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the templates of which the tenant has versions, by event type, channel and locale."""
    after, most = key_of(cursor) if cursor else "", check_limit(limit)
    rows = connection.execute(LIST, {"tenant": tenant, "after": after, "most": most + 1}).all()
    found = [
        {
            "event": row.event,
            "channel": row.channel,
            "locale": row.locale or None,
            "published": row.published,
            "newest": row.newest,
            "versions": row.versions,
        }
        for row in rows[:most]
    ]
    last = rows[most - 1] if len(rows) > most else None
    return found, cursor_after(f"{last.event}/{last.channel}/{last.locale}") if last else None


def publish(
    connection: Connection,
    *,
    tenant: str,
    place: Place,
    number: int | None = None,
    actor: str,
    remote: str | None = None,
) -> dict[str, Any] | None:
    """Put a version in force, the newest for None; every process knows within a second. None: no such version."""
    connection.execute(LOCK, {"tenant": tenant})
    version = find_version(connection, tenant=tenant, place=place, number=number)
    if version is None:
        return None
    current = connection.execute(IN_FORCE, _keys(tenant, place)).first()
    if current is None or current.number != version.number:
        earlier = [*current.earlier, current.number] if current else []
        _put(connection, tenant, place, version.id, earlier, actor)
        before = {"version": current.number} if current else None
        _note(connection, tenant, place, "template.publish", {"version": version.number}, actor, remote, before)
    return get_template(connection, tenant=tenant, place=place)


def roll_back(
    connection: Connection, *, tenant: str, place: Place, actor: str, remote: str | None = None
) -> dict[str, Any] | None:
    """Put the version in force that was before, or the shipped template. None: nothing of the tenant's is in force."""
    connection.execute(LOCK, {"tenant": tenant})
    current = connection.execute(IN_FORCE, _keys(tenant, place)).first()
    if current is None:
        return None
    number = current.earlier[-1] if current.earlier else None
    version = find_version(connection, tenant=tenant, place=place, number=number) if number else None
    if version is None:
        connection.execute(GIVE_UP, _keys(tenant, place))
        note_change(connection, tenant)
    else:
        _put(connection, tenant, place, version.id, current.earlier[:-1], actor)
    _note(
        connection, tenant, place, "template.roll_back", {"version": number}, actor, remote, {"version": current.number}
    )
    return get_template(connection, tenant=tenant, place=place)


def remove(connection: Connection, *, tenant: str, place: Place, actor: str, remote: str | None = None) -> bool:
    """Go back to the shipped template; the versions stay. False when it was in force already."""
    connection.execute(LOCK, {"tenant": tenant})
    current = connection.execute(IN_FORCE, _keys(tenant, place)).first()
    if current is None:
        return False
    connection.execute(GIVE_UP, _keys(tenant, place))
    note_change(connection, tenant)
    _note(connection, tenant, place, "template.delete", None, actor, remote, {"version": current.number})
    return True


def check_number(value: object) -> int | None:
    """The number of a version, None for the newest. Raises InvalidInputError on ``version``."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise InvalidInputError("version", "must be the number of a version")
    return value


def _put(connection: Connection, tenant: str, place: Place, id_: str, earlier: list[int], actor: str) -> None:
    values = {**_keys(tenant, place), "id": id_, "earlier": json.dumps(earlier[-MOST_SHOWN:]), "actor": actor}
    connection.execute(PUBLISH, values)
    note_change(connection, tenant)


def _version(connection: Connection, tenant: str, place: Place, number: int | None) -> Row[Any] | None:
    return connection.execute(VERSION, {**_keys(tenant, place), "number": number}).first()


def _keys(tenant: str, place: Place) -> dict[str, Any]:
    return {"tenant": tenant, "event": place[0], "channel": place[1], "locale": place[2]}


def _listed(row: Row[Any], current: Row[Any] | None) -> dict[str, Any]:
    state = "draft"
    if current is not None and row.number == current.number:
        state = "published"
    elif current is not None and row.number in current.earlier:
        state = "earlier"
    return {
        "id": row.id,
        "version": row.number,
        "state": state,
        "created_by": row.created_by,
        "created_at": written(row.created_at),
    }


def _body(row: Row[Any]) -> dict[str, Any]:
    parts: Mapping[str, str] = row.body
    return {"body": {part: parts.get(part) for part in PARTS[row.channel].values()}, "fallback": row.fallback}


def _shipped_body(connection: Connection, tenant: str, place: Place) -> dict[str, Any]:
    """The words of the shipped template, as a start for one's own."""
    event, channel, _ = place
    folder = event_types_of(connection, tenant).entry(event).template
    found = {part: _face(folder, name) for name, part in PARTS[channel].items()}
    return {"body": found, "fallback": False}


def _face(folder: str, name: str) -> str | None:
    """The source of a face; the text of an email that has HTML only is made from that."""
    if name == "email.txt" and (TEMPLATES / folder / "email.html").is_file():
        folder = folder if (TEMPLATES / folder / name).is_file() else ""
        return (TEMPLATES / folder / name).read_text(encoding="utf-8") if folder else None
    for path in (TEMPLATES / folder / name, TEMPLATES / "default" / name):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return None


def _note(
    connection: Connection,
    tenant: str,
    place: Place,
    action: str,
    after: Mapping[str, Any] | None,
    actor: str,
    remote: str | None,
    before: Mapping[str, Any] | None = None,
) -> None:
    """The words themselves are in the versions; the audit names them."""
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action=action,
        subject="/".join(part for part in place if part),
        before=before,
        after=after,
        remote=remote,
    )
