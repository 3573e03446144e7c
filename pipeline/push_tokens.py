"""Push tokens (E-18, E-19): the devices on which a user can be told, each known by the token of its app or browser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, text
from uuid_utils import uuid7

from channels.push import check_token
from config.fields import Fields, check_text, check_word
from config.settings import settings
from domain.errors import InvalidInputError
from pipeline.audit import record
from pipeline.identifiers import check_limit, check_uuid, cursor_after, is_uuid, key_of
from pipeline.moments import written

PLATFORMS: Final = ("ios", "android", "web")
MOST_ACTIVE: Final = 20  # of a user; the oldest go first
MOST_KEPT: Final = 100  # of a user, with those that are not active any more

COLUMNS = "id::text, platform, device_id, is_active, created_at, updated_at"

# Locked until the end of the transaction, so that two devices of a user count each other. A user's token is proof
# enough that the platform knows him, though nobody has put an address of his yet.
ENSURE_USER = text("""
INSERT INTO users (tenant, id) VALUES (:tenant, :user_id)
ON CONFLICT (tenant, id) DO UPDATE SET updated_at = users.updated_at
""")
OWNER = text("SELECT user_id FROM push_tokens WHERE tenant = :tenant AND hash = :hash FOR UPDATE")
PUT = text(f"""
INSERT INTO push_tokens (id, tenant, user_id, token, hash, platform, device_id)
VALUES (:id, :tenant, :user_id, :token, :hash, :platform, :device_id)
ON CONFLICT (tenant, hash) DO UPDATE SET
    user_id = excluded.user_id, platform = excluded.platform, device_id = excluded.device_id, is_active = true,
    updated_at = clock_timestamp()
RETURNING {COLUMNS}
""")
TRIM = text("""
WITH ranked AS (
    SELECT id, row_number() OVER (ORDER BY is_active DESC, updated_at DESC, id DESC) AS rank
    FROM push_tokens WHERE tenant = :tenant AND user_id = :user_id
),
gone AS (DELETE FROM push_tokens t USING ranked r WHERE t.id = r.id AND r.rank > :kept)
UPDATE push_tokens t SET is_active = false, updated_at = clock_timestamp()
FROM ranked r WHERE t.id = r.id AND r.rank > :active AND r.rank <= :kept AND t.is_active
RETURNING t.id::text
""")
REMOVE = text("""
DELETE FROM push_tokens WHERE tenant = :tenant AND user_id = :user_id
  AND (id = cast(:id AS uuid) OR hash = ANY(cast(:hashes AS bytea[])))
RETURNING id::text, platform
""")
READ = text(f"""
SELECT {COLUMNS} FROM push_tokens WHERE tenant = :tenant AND user_id = :user_id
  AND (cast(:before AS uuid) IS NULL OR id < cast(:before AS uuid))
