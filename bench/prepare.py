"""Makes a database ready for the benchmark: the newest schema, a tenant, a webhook to the receiver.

Run as ``python -m bench.prepare URL`` in the environment of the product's processes.
"""

from __future__ import annotations

import sys
from typing import Final
from uuid import uuid4

from sqlalchemy import text

from bench.publisher import TENANT
from config.settings import settings
from models.engine import transaction
from models.migrate import upgrade
from pipeline.sealing import sealed

SECRET: Final = b"bench: 32 bytes that sign a hook"

TENANTS = text("INSERT INTO tenants (id) VALUES (:tenant) ON CONFLICT DO NOTHING")
WEBHOOKS = text(
    "INSERT INTO webhooks (id, tenant, name, url, events, headers, secret) "
    "VALUES (:id, :tenant, 'receiver', :url, ARRAY['*'], '{}', :secret)"
)


def main(url: str) -> None:
    """Migrate and set up."""
    database = settings().database_url
    assert database is not None
    upgrade(database.get_secret_value())
    with transaction() as connection:
        connection.execute(TENANTS, {"tenant": TENANT})
        connection.execute(WEBHOOKS, {"id": uuid4(), "tenant": TENANT, "url": url, "secret": sealed(SECRET)})


if __name__ == "__main__":
    main(sys.argv[1])
