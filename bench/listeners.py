"""Those who listen in the benchmark of live streams, and the key of whoever speaks to all of them.

Run as ``python -m bench.listeners`` in the environment of the product's processes; it prints the key as JSON.
"""

from __future__ import annotations

import json
from typing import Final

from bench.people import TENANT
from config.settings import settings
from models.engine import transaction
from models.migrate import upgrade
from pipeline.setup import create_key, ensure_tenant
from pipeline.users import put_user

LISTENERS: Final = 1_000


def listener(number: int) -> str:
    """A person; there are so many, and whoever opens more streams than that opens the next tab of the first one."""
    return f"listener-{number % LISTENERS}"


def main() -> None:
    """Migrate and set up."""
    database = settings().database_url
    assert database is not None
    upgrade(database.get_secret_value())
    with transaction() as connection:
        ensure_tenant(connection, TENANT)
        for number in range(LISTENERS):
            put_user(connection, tenant=TENANT, user_id=listener(number), body={"name": "Ana"}, actor="bench")
        key = create_key(connection, tenant=TENANT, role="admin", actor="bench")
    print(json.dumps({"key": key.key}), flush=True)


if __name__ == "__main__":
    main()
