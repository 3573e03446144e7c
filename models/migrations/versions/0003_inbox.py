"""The order of a user's inbox: a number for each notification, without gaps."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE inboxes (
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    last BIGINT NOT NULL,
    CONSTRAINT inboxes_pkey PRIMARY KEY (tenant, user_id)
)
 WITH (fillfactor = 50);
ALTER TABLE notifications ADD COLUMN sequence BIGINT;
UPDATE notifications n SET sequence = numbered.sequence
FROM (SELECT o.id, row_number() OVER (PARTITION BY o.tenant, o.user_id ORDER BY o.id) AS sequence
      FROM notifications o WHERE o.user_id IS NOT NULL AND EXISTS (
          SELECT FROM deliveries d WHERE d.event_id = o.event_id AND d.notification_id = o.id
          AND d.channel = 'in_app' AND d.status IN ('sent', 'delivered'))) numbered
WHERE n.id = numbered.id;
INSERT INTO inboxes (tenant, user_id, last)
SELECT tenant, user_id, max(sequence) FROM notifications WHERE sequence IS NOT NULL GROUP BY tenant, user_id;
CREATE UNIQUE INDEX notifications_sequence ON notifications (tenant, user_id, sequence) WHERE sequence IS NOT NULL;
DROP INDEX notifications_unread;
CREATE INDEX notifications_unread ON notifications (tenant, user_id)
    WHERE sequence IS NOT NULL AND read_at IS NULL AND deleted_at IS NULL;
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    raise RuntimeError("the order of what people have seen would be lost; restore a backup instead")
