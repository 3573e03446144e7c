"""Starts the whole product on one machine, keeps it running and stops it in order.

Servers, then schema and keys, then Bellwire's processes; the other way round at the end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from config.settings import Settings
from workers.stack import postgres, services, valkey
from workers.stack.environment import addresses, generated
from workers.stack.errors import StackError
from workers.stack.keeper import Keeper
from workers.stack.leftovers import end_leftovers
from workers.stack.linux import die_with_parent
from workers.stack.listening import address, free_port, health, is_listening, listen
from workers.stack.lock import hold
from workers.stack.logs import cut, last_line
from workers.stack.places import Places
from workers.stack.privileges import leave_root
from workers.stack.process import Program, end, start
from workers.stack.signals import Signals
from workers.stack.terminal import Terminal

SERVER_PATIENCE = 60.0
SERVICE_PATIENCE = 120.0
# A program that ends this often before the stack was ever ready will not come up by itself.
TRIES = 3
LOW_PORTS = 1024
# First the ways in, then what is under way is finished, then what all of them need.
STOP_ORDER = (("api", "beat", "bus", "polling"), ("worker",), ("flower",), ("valkey",), ("postgres",))


class StopRequestedError(Exception):
    """Somebody asked the stack to stop while it was starting."""


@dataclass(slots=True)
class Stack:
    """One run of the stack; whoever makes it holds the home."""

    places: Places
    settings: Settings
    signals: Signals
    terminal: Terminal
    keeper: Keeper

    def start_servers(self) -> None:
        """Start those of PostgreSQL and Valkey whose address is not set, and return when they take connections."""
        local = addresses(self.places, self.settings)
        if "BELLWIRE_DATABASE_URL" in local:
            postgres.make(self.places)
            self.keeper.start(postgres.program(self.places))
        if "BELLWIRE_BROKER_URL" in local or "BELLWIRE_REDIS_URL" in local:
            self.keeper.start(valkey.program(self.places))
        if "postgres" in self.keeper.kept:
            self._await("postgres", lambda: postgres.is_ready(self.places), SERVER_PATIENCE)
            postgres.create_database(self.places)
        if "valkey" in self.keeper.kept:
            self._await("valkey", lambda: valkey.is_ready(self.places), SERVER_PATIENCE)
        os.environ.update(local)

    def prepare(self, *, demo: bool) -> None:
        """Migrate and make the first keys; with `demo`, let the sample events in."""
        command = (sys.executable, "-m", "workers.stack.prepare", *(("--demo",) if demo else ()))
        program = Program("prepare", command, Path.cwd())
        child = start(program, self.places)
        while child.poll() is None:
            self.signals.wait(min(1.0, self.keeper.look_after()))
            if self.signals.stops:
                end([(program, child)], self.signals.pause)
                raise StopRequestedError
        if child.returncode != 0:
            raise StackError(f"The database could not be prepared: {last_line(self.places.logs / 'prepare.log')}")
        self.terminal.say("schema", "up to date")
        if demo:
            self.terminal.say("samples", last_line(self.places.logs / "prepare.log"))

    def start_services(self, listener: socket) -> None:
        """Start Bellwire's own processes and return when all of them answer."""
        self.keeper.start(services.api(self.settings, listener))
        self.keeper.start(services.worker())
        self._await("worker", lambda: self.keeper.kept["worker"].ready, SERVICE_PATIENCE)
        self._await("api", lambda: health(listener)[0] == 200, SERVICE_PATIENCE)
        self._start_companions()

    def _start_companions(self) -> None:
        """Start the rest, which the workers do without. Flower asks them who they are when it starts."""
        port = free_port(self.settings.flower_port)
        self.keeper.start(services.beat())
        self.keeper.start(services.bus())
        if services.asks_for_updates(self.settings):
            self.keeper.start(services.polling())
        self.keeper.start(services.flower(self.places, port))
        self._await("bus", lambda: self.keeper.kept["bus"].ready, SERVICE_PATIENCE)
        self._await("flower", lambda: is_listening(port), SERVICE_PATIENCE)
        password = self.places.home / "flower.password"
        self.terminal.say("flower", f"http://127.0.0.1:{port} (user bellwire, password in {password})")

    def say_where(self, url: str, *, demo: bool) -> None:
        """What a person wants to know next, before the line that programs wait for."""
        tenant = "demo" if demo else "default"
        signed = "your platform signs" if self.places.published_keys else "`bellwire token` signs"
        self.terminal.say("inbox", f"{url}/inbox (asks for a user's token, which {signed})")
        self.terminal.say("docs", f"{url}/docs")
        self.terminal.say("key", f"{self.places.home / 'admin.key'} (admin of the tenant {tenant})")
        self.terminal.say("addresses", "`bellwire env` prints those of the database, the broker and Redis")
        if self.places.keeps_previews:
            self.terminal.say("previews", "`bellwire previews` lists what channels without a provider would have sent")
        self.terminal.say("stop", "Ctrl-C")

    def keep(self) -> None:
        """Look after everything until somebody asks to stop."""
        while not self.signals.stops:
            self.signals.wait(self.keeper.look_after())
            cut(self.places)

    def stop(self) -> None:
        """Close the ways in, let the workers finish, then stop what they need."""
        if not self.keeper.kept:
            return
        self.terminal.say("stopping", "what is being sent is finished first; Ctrl-C once more to hurry")
        for names in STOP_ORDER:
            ended = self.keeper.end(*names)
            if ended:
                self.terminal.say("stopped", ", ".join(ended))

    def _await(self, name: str, ready: Callable[[], bool], patience: float) -> None:
        """Look after everything until `ready`.

        Raises:
            StackError: a program keeps ending, or the time is over.
            StopRequestedError: somebody asked.
        """
        deadline = time.monotonic() + patience
        while not ready():
            self.signals.wait(min(0.05, self.keeper.look_after()))
            if self.signals.stops:
                raise StopRequestedError
            for kept in self.keeper.kept.values():
                if kept.failures >= TRIES:
                    said = last_line(self.places.logs / f"{kept.program.name}.log")
                    raise StackError(f"{kept.program.name} does not start: {said}")
            if time.monotonic() > deadline:
                raise StackError(f"{name} was not ready within {patience:.0f} s; the reason is in {self.places.logs}.")
        self.terminal.say(name, "ready")


