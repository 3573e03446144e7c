"""What is secret in events lies apart from them, sealed, until no email needs it any more."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE event_secrets (
    event_id UUID NOT NULL,
    tenant TEXT NOT NULL,
    sealed TEXT NOT NULL,
    looked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT event_secrets_pkey PRIMARY KEY (event_id)
);
CREATE INDEX event_secrets_looked_at ON event_secrets (looked_at);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    raise RuntimeError("emails that are still to be sent would lose what they have to say; restore a backup instead")
