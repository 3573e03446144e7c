"""Run once at every start, in a process of its own so that the supervisor stays small: migrations, then first keys."""

from __future__ import annotations

import sys

from pipeline.setup import first_start

from config.settings import SettingsError, settings
from models.migrate import upgrade
from workers.stack.keys import write_private


def main() -> int:
    """Bring the schema up to date and see to it that a tenant and its admin key exist.

    The last line of the output says what went wrong, if anything did.
    """
    demo = "--demo" in sys.argv[1:]
    url = settings().database_url
    if url is None:
        raise SettingsError("BELLWIRE_DATABASE_URL: is not set")
    upgrade(url.get_secret_value())
    key = first_start(settings().home, demo=demo)
    if key is not None:
        write_private(settings().home / "admin.key", f"{key}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
