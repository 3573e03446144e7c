"""Set up a tenant: its row, its keys, and what the very first start makes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text
from uuid_utils import uuid7

from config.fields import check_text, check_word
from domain.errors import InvalidInputError
from models.engine import transaction
from pipeline.audit import record
from pipeline.identifiers import is_uuid
from pipeline.moments import written

ROLES: Final = ("publisher", "operator", "admin")
"""What a key may do; each includes the ones before."""

KEY_PREFIX: Final = "bw_"
FIRST_TENANT: Final = "default"
DEMO_TENANT: Final = "demo"

ENSURE_TENANT = text("INSERT INTO tenants (id) VALUES (:tenant) ON CONFLICT DO NOTHING RETURNING id")
FIND_TENANT = text("SELECT id FROM tenants WHERE id = :tenant")
LIST_TENANTS = text("SELECT id FROM tenants ORDER BY id")
NOTE_CHANGE = text("UPDATE tenants SET version = version + 1 WHERE id = :tenant")

ADD_KEY = text("INSERT INTO api_keys (id, tenant, role, hash) VALUES (:id, :tenant, :role, :hash)")
FIND_KEY = text("SELECT id::text, tenant, role FROM api_keys WHERE hash = :hash AND revoked_at IS NULL")
LIST_KEYS = "SELECT id::text, tenant, role, created_at, revoked_at FROM api_keys {where} ORDER BY tenant, id"
REVOKE_KEY = text("""
UPDATE api_keys SET revoked_at = now()
WHERE id = cast(:id AS uuid) AND revoked_at IS NULL AND tenant = coalesce(:tenant, tenant)
RETURNING tenant, role
""")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `key` is its plain text: shown once, stored nowhere."""

    id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Key:
    """Whom a key stands for."""

    id: str
    tenant: str
    role: str


def ensure_tenant(connection: Connection, tenant: str, actor: str | None = None) -> bool:
    """See to it that a tenant exists. Whether it was made now.

    Args:
        actor: who wants it, for the audit.

    Raises:
        InvalidInputError: it cannot be the name of a tenant.
    """
    check_text(tenant, "tenant")
    if any(map(str.isspace, tenant)) and connection.execute(FIND_TENANT, {"tenant": tenant}).first() is None:
        raise InvalidInputError("tenant", "must not contain blanks")
    made = connection.execute(ENSURE_TENANT, {"tenant": tenant}).first() is not None
    if made and actor is not None:
        record(connection, tenant=tenant, actor=actor, action="tenant.create", subject=tenant)
    return made


def check_tenant(connection: Connection, tenant: str) -> None:
    """Raises InvalidInputError, naming those that exist, when there is no such tenant."""
    if "\0" in tenant or connection.execute(FIND_TENANT, {"tenant": tenant}).first() is None:
        known = connection.execute(LIST_TENANTS).scalars().all()
        raise InvalidInputError("tenant", f"does not exist; there are {', '.join(known[:20]) or 'none yet'}")


def note_change(connection: Connection, tenant: str) -> None:
    """Routes or webhooks of a tenant changed: every process reads them anew at its next batch."""
    connection.execute(NOTE_CHANGE, {"tenant": tenant})


def create_key(connection: Connection, *, tenant: str, role: str, actor: str, remote: str | None = None) -> NewKey:
    """Make a key of 256 random bits. Only its SHA-256 is stored: nobody can guess what it was made from.

    Raises:
        InvalidInputError: on ``role`` or ``tenant``.
    """
    check_word(role, "role", ROLES)
    check_tenant(connection, tenant)
    new = NewKey(str(uuid7()), KEY_PREFIX + secrets.token_urlsafe(32))
    connection.execute(ADD_KEY, {"id": new.id, "tenant": tenant, "role": role, "hash": _hash(new.key)})
    record(
        connection, tenant=tenant, actor=actor, action="key.create", subject=new.id, after={"role": role}, remote=remote
    )
    return new


def list_keys(connection: Connection, *, tenant: str | None = None) -> list[dict[str, Any]]:
    """Keys without the keys themselves, of one tenant or of all."""
    where = "" if tenant is None else "WHERE tenant = :tenant"
    return [
        {
            "id": row.id,
            "tenant": row.tenant,
            "role": row.role,
            "created_at": written(row.created_at),
            "revoked_at": written(row.revoked_at),
        }
        for row in connection.execute(text(LIST_KEYS.format(where=where)), {"tenant": tenant} if tenant else {})
    ]


def revoke_key(
    connection: Connection, *, key_id: str, actor: str, tenant: str | None = None, remote: str | None = None
) -> bool:
    """Make a key worthless from now on. False when there is none, or it was revoked before."""
    if not is_uuid(key_id):
        return False
    row = connection.execute(REVOKE_KEY, {"id": key_id, "tenant": tenant}).first()
    if row is None:
        return False
    record(
        connection,
        tenant=row.tenant,
        actor=actor,
        action="key.revoke",
        subject=key_id,
        before={"role": row.role},
        remote=remote,
    )
    return True


def find_key(connection: Connection, plain: str) -> Key | None:
    """Whose key this is. Malformed ones cost as much as others: one hash and one look at an index."""
    row = connection.execute(FIND_KEY, {"hash": _hash(plain)}).first()
    return None if row is None else Key(row.id, row.tenant, row.role)


def first_start(home: Path, demo: bool) -> str | None:
    """Make what every installation begins with: the tenant `default`, with `demo` the tenant `demo`, an admin key.

    Returns:
        The new key's plain text, for ``admin.key`` below `home`; None when the one that is there still works.
    """
    tenant = DEMO_TENANT if demo else FIRST_TENANT
    with transaction() as connection:
        ensure_tenant(connection, FIRST_TENANT, "cli")
        ensure_tenant(connection, tenant, "cli")
        if _works(connection, home / "admin.key", tenant):
            return None
        return create_key(connection, tenant=tenant, role="admin", actor="cli").key


def _works(connection: Connection, file: Path, tenant: str) -> bool:
    """Whether the key in `file` is an admin key of `tenant`; in another database's home it is not."""
    try:
        known = find_key(connection, file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False
    return known is not None and (known.tenant, known.role) == (tenant, "admin")


def _hash(plain: str) -> bytes:
    return sha256(plain.encode("utf-8", "surrogatepass")).digest()
