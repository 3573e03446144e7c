"""How tenants look in what they send."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE branding (
    tenant TEXT NOT NULL,
    version INTEGER NOT NULL,
    body JSONB NOT NULL,
    actor TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT branding_pkey PRIMARY KEY (tenant, version),
    CONSTRAINT branding_tenant_fkey FOREIGN KEY(tenant) REFERENCES tenants (id) ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP TABLE branding")
