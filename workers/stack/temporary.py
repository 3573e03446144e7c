"""A whole stack for a short while: `bellwire up` on a home of its own, gone without a trace afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from config.settings import settings
from models.engine import engine
from workers.stack.errors import StackError
from workers.stack.logs import last_line
from workers.stack.places import Places

PATIENCE: Final = 60.0  # seconds to end in order


@contextmanager
def temporary_stack(environment: Mapping[str, str], say: Callable[[str], None]) -> Iterator[str]:
    """Start everything, point this process to it, and give its address; end it with the block.

    Neither the settings of this process's environment nor those of a ``.env`` count: what happens here must never
    reach the databases or people of a real installation.

    Args:
        environment: the settings of the stack beside its servers.
        say: told what is being started.

    Raises:
        StackError: it did not start; the text says why.
    """
    home = Path(tempfile.mkdtemp(prefix="bellwire-demo-"))
    before = dict(os.environ)
    _point_to(home, environment)
    try:
        with _running(home, say) as address:
            yield address
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget()
        for place in (home, Places.of(home).sockets):
            shutil.rmtree(place, ignore_errors=True)


def _point_to(home: Path, environment: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("BELLWIRE_")]:
        del os.environ[name]
    os.environ.update(environment)
    os.environ.update(BELLWIRE_ENV_FILE=os.devnull, BELLWIRE_HOME=str(home), BELLWIRE_FLOWER_PORT="0")
    _forget()


def _forget() -> None:
    """What this process has read or opened belongs to another installation."""
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()
    settings.cache_clear()


@contextmanager
def _running(home: Path, say: Callable[[str], None]) -> Iterator[str]:
    command = (sys.executable, "-m", "workers.cli", "up", "--with-parent", "--port", "0")
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the other in order
    ) as child:
        try:
            yield _address(child, home, say)
        finally:
            child.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=PATIENCE)
            child.kill()


def _address(child: subprocess.Popen[str], home: Path, say: Callable[[str], None]) -> str:
    assert child.stdout is not None
    line = ""
    for line in child.stdout:
        if line.startswith("ready http"):
            return line.split()[1]
        say(line.strip())
    child.wait()
    log = home / "logs" / "stack.log"
    raise StackError(line.strip() or (last_line(log) if log.exists() else "The stack did not start."))
