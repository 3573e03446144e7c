"""The whole product, as `bellwire up` starts it, for the length of a block."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workers.stack.errors import StackError
from workers.stack.places import Places


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is up.

    Attributes:
        address: of its API, such as http://127.0.0.1:40123.
        places: its addresses and logs; `run/NAME.pid` holds the process id of each program.
        supervisor: ends the stack in order when it is terminated.
    """

    address: str
    places: Places
    supervisor: subprocess.Popen[str]


@contextmanager
def running_stack(*options: str, home: Path | None = None, environment: Mapping[str, str] = {}) -> Iterator[Running]:
    """Run `bellwire up` on free ports, with a home of its own that is removed afterwards unless `home` is given.

    Args:
        options: further ones of `bellwire up`, such as `--demo`.
        home: where it runs, kept afterwards.
        environment: settings on top of this process's own.

    Raises:
        StackError: it did not become ready; the text is what it said last.
    """
    folder = Path(tempfile.mkdtemp(prefix="bellwire-")) if home is None else home
    with tempfile.TemporaryFile("a+") as said, _started(folder, options, environment, said) as supervisor:
        try:
            yield Running(_ready(supervisor, said), Places.of(folder), supervisor)
        finally:
            supervisor.terminate()
            supervisor.wait()
            if home is None:
                shutil.rmtree(folder, ignore_errors=True)


def _started(
    folder: Path, options: tuple[str, ...], environment: Mapping[str, str], said: IO[str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-m", "workers.cli", "up", "--with-parent", "--port", "0", "--home", str(folder), *options),
        env={**_neutral(), "BELLWIRE_FLOWER_PORT": "0", **environment},
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _neutral() -> dict[str, str]:
    """This process's environment without settings, but for the file that they are not to be read from."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
    return given | {"BELLWIRE_ENV_FILE": os.devnull}


def _ready(supervisor: subprocess.Popen[str], said: IO[str]) -> str:
    """The address of its ready line. It gives up by itself when something does not start."""
    while True:
        ended = supervisor.poll() is not None
        said.seek(0)
        lines = said.read().splitlines()
        for line in lines:
            if line.startswith("ready "):
                return line.split()[1]
        if ended:
            raise StackError(lines[-1] if lines else "The stack ended without a word.")
        time.sleep(0.05)
