"""Which providers do not accept which accounts now."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE rejected_accounts (
    tenant TEXT NOT NULL,
    provider TEXT NOT NULL,
    channel TEXT NOT NULL,
    problem TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT rejected_accounts_pkey PRIMARY KEY (tenant, provider),
    CONSTRAINT rejected_accounts_tenant_fkey FOREIGN KEY(tenant) REFERENCES tenants (id) ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP TABLE rejected_accounts")
