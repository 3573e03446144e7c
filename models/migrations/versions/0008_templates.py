"""Tenants' own templates."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE template_versions (
    id UUID NOT NULL,
    tenant TEXT NOT NULL,
    event TEXT NOT NULL,
    channel TEXT NOT NULL,
    locale TEXT DEFAULT '' NOT NULL,
    number INTEGER NOT NULL,
    body JSONB NOT NULL,
    fallback BOOLEAN DEFAULT false NOT NULL,
    created_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT template_versions_pkey PRIMARY KEY (id),
    CONSTRAINT template_versions_tenant_fkey FOREIGN KEY(tenant) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX template_versions_number ON template_versions (tenant, event, channel, locale, number);
CREATE TABLE published_templates (
    tenant TEXT NOT NULL,
    event TEXT NOT NULL,
    channel TEXT NOT NULL,
    locale TEXT DEFAULT '' NOT NULL,
    version_id UUID NOT NULL,
    earlier JSONB DEFAULT '[]' NOT NULL,
    published_by TEXT NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT published_templates_pkey PRIMARY KEY (tenant, event, channel, locale),
    CONSTRAINT published_templates_tenant_fkey FOREIGN KEY(tenant) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT published_templates_version_id_fkey
        FOREIGN KEY(version_id) REFERENCES template_versions (id) ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP TABLE published_templates, template_versions")
