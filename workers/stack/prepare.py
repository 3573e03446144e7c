"""Run once at every start, in a process of its own so that the supervisor stays small.

Migrations, then the first keys, then what happened in the demo.
"""

from __future__ import annotations

import sys

from channels.registry import configured
from config.settings import SettingsError, settings
from models.engine import transaction
from models.migrate import upgrade
from pipeline.setup import first_start
from workers.stack.keys import write_private

HARMLESS = frozenset({"webhook", "apprise"})  # the sample people have neither


def main() -> int:
    """Bring the schema up to date and see to it that a tenant and its admin key exist; with --demo, feed the samples.

    The last line of the output says what went wrong, if anything did.
    """
    demo = "--demo" in sys.argv[1:]
    url = settings().database_url
    if url is None:
        raise SettingsError("BELLWIRE_DATABASE_URL: is not set")
    problem = upgrade(url.get_secret_value())
    if problem is not None:
        print(f"There is no second wall between tenants: {problem}. See docs/operations.md.")
    key = first_start(settings().home, demo=demo)
    if key is not None:
        write_private(settings().home / "admin.key", f"{key}\n")
    if demo:
        _demonstrate()
    return 0


def _demonstrate() -> None:
    """The sample events are stored now, and routed when the workers are there.

    With a real account there are none: they would go out to people and numbers that somebody may have.
    """
    from tasks.bells import ring_ingest, ringer
    from workers.demo import feed

    real = sorted(configured(settings(), preview=False).keys() - HARMLESS)
    if real:
        print(f"none, because {', '.join(real)} would go out for real")
        return
    with transaction() as connection:
        events = feed(connection)
    ring_ingest(events)
    ringer().flush()
    print(f"{len(events)} events on their way" if events else "there already")


if __name__ == "__main__":
    sys.exit(main())
