"""One stack per home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers.stack.errors import StackError
from workers.stack.lock import hold
from workers.stack.places import Places

HOLDER = """
import sys, signal
from pathlib import Path
from workers.stack.lock import hold
from workers.stack.places import Places
with hold(Places.of(Path(sys.argv[1]))):
    print("held", flush=True)
    signal.pause()
"""


def test_the_second_is_told_who_holds_the_home(home: Path) -> None:
    refused = pytest.raises(StackError, match=rf"already running \(pid {os.getpid()}\)")
    with hold(Places.of(home)), refused, hold(Places.of(home)):
        pass


def test_the_home_is_free_again_after_its_holder_was_killed(home: Path) -> None:
    with subprocess.Popen((sys.executable, "-c", HOLDER, str(home)), stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StackError), hold(Places.of(home)):
            pass
        holder.send_signal(signal.SIGKILL)
    with hold(Places.of(home)):
        assert (home / "lock").read_text() == f"{os.getpid()}\n"
