"""A worker's publishing: `python -m tests.support.show` reads a line of events, and stores, numbers and shows them.

Settings are read once a process, so it is one of its own. `silent`: it died after the commit, before it could show.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from config.catalogue import shipped
from domain.vocabulary import CHANNELS
from models.engine import transaction
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route
from pipeline.setup import ensure_tenant
from pipeline.users import put_user
from tasks.live import show, show_unread


class Publisher:
    """The other end of such a process."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        environment = {**os.environ, "BELLWIRE_DATABASE_URL": database_url, "BELLWIRE_REDIS_URL": redis_url}
        command = (sys.executable, "-m", "tests.support.show")
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._said = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def tell(self, user: str, count: int = 1, *, silent: bool = False, tenant: str = "default", **more: Any) -> None:
        """So many messages for a user: `Message 1.` and so on, counted over all users."""
        events = []
        for _ in range(count):
            self._said += 1
            data = {"sender": "Ben", "message": f"Message {self._said}.", "conversation": "c"}
            recipients = [user]
            events.append({"type": "message_received", "recipients": recipients, "data": data, **more})
        self._ask({"tenant": tenant, "events": events, "silent": silent})

    def unread(self, user: str, count: int, tenant: str = "default") -> None:
        """Say how many a user has not read."""
        self._ask({"tenant": tenant, "user": user, "unread": count})

    def _ask(self, line: Any) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(line) + "\n")
        said = iter(self._process.stdout.readline, "")  # the log is among it
        assert "done\n" in said, "the publisher ended; why is above"


def main() -> None:
    """A line is a transaction and what follows it."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "unread" in asked:
            show_unread(asked["tenant"], asked["user"], asked["unread"])
        else:
            _publish(asked)
        print("done", flush=True)


def _publish(asked: Any) -> None:
    parsed = parse_many(asked["events"], tenant=asked["tenant"], catalogue=shipped().event_types)
    with transaction() as connection:
        ensure_tenant(connection, asked["tenant"])
        for user in {user for event in asked["events"] for user in event["recipients"]}:
            put_user(connection, tenant=asked["tenant"], user_id=user, body={"name": user}, actor="cli")
        tenants = Directory().look_up(connection, {asked["tenant"]})
        _, bells = accept_and_route(connection, tenants, parsed, dict.fromkeys(CHANNELS, True))
    if not asked["silent"]:
        show(bells.frames)


if __name__ == "__main__":
    main()
