"""Deliveries that wait for a condition, the end of quiet hours or a digest; and the versions they were made of."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = """
ALTER TABLE deliveries ADD COLUMN only_if TEXT;
ALTER TABLE deliveries ADD COLUMN template_version UUID;
ALTER TABLE deliveries ADD COLUMN brand_version INTEGER;
DROP INDEX deliveries_event_id;
CREATE INDEX deliveries_event_id ON deliveries (event_id, notification_id);
CREATE TABLE holds (
    delivery_id UUID NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    release_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT holds_pkey PRIMARY KEY (delivery_id)
);
CREATE INDEX holds_release_at ON holds (release_at);
CREATE INDEX holds_tenant_user_id ON holds (tenant, user_id);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    raise RuntimeError("what is held would never be sent; restore a backup instead")
