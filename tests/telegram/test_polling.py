"""The process that asks Telegram for updates: it survives what happens out there, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.support.process import Process
from tests.support.waiting import wait_until
from workers.receivers.script import Fault, Reply
from workers.receivers.telegram import problem
from workers.stack.services import asks_for_updates

COMMAND = (sys.executable, "-m", "workers.polling")
CONFLICT = problem(409, "Conflict: terminated by other getUpdates request")


@pytest.fixture
def start(chat: Any, tmp_path: Path) -> Iterator[Any]:
    """Starts the process; it ends with the test."""
    started: list[Process] = []

    def starting(**settings: str) -> Process:
        environment = {**os.environ, **chat.environment, "BELLWIRE_ENV_FILE": os.devnull, **settings}
        process = Process("polling", COMMAND, log=tmp_path / "polling.log", environment=environment)
        started.append(process)
        return process

    yield starting
    for one in started:
        one.end(5.0)


@pytest.mark.mission("B-3")
def test_a_press_is_heard_without_a_public_address(chat: Any, start: Any) -> None:
    alert = chat.alert()
    start()
    chat.press()
    wait_until(lambda: "reply_markup" not in chat.shown(), "the button to go")
    assert chat.taken_by(alert) == "ada"
    wait_until(lambda: chat.bot_api.updates == [], "the update to be confirmed")


def test_it_goes_on_after_a_lost_connection_and_a_conflict(chat: Any, start: Any) -> None:
    alert = chat.alert()
    chat.bot_api.script("getUpdates", Reply(fault=Fault.RESET), CONFLICT, Reply())
    process = start()
    chat.press()
    wait_until(lambda: chat.taken_by(alert) == "ada", process.last_words)
    assert "bellwire telegram webhook --remove" in process.last_words()


def test_an_update_that_nobody_understands_holds_up_no_other(chat: Any, start: Any) -> None:
    alert = chat.alert()
    chat.bot_api.updates += [{"update_id": 0}, {"update_id": 1, "callback_query": {"id": [], "from": 7}}]
    chat.bot_api._update_ids = 1
    start()
    chat.press()
    wait_until(lambda: chat.taken_by(alert) == "ada", "the press")


def test_it_ends_when_it_is_told_to_although_telegram_has_not_answered(chat: Any, start: Any) -> None:
    chat.bot_api.script("getUpdates", Reply(fault=Fault.HANG))
    process = start()
    wait_until(lambda: '"asking"' in process.last_words(), "it to ask")
    wait_until(lambda: chat.bot_api.open_connections > 0, "the question")
    process.send(signal.SIGTERM)
    wait_until(lambda: not process.lives(), "it to end", 5)
    assert process.code == 0
    assert "demo-token" not in process.last_words(100)


@pytest.mark.parametrize(
    ("updates", "token", "starts"),
    [("polling", "1:token", True), ("polling", "", False), ("webhook", "1:token", False), ("off", "1:token", False)],
)
def test_the_local_stack_starts_it_only_where_it_has_something_to_ask(updates: str, token: str, starts: bool) -> None:
    given = Settings(_env_file=None, telegram_updates=updates, telegram_bot_token=token)  # type: ignore[call-arg]
    assert asks_for_updates(given) == starts


def test_without_a_bot_it_says_what_is_missing(chat: Any) -> None:
    environment = {**os.environ, **chat.environment, "BELLWIRE_ENV_FILE": os.devnull, "BELLWIRE_TELEGRAM_BOT_TOKEN": ""}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("BELLWIRE_TELEGRAM_BOT_TOKEN: is not set")
