"""Logs are JSON lines in one form, whoever writes them, and hold no bodies and no rows."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PRELUDE = """
import logging, structlog
from config.logging import configure
log = structlog.get_logger("ours")
configure("INFO")
"""


def logged(program: str) -> list[dict[str, Any]]:
    """The lines that a process logs."""
    done = subprocess.run([sys.executable, "-c", PRELUDE + program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_our_own_lines_have_their_fields() -> None:
    (line,) = logged('log.info("sent", delivery_id="d1", event_id="e1")')
    assert line["event"] == "sent"
    assert (line["delivery_id"], line["event_id"]) == ("d1", "e1")
    assert (line["level"], line["logger"]) == ("info", "ours")
    assert line["timestamp"].endswith("Z")


def test_libraries_write_in_the_same_form() -> None:
    (line,) = logged('logging.getLogger("kombu.connection").warning("%s is away", "it")')
    assert (line["event"], line["level"], line["logger"]) == ("it is away", "warning", "kombu.connection")


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn.error", "celery", "kombu"])
def test_handlers_that_libraries_brought_do_not_write_twice(name: str) -> None:
    bring = f'logging.getLogger("{name}").addHandler(logging.StreamHandler()); configure("INFO");'
    assert len(logged(f'{bring} logging.getLogger("{name}").error("once")')) == 1


@pytest.mark.parametrize("name", ["httpx", "sqlalchemy.engine", "celery.worker.strategy", "telegram.ext"])
def test_what_nobody_reads_or_names_addresses_is_not_written(name: str) -> None:
    assert logged(f'logging.getLogger("{name}").info("GET https://api.example.org/bot123:secret")') == []


def test_the_level_is_kept() -> None:
    assert logged('log.debug("quiet"); logging.getLogger("x").debug("quiet")') == []
    assert len(logged('configure("DEBUG"); log.debug("loud")')) == 1


def test_a_traceback_comes_without_the_rows_that_postgresql_quotes() -> None:
    (line,) = logged(
        """
try:
    raise ValueError('refused\\nDETAIL:  Key (email)=(ana@example.org)\\nCONTEXT:  JSON data, line 1: {"a":...')
except ValueError:
    log.exception("not_stored")
"""
    )
    assert "ValueError: refused" in line["exception"]
    assert "ana@example.org" not in line["exception"]
    assert "JSON data" not in line["exception"]


def test_a_message_that_celery_cannot_use_is_not_written_out() -> None:
    program = """
from celery.worker.consumer.consumer import UNKNOWN_TASK_ERROR, MESSAGE_DECODE_ERROR
celery = logging.getLogger("celery.worker.consumer.consumer")
celery.error(UNKNOWN_TASK_ERROR, "'no.such.task'", "the body", "the headers", "more")
celery.critical(MESSAGE_DECODE_ERROR, "error", "type", "encoding", "the headers", "the body")
"""
    first, second = logged(program)
    assert "no.such.task" in first["event"]
    assert "the body" not in first["event"] + second["event"]
    assert "the headers" not in first["event"] + second["event"]


@pytest.mark.parametrize(
    ("name", "form", "values"),
    [
        ("uvicorn.error", '%s - "WebSocket %s" [accepted]', ("127.0.0.1:7", "/v1/notifications/ws?ticket=secret")),
        ("uvicorn.error", '%s - "WebSocket %s" %d', ("127.0.0.1:7", "/v1/notifications/ws?ticket=secret", 403)),
        (
            "uvicorn.access",
            '%s - "%s %s HTTP/%s" %d',
            ("127.0.0.1:7", "GET", "/v1/notifications/sse?ticket=secret", "1.1", 200),
        ),
    ],
)
def test_addresses_are_written_without_their_queries_which_may_hold_tickets(
    name: str, form: str, values: tuple[Any, ...]
) -> None:
    (line,) = logged(f"logging.getLogger({name!r}).info({form!r}, *{values!r})")
    assert "/v1/notifications/" in line["event"]
    assert "secret" not in line["event"]
