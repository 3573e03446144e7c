"""Tenants' own event types."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE event_types (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    body JSONB NOT NULL,
    sample JSONB,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT event_types_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT event_types_tenant_fkey FOREIGN KEY(tenant) REFERENCES tenants (id) ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP TABLE event_types")
