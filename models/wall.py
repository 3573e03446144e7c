"""The second wall: a role that sees only the rows of the tenants that its transaction names (docs/adr/0016).

`bellwire migrate` puts it up after every migration, so a new table with a column `tenant` stands behind it by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, text
from sqlalchemy.exc import DBAPIError

from models.metadata import metadata

ROLE: Final = "bellwire_api"
SETTING: Final = "bellwire.tenants"
POLICY: Final = "bellwire_tenants"

# After a transaction that set it the setting is empty and not unset. The query in brackets is answered once a statement
# and not once a row; of no tenants it makes null, which equals nothing.
TENANTS: Final = f"(SELECT cast(nullif(current_setting('{SETTING}', true), '') AS text[]))::text[]"
OF_TENANT: Final = f"tenant = ANY ({TENANTS})"

# Where no column `tenant` says whose row it is; deliveries and users have policies of their own. Of receipts a provider
# says it, and often does not. Whoever writes to the number of the installation may be of several tenants.
SEEN: Final = {
    "tenants": f"id = ANY ({TENANTS})",
    "attempts": "EXISTS (SELECT FROM deliveries d WHERE d.id = attempts.delivery_id)",
    "receipts": "EXISTS (SELECT FROM deliveries d WHERE d.id = receipts.delivery_id)",
    "whatsapp_sessions": f"""account = ANY ({TENANTS}) OR account = '' AND EXISTS (
    SELECT FROM users u WHERE whatsapp_sessions.phone IN (u.phone, u.whatsapp))""",
}

READ: Final = frozenset({"SELECT"})
ADD: Final = READ | {"INSERT"}
CHANGE: Final = READ | {"UPDATE"}
ALL: Final = ADD | {"UPDATE", "DELETE"}
NOTHING: Final[frozenset[str]] = frozenset()

# What the API's role may do where it is less than everything.
RIGHTS: Final = {
    "api_keys": READ,
    "attempts": CHANGE,
    "audit": ADD,
    "deliverability": READ,
    "event_secrets": frozenset({"INSERT"}),
    "outbox": NOTHING,
    "receipts": CHANGE,
    "rejections": NOTHING,
    "routings": READ,
    "tenants": CHANGE,
    "whatsapp_sessions": READ | {"DELETE"},
}

MISSING_ROLE: Final = "22023"
FORBIDDEN: Final = "42501"
THERE_ALREADY: Final = ("42710", "23505", "XX000")  # somebody makes it in another database of the same server

STANDING: Final = text("""
SELECT c.relname AS name, c.relrowsecurity AS secured, obj_description(p.oid, 'pg_policy') AS policy,
       ARRAY(SELECT a.privilege_type FROM aclexplode(c.relacl) a WHERE a.grantee = r.oid) AS rights
FROM pg_class c JOIN pg_roles r ON r.rolname = :role
LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = :policy
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(cast(:tables AS text[]))
""")
POWERS: Final = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = :role")
USAGE: Final = text("""
SELECT CASE WHEN NOT has_schema_privilege(:role, current_schema(), 'USAGE') THEN quote_ident(current_schema()) END
""")
OPEN: Final = text("""
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace AND NOT row_security_active(c.oid)
ORDER BY c.relname
""")


def condition(table: Table) -> str | None:
    """Which rows of a table the role sees; None for a table that is no tenant's."""
    if table.name in SEEN:
        return SEEN[table.name]
    return OF_TENANT if "tenant" in table.columns else None


def rights(table: Table) -> frozenset[str]:
    """What the role may do with the rows that it sees."""
    return NOTHING if condition(table) is None else RIGHTS.get(table.name, ALL)


def put_up(connection: Connection) -> str | None:
    """Make the role, its rights and its policies, as far as they are not there; the caller commits.

    Returns:
        Why there is no wall, in words for whoever runs the server; None when it stands.
    """
    problem = _role(connection)
    if problem is not None:
        return problem
    for statement in _changes(connection):
        connection.execute(text(statement))
    return None


def holes(connection: Connection) -> list[str]:
    """Tables with tenants' rows all of which this connection sees, whatever its transaction names."""
    return list(connection.execute(OPEN).scalars())


def _role(connection: Connection) -> str | None:
    """See to it that the role is there and can be taken on."""
    refused = None
    if connection.execute(POWERS, {"role": ROLE}).first() is None:
        refused = _tried(connection, f"CREATE ROLE {ROLE} NOLOGIN")
    if refused is None and _tried(connection, f"SET LOCAL ROLE {ROLE}", undo=True) is not None:
        refused = _tried(connection, f"GRANT {ROLE} TO CURRENT_USER")
    if refused is not None:
        return f"the role {ROLE} is missing or not ours, and we must not make it ({refused})"
    if connection.execute(POWERS, {"role": ROLE}).scalar():
        return f"the role {ROLE} is a superuser or has BYPASSRLS"
    return None


def _tried(connection: Connection, statement: str, *, undo: bool = False) -> str | None:
    """Try a statement; the code of what forbids it, None when it worked or its work was done meanwhile."""
    attempt = connection.begin_nested()
    try:
        connection.execute(text(statement))
    except DBAPIError as error:
        attempt.rollback()
        code = getattr(error.orig, "sqlstate", None)
        if code in THERE_ALREADY:
            return None
        if code in (FORBIDDEN, MISSING_ROLE):
            return str(code)
        raise
    if undo:
        attempt.rollback()
    else:
        attempt.commit()
    return None


def _changes(connection: Connection) -> Iterator[str]:
    """The statements that bring the wall from what it is to what it should be."""
    schema = connection.execute(USAGE, {"role": ROLE}).scalar()
    if schema is not None:
        yield f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}"
    asked = {"role": ROLE, "policy": POLICY, "tables": list(metadata.tables)}
    for row in connection.execute(STANDING, asked).all():
        yield from _changes_of(metadata.tables[row.name], row)


def _changes_of(table: Table, standing: Row[Any]) -> Iterator[str]:
    wanted, allowed = condition(table), rights(table)
    if wanted is not None and not standing.secured:
        yield f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY"
    if wanted is not None and standing.policy != wanted:
        yield f"DROP POLICY IF EXISTS {POLICY} ON {table.name}"
        yield f"CREATE POLICY {POLICY} ON {table.name} TO {ROLE} USING ({wanted})"
        # What PostgreSQL gives back is its own wording; ours tells whether the policy is the newest.
        yield f"COMMENT ON POLICY {POLICY} ON {table.name} IS {_quoted(wanted)}"
    if frozenset(standing.rights) != allowed:
        yield f"REVOKE ALL ON {table.name} FROM {ROLE}"
        if allowed:
            yield f"GRANT {', '.join(sorted(allowed))} ON {table.name} TO {ROLE}"


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"
