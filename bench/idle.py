"""What the whole product takes when it has nothing to do: `bellwire up` in a folder of its own, left alone."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.meter import cpu_seconds, proportional_bytes, trees
from bench.process import Child
from workers.stack.places import Places

SETTLE_SECONDS: Final = 10.0
MOST_MIB: Final = 600


def idle(*, seconds: float) -> dict[str, Any]:
    """Proportional set size in MiB by process, and CPU in percent of one core over `seconds`."""
    home = Path(tempfile.mkdtemp(prefix="bellwire-bench-idle-"))
    places = Places.of(home)
    environment = {"BELLWIRE_HOME": str(home), "BELLWIRE_FLOWER_PORT": "0"}
    command = (str(Path(sys.executable).with_name("bellwire")), "up", "--port", "0")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bellwire-bench-") as logs,
            Child("stack", command, log=Path(logs) / "up.log", environment=environment, pipes=True) as child,
        ):
            _wait_for_ready(child)
            time.sleep(SETTLE_SECONDS)
            before = cpu_seconds([child.pid])
            time.sleep(seconds)
            used = cpu_seconds([child.pid]) - before
            return _figures(child.pid, places, used / seconds)
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(places.sockets, ignore_errors=True)


def _wait_for_ready(child: Child) -> None:
    """Hear what it says until it is ready; if it ends before, that is an error with its last words."""
    while not child.hear_line(seconds=120).startswith("ready "):
        pass


def _figures(supervisor: int, places: Places, cores: float) -> dict[str, Any]:
    roots = {file.stem: int(file.read_text()) for file in sorted(places.run.glob("*.pid"))}
    within = set(trees([supervisor]))
    memory = {name: proportional_bytes([pid]) / 2**20 for name, pid in roots.items() if pid in within}
    total = proportional_bytes([supervisor]) / 2**20
    memory["supervisor"] = total - sum(memory.values())
    return {
        "memory_mib": round(total, 1),
        "memory_mib_by_process": {name: round(size, 1) for name, size in memory.items()},
        "cpu_percent": round(cores * 100, 2),
        "most_mib": MOST_MIB,
        "met": total < MOST_MIB,
    }
