"""Publishing from inside a caller's own transaction, and an audit that nobody can rewrite."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The body of the function is bound to the table when it is made, so no caller's search_path can lead it elsewhere. It
# writes with the rights of whoever migrates: a caller needs the right to execute it and none on any table.
OUTBOX = """
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant TEXT NOT NULL,
    event JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (id)
);
CREATE FUNCTION bellwire_publish(tenant TEXT, event JSONB) RETURNS BIGINT
LANGUAGE SQL VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO outbox (tenant, event) VALUES (bellwire_publish.tenant, bellwire_publish.event) RETURNING id;
END;
REVOKE ALL ON FUNCTION bellwire_publish(TEXT, JSONB) FROM PUBLIC;
"""

# A trigger for each statement refuses even those that would find no row, and TRUNCATE. The index answers the list, the
# newest first, and where it begins.
AUDIT = """
CREATE FUNCTION bellwire_keep_audit() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only ever added to' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION bellwire_keep_audit();
DROP INDEX audit_tenant_id;
CREATE INDEX audit_tenant_at ON audit (tenant, at, id);
"""


def upgrade() -> None:
    op.execute(OUTBOX)
    op.execute(AUDIT)


def downgrade() -> None:
    raise RuntimeError("what callers have published would be lost; restore a backup instead")
