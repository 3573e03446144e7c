"""Makes a database ready for the benchmark: the newest schema, a tenant, a webhook to the receiver, a key.

Run as ``python -m bench.prepare URL`` in the environment of the product's processes; it prints the key as JSON.
"""

from __future__ import annotations

import json
import sys

from bench.people import TENANT
from config.settings import settings
from models.engine import transaction
from models.migrate import upgrade
from pipeline.setup import create_key, ensure_tenant, note_change
from pipeline.webhooks import put_webhook


def main(url: str) -> None:
    """Migrate and set up."""
    database = settings().database_url
    assert database is not None
    upgrade(database.get_secret_value())
    with transaction() as connection:
        ensure_tenant(connection, TENANT)
        body = {"url": url, "events": ["*"]}
        put_webhook(connection, tenant=TENANT, user_id=None, name="receiver", body=body, actor="bench")
        note_change(connection, TENANT)
        key = create_key(connection, tenant=TENANT, role="publisher", actor="bench")
    print(json.dumps({"key": key.key}))


if __name__ == "__main__":
    main(sys.argv[1])
