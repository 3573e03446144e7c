"""Indexes that an inbox is counted by without reading its rows."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = """
DROP INDEX notifications_unread;
CREATE INDEX notifications_unread ON notifications (tenant, user_id, sequence) INCLUDE (customer_id)
    WHERE sequence IS NOT NULL AND read_at IS NULL AND deleted_at IS NULL;
DROP INDEX notifications_sequence;
CREATE UNIQUE INDEX notifications_sequence ON notifications (tenant, user_id, sequence)
    INCLUDE (customer_id, read_at, deleted_at) WHERE sequence IS NOT NULL;
"""
BEFORE = """
DROP INDEX notifications_unread;
CREATE INDEX notifications_unread ON notifications (tenant, user_id)
    WHERE sequence IS NOT NULL AND read_at IS NULL AND deleted_at IS NULL;
DROP INDEX notifications_sequence;
CREATE UNIQUE INDEX notifications_sequence ON notifications (tenant, user_id, sequence) WHERE sequence IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute(BEFORE)
