"""Who may ask the stack to stop, however it was started."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# Says how often it was asked to stop, though it is started as a shell starts what stands before `&` in a script.
PROGRAM = """
import os, signal, sys
from workers.stack.signals import Signals
with Signals() as signals:
    os.kill(os.getpid(), int(sys.argv[1]))
    print(signals.stops)
"""


@pytest.mark.parametrize(
    ("number", "stops"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGHUP, 0)], ids=["int", "term", "hup"]
)
def test_only_a_hangup_stays_ignored_where_it_was(number: signal.Signals, stops: int) -> None:
    ignore = f"trap '' {number.name.removeprefix('SIG')}; exec \"$@\""
    command = ("sh", "-c", ignore, "sh", sys.executable, "-c", PROGRAM, str(int(number)))
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{stops}\n"
