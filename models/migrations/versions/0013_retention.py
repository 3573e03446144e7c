"""Receipts that no delivery was found for can be found when their time is over."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SCHEMA = "CREATE INDEX receipts_of_nothing ON receipts (received_at) WHERE delivery_id IS NULL"


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP INDEX receipts_of_nothing")
