"""One server of the local stack as one process: `python -m tests.support.serve postgres|valkey HOME`.

It becomes the server itself, so that its process id is the server's and killing it harms nothing else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from workers.stack import postgres, valkey
from workers.stack.linux import die_with_parent
from workers.stack.places import Places
from workers.stack.privileges import leave_root

# What it stores must survive its own kill, as in production, and that of the machine alone needs the disk.
UNSYNCED = ("-c", "fsync=off")


def main() -> None:
    """Does not return."""
    name, places = sys.argv[1], Places.of(Path(sys.argv[2]))
    leave_root(places.home, (postgres.PROGRAMS / "postgres", valkey.server()))
    os.umask(0o077)
    places.make()
    if name == "postgres":
        postgres.make(places, volatile=True)
    program = postgres.program(places) if name == "postgres" else valkey.program(places)
    command = (*program.command, *UNSYNCED) if name == "postgres" else program.command
    die_with_parent(program.steps[-1][0])
    os.chdir(program.folder)
    os.execve(command[0], command, {**os.environ, **program.environment})


if __name__ == "__main__":
    main()