ORDER BY id DESC LIMIT :most
""")
ACTIVE = text("""
SELECT token FROM push_tokens WHERE tenant = :tenant AND user_id = :user_id AND is_active
ORDER BY updated_at DESC, id DESC
""")

# In the order of their ids, as two workers that hear of the same devices do.
DEACTIVATE = text("""
WITH dead AS (
    SELECT id FROM push_tokens WHERE id = ANY(cast(:ids AS uuid[])) AND is_active ORDER BY id FOR NO KEY UPDATE
)
UPDATE push_tokens t SET is_active = false, updated_at = now() FROM dead WHERE t.id = dead.id
RETURNING t.tenant, t.user_id
""")


class Registered(NamedTuple):
    """A device as its user sees it. `moved_from`: the user who had it before."""

    shown: dict[str, Any]
    moved_from: str | None


def register(
    connection: Connection, *, tenant: str, user_id: str, body: object, actor: str, remote: str | None = None
) -> Registered:
    """Make a device known, or awake again; one that comes with another user's token of ours has moved to this user.

    Args:
        body: ``{"platform", "token", "device_id"}``; a web token is the PushSubscription, as an object or as text.

    Raises:
        InvalidInputError: naming the field; never repeats the token.
    """
    fields = Fields(body, "", ("platform", "token", "device_id"))
    check_text(user_id, "user_id")
    platform = check_word(fields.required("platform"), "platform", PLATFORMS)
    token = _token(fields.required("token"), platform)
    device_id = fields.text("device_id", "") or None
    owner = {"tenant": tenant, "user_id": user_id}
    connection.execute(ENSURE_USER, owner)
    before = connection.execute(OWNER, {"tenant": tenant, "hash": _hash(token)}).scalar()
    moved_from = None if before == user_id else before
    values = {"id": str(uuid7()), "token": token, "hash": _hash(token), "platform": platform, "device_id": device_id}
    row = connection.execute(PUT, {**owner, **values}).one()
    over = connection.execute(TRIM, {**owner, "active": MOST_ACTIVE, "kept": MOST_KEPT}).scalars().all()
    after: dict[str, Any] = {"platform": platform, "user_id": user_id}
    if over:
        after["deactivated"] = len(over)
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="push_token.put",
        subject=row.id,
        before=None if moved_from is None else {"user_id": moved_from},
        after=after,
        remote=remote,
    )
    return Registered(_shown(row), moved_from)


def remove(
    connection: Connection,
    *,
    tenant: str,
    user_id: str,
    token_id: str | None = None,
    body: object = None,
    actor: str,
    remote: str | None = None,
) -> bool:
    """Forget a device of the user's own, by its id or by the body that registered it. False when he has no such one.

    Raises:
        InvalidInputError: naming the field.
    """
    given = {"id": check_uuid(token_id, "id"), "hashes": []} if token_id is not None else _named(body)
    found = connection.execute(REMOVE, {"tenant": tenant, "user_id": user_id, **given}).first()
    if found is None:
        return False
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="push_token.delete",
        subject=found.id,
        before={"platform": found.platform, "user_id": user_id},
        remote=remote,
    )
    return True


def list_tokens(
    connection: Connection, *, tenant: str, user_id: str, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of a user's devices, the newest first, without their tokens; and the cursor of the next."""
    before, most = key_of(cursor) if cursor else None, check_limit(limit)
    if before is not None and not is_uuid(before):
        raise InvalidInputError("cursor", "is none that a list has answered")
    values = {"tenant": tenant, "user_id": user_id, "before": before, "most": most + 1}
    rows = connection.execute(READ, values).all()
    following = cursor_after(rows[most - 1].id) if len(rows) > most else None
    return [_shown(row) for row in rows[:most]], following


def active_tokens(connection: Connection, *, tenant: str, user_id: str) -> list[str]:
    """The tokens that a user can be told on, the newest first."""
    return list(connection.execute(ACTIVE, {"tenant": tenant, "user_id": user_id}).scalars())


def deactivate(connection: Connection, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Devices that a provider does not know any more (E-18); one statement, however many.

    Returns:
        Whose they were, as tenant and user; those that were not active before are left out.
    """
    if not ids:
        return []
    return [(row.tenant, row.user_id) for row in connection.execute(DEACTIVATE, {"ids": list(ids)}).all()]


def _named(body: object) -> dict[str, Any]:
    """The hashes of the token that a body names: without its platform, in the form that it has on each."""
    fields = Fields(body, "", ("platform", "token", "device_id"))
    given = fields.required("token")
    if "platform" in fields:
        platform = check_word(fields.raw("platform"), "platform", PLATFORMS)
        return {"id": None, "hashes": [_hash(_token(given, platform))]}
    hashes = []
    for platform in PLATFORMS:
        with suppress(InvalidInputError):
            hashes.append(_hash(_token(given, platform)))
    if not hashes:
        raise InvalidInputError("token", "is no token of any platform")
    return {"id": None, "hashes": hashes}


def _token(given: object, platform: str) -> str:
    """The one form in which a token is stored and compared."""
    if isinstance(given, Mapping) and platform == "web":
        given = json.dumps(given, ensure_ascii=False)
    if not isinstance(given, str) or any("\ud800" <= character <= "\udfff" for character in given):
        raise InvalidInputError("token", "must be text, or for web an object")
    try:
        return check_token(platform, given, settings().webhook_allow_networks)
    except ValueError as error:
        raise InvalidInputError("token", str(error)) from None


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "platform": row.platform,
        "device_id": row.device_id,
        "is_active": row.is_active,
        "created_at": written(row.created_at),
        "updated_at": written(row.updated_at),
    }
