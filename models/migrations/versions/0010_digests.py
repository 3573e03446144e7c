"""How often people are told, what a tenant has for those who do not say, and a database that forgets nothing held."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SCHEMA = """
ALTER TABLE preferences ALTER COLUMN cadence DROP DEFAULT;
ALTER TABLE preferences ALTER COLUMN cadence DROP NOT NULL;
UPDATE preferences SET cadence = NULL;
ALTER TABLE preferences ADD COLUMN cadences JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE tenants ADD COLUMN digest JSONB;
"""

# Whoever withdraws a delivery need not know that it was held; and nobody can leave one behind that no time releases.
GUARD = """
CREATE FUNCTION bellwire_no_hold_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM holds WHERE delivery_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER deliveries_not_held AFTER UPDATE OF status, due_at ON deliveries FOR EACH ROW
WHEN (OLD.status = 'held' AND OLD.due_at IS NULL AND (NEW.status <> 'held' OR NEW.due_at IS NOT NULL))
EXECUTE FUNCTION bellwire_no_hold_left();

CREATE FUNCTION bellwire_held_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE held uuid;
BEGIN
    IF TG_TABLE_NAME = 'holds' THEN held := OLD.delivery_id; ELSE held := NEW.id; END IF;
    IF EXISTS (SELECT FROM deliveries WHERE id = held AND status = 'held' AND due_at IS NULL)
            AND NOT EXISTS (SELECT FROM holds WHERE delivery_id = held) THEN
        RAISE EXCEPTION 'a delivery would be held for ever' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER deliveries_held AFTER INSERT OR UPDATE OF status, due_at ON deliveries
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'held' AND NEW.due_at IS NULL)
EXECUTE FUNCTION bellwire_held_for_ever();
CREATE CONSTRAINT TRIGGER holds_gone AFTER DELETE ON holds
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bellwire_held_for_ever();
"""


def upgrade() -> None:
    op.execute(SCHEMA)
    op.execute(GUARD)


def downgrade() -> None:
    raise RuntimeError("what people chose would be lost; restore a backup instead")