def run(settings: Settings, *, demo: bool = False, with_parent: bool = False) -> None:
    """Run the whole product until a signal ends it. As root, this process first becomes another user's.

    Args:
        settings: as given by the person; what they leave open is filled in with the local stack.
        demo: make the tenant `demo` and keep the messages of channels without a provider for viewing.
        with_parent: stop when the process that started this one ends.

    Raises:
        StackError: it cannot run; whatever was started has been stopped.
    """
    places = Places.of(settings.home)
    leave_root(places.home, (postgres.PROGRAMS / "postgres", valkey.server()), low_port=0 < settings.port < LOW_PORTS)
    if with_parent:
        die_with_parent(signal.SIGTERM)
    os.umask(0o077)
    places.make()
    with hold(places), _stack(places, settings) as stack, listen(settings.host, settings.port) as listener:
        _tell_children(places, settings, address(listener), demo=demo)
        stack.start_servers()
        stack.prepare(demo=demo)
        stack.start_services(listener)
        stack.say_where(address(listener), demo=demo)
        stack.terminal.ready(address(listener))
        stack.keep()


@contextmanager
def _stack(places: Places, settings: Settings) -> Iterator[Stack]:
    """A stack that has cleared away its predecessor and is stopped in order, however the block ends."""
    with Signals() as signals:
        terminal = Terminal(places)
        stack = Stack(places, settings, signals, terminal, Keeper(places, signals, terminal))
        found = end_leftovers(places)
        if found:
            terminal.warn("cleared", f"{found} processes of an earlier run that was killed")
        try:
            yield stack
        except StopRequestedError:
            return
        finally:
            stack.stop()
            places.leave()


def _tell_children(places: Places, settings: Settings, url: str, *, demo: bool) -> None:
    """Put what was found out or made here into the environment, where the children's settings look."""
    given = settings.model_fields_set
    places.note_published_keys(None if settings.jwt_secret else settings.jwt_jwks_url)
    os.environ.update(generated(places, settings))
    os.environ["BELLWIRE_HOME"] = str(places.home)
    os.environ["BELLWIRE_PORT"] = url.rsplit(":", 1)[1]
    if "public_url" not in given:
        os.environ["BELLWIRE_PUBLIC_URL"] = url
    if demo and "preview" not in given:
        os.environ["BELLWIRE_PREVIEW"] = "true"
    places.note_previews(settings.preview or (demo and "preview" not in given))
