"""Logs of every process: JSON lines, or readable text on a terminal. Ids, never secrets, bodies or addresses."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

# These say more than anybody reads, or name addresses (a Telegram URL holds the bot's token).
QUIET: Final = ("httpx", "httpcore", "telegram", "sqlalchemy", "amqp", "aiohttp.access", "botocore", "urllib3")

# Two lines a bell: at full speed they would cost as much as the work. Flower shows the same.
CHATTY: Final = ("celery.worker.strategy", "celery.app.trace", "celery.beat")

# They bring handlers of their own, which would print everything twice.
FOREIGN: Final = ("uvicorn", "uvicorn.error", "celery", "celery.task", "celery.redirected", "kombu")

# They name the address of every stream, whose query may hold a ticket (--no-access-log switches off only the latter).
ADDRESSES: Final = ("uvicorn.error", "uvicorn.access")

# A WebSocket's frame, after which it is closed with 1007; each would be an error with a traceback.
MISTAKES: Final = ("Invalid UTF-8 sequence received from client.",)

# PostgreSQL repeats the row or the document in these lines of an error.
_VALUES: Final = re.compile(r"^\s*(?:DETAIL|CONTEXT|LINE \d+):.*(?:\n|$)", re.MULTILINE)


def configure(level: str) -> None:
    """Send everything, also what libraries log, to standard error in one form. May be called again.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _without_message_bodies], processors=_rendering(sys.stderr.isatty())
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _tame(level)


def _rendering(terminal: bool) -> list[Processor]:
    renderer: Processor = structlog.processors.JSONRenderer()
    if terminal:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _without_values,
        renderer,
    ]


def _tame(level: str) -> None:
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    for name in FOREIGN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in ADDRESSES:
        logging.getLogger(name).addFilter(_without_queries)
    logging.getLogger("uvicorn.error").addFilter(_no_clients_mistake)
    access = logging.getLogger("uvicorn.access")
    if access.handlers:  # without, somebody switched it off
        access.handlers.clear()
        access.propagate = True


def _no_clients_mistake(record: logging.LogRecord) -> bool:
    """Whether it is more than a client's own mistake, who is told of it: anybody could fill the log with those."""
    return record.msg not in MISTAKES


def _without_queries(record: logging.LogRecord) -> bool:
    """An address without what follows the question mark."""
    if isinstance(record.args, tuple):
        record.args = tuple(_path_of(value) for value in record.args)
    return True


def _path_of(value: object) -> object:
    return value.split("?", 1)[0] if isinstance(value, str) and value.startswith("/") else value


def _without_values(_: Any, __: str, event: EventDict) -> EventDict:
    """Tracebacks without the rows that PostgreSQL quotes."""
    if "exception" in event:
        event["exception"] = _VALUES.sub("", event["exception"])
    return event


def _without_message_bodies(_: Any, __: str, event: EventDict) -> EventDict:
    """Celery prints a message that it cannot use, headers and body; its first words say enough."""
    if str(event.get("logger", "")).startswith("celery.worker.consumer"):
        event["event"] = str(event["event"]).split("\n", 1)[0].split(" [type:", 1)[0][:300]
    return event
