"""Receivers on loopback, and settings that know nothing of the machine they are tested on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import uvloop

from channels.base import Provider
from config.settings import Settings
from workers.receivers.http import HttpReceiver
from workers.receivers.mail import MailReceiver
from workers.receivers.telegram import TelegramReceiver
from workers.receivers.together import Receivers, Running

T = TypeVar("T")


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    with Receivers() as running:
        yield running


@pytest.fixture
def hooks(receivers: Receivers) -> HttpReceiver:
    return receivers.webhook


@pytest.fixture
def bot_api(receivers: Receivers) -> TelegramReceiver:
    return receivers.telegram


@pytest.fixture
def mail(receivers: Receivers) -> MailReceiver:
    return receivers.mail


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Any]]:
    """Runs one more receiver until the test ends."""
    running: list[Running] = []

    def start(receiver: Any) -> Any:
        running.append(Running(receiver).__enter__())
        return receiver

    yield start
    for one in running:
        one.__exit__(None, None, None)


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings from these values alone, with the demo's sender."""

    def make(**values: Any) -> Settings:
        return Settings(_env_file=None, **{"email_from": "Bellwire <bellwire@example.org>", **values})

    return make


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine on the event loop that workers use."""
    return uvloop.run


@pytest.fixture
def within() -> Callable[[type[Provider], float], type[Provider]]:
    """The same provider with a shorter deadline, so that a test of it does not take its ten seconds."""

    def shortened(kind: type[Provider], seconds: float) -> type[Provider]:
        return type(kind.__name__, (kind,), {"capabilities": replace(kind.capabilities, deadline=seconds)})

    return shortened
