"""`bellwire send`: publish one event, or a file of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from sqlalchemy import text

from domain.errors import InvalidInputError
from domain.event import Event
from domain.vocabulary import Severity
from pipeline.envelope import loads, parse
from pipeline.event_types import SHIPPED_TYPES, EventTypes, KnownTypes
from pipeline.publish import Answer, accept_only
from pipeline.setup import FIRST_TENANT, check_tenant
from workers.cli.app import app
from workers.cli.output import JsonOption, counted, print_json, say, show_table, warn
from workers.cli.progress import Steps
from workers.cli.stack import database, let_bells_leave, ring_events

BATCH: Final = 1_000  # events in a transaction
BATCH_CHARACTERS: Final = 16 * 1024 * 1024  # of their data and attachments, whatever their number
LONG: Final = 1_000  # events from which on progress is shown


POPULATED = text("SELECT id FROM tenants t WHERE EXISTS (SELECT FROM users u WHERE u.tenant = t.id) LIMIT 2")
IS_EMPTY = text("""
SELECT NOT EXISTS (SELECT FROM users WHERE tenant = :tenant)
   AND NOT EXISTS (SELECT FROM webhooks WHERE tenant = :tenant)
""")


@app.command()
def send(
    type_: Annotated[str | None, typer.Argument(metavar="TYPE", help="The type of the event: ssl_expiry.")] = None,
    *,
    file: Annotated[Path | None, typer.Option(help="One event a line, as JSON; - reads standard input.")] = None,
    tenant: Annotated[
        str | None,
        typer.Option(help="Whose event it is, where it does not say so itself; by default the only one with users."),
    ] = None,
    to: Annotated[list[str] | None, typer.Option(metavar="USER", help="A user to be told; may be repeated.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="The catalogue's by default.", show_default=False)] = None,
    data: Annotated[str | None, typer.Option(help='The payload, as JSON: \'{"host": "shop.example.org"}\'.')] = None,
    branch: Annotated[str | None, typer.Option(help="The routing scope.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="UUID", help="The customer's UUID.")] = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="It closes its issue.")] = False,
    json: JsonOption = False,
) -> None:
    """Publish an event, or a file of them; all or none of a file are taken. Stored when this returns."""
    given = {
        "type": type_,
        "recipients": to or None,
        "severity": severity,
        "data": None if data is None else _data(data),
        "branch": branch,
        "customer_id": customer,
        "status": "resolved" if resolved else None,
    }
    event = {name: value for name, value in given.items() if value is not None}
    if file is not None and event:
        raise InvalidInputError("--file", "stands alone; the events of a file say the rest themselves")
    if file is None and type_ is None:
        raise typer.BadParameter("Name a TYPE of event, or a file of events with --file.")
    owner = tenant or _usual_tenant()
    source = _Lines(file, owner) if file is not None else _Single({"tenant": owner, **event})
    answers = _publish(source, quiet=json)
    if tenant is None and not json:
        say(f"Tenant {owner}, where none was named.", "dim")
    _say(answers, json=json, single=file is None)


def _usual_tenant() -> str:
    """Whose an event is when nobody says so."""
    with database() as connection:
        populated = connection.execute(POPULATED).scalars().all()
    return str(populated[0]) if len(populated) == 1 else FIRST_TENANT


_TYPES: Final = KnownTypes()


def _types(tenant: str) -> EventTypes:
    """Those in force for a tenant, read once; the shipped ones for a tenant that there is not, as is said later."""
    known = _TYPES.find(tenant)
    if known is None and "\0" not in tenant:
        with database() as connection:
            known = _TYPES.look_up(connection, [tenant]).get(tenant)
    return SHIPPED_TYPES if known is None else known.event_types


class _Single:
    """One event from the arguments."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Event]:
        yield parse(self._body, tenant=None, catalogue=_types)


class _Lines:
    """The events of a file, read anew each time: a long one would not fit into memory."""

    def __init__(self, file: Path, tenant: str) -> None:
        self._name = "standard input" if str(file) == "-" else str(file)
        self._file = file
        self._tenant = tenant
        self._typed = sys.stdin.buffer.read().splitlines() if str(file) == "-" else None
        self._count = sum(1 for _, line in self._numbered() if line.strip())
        if not self._count:
            raise InvalidInputError(self._name, "has no events")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Event]:
        for number, line in self._numbered():
            if line.strip():
                try:
                    yield self._event(line)
                except InvalidInputError as error:
                    raise InvalidInputError(f"{self._name}:{number}", str(error)) from None

    def _event(self, line: bytes) -> Event:
        body = loads(line)
        if isinstance(body, dict):
            body = {"tenant": self._tenant, **body}
        return parse(body, tenant=None, catalogue=_types)

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        if self._typed is not None:
            yield from enumerate(self._typed, 1)
            return
        try:
            with self._file.open("rb") as opened:
                yield from enumerate(opened, 1)
        except OSError as error:
            raise InvalidInputError(self._name, f"cannot be read: {error.strerror}") from None


def _publish(source: _Single | _Lines, *, quiet: bool) -> list[Answer]:
    """Check everything first, so that a mistake on the last line of a file leaves nothing half sent; then store."""
    answers: list[Answer] = []
    with Steps(len(source), hidden=quiet or len(source) < LONG) as steps:
        with database() as connection:
            checked = steps.begin("checking")
            for tenant in sorted({event.tenant for event in _told(source, checked)}):
                check_tenant(connection, tenant)
                if connection.execute(IS_EMPTY, {"tenant": tenant}).scalar_one():
                    warn(f"Tenant {tenant} has no users and no webhooks: only addresses in the event itself are told.")
        sent = steps.begin("sending")
        for batch in _batches(source):
            with database() as connection:
                taken = accept_only(connection, batch)
            ring_events([answer.id for answer in taken if answer.status == "accepted"])
            answers += taken
            sent(len(batch))
    let_bells_leave()
    return answers


def _told(source: _Single | _Lines, advance: Callable[[int], None]) -> Iterator[Event]:
    for event in source:
        advance(1)
        yield event


def _batches(source: _Single | _Lines) -> Iterator[list[Event]]:
    batch: list[Event] = []
    size = 0
    for event in source:
        batch.append(event)
        size += len(event.data_json) + sum(len(one["content"]) for one in event.attachments or ())
        if len(batch) == BATCH or size > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _data(text: str) -> Any:
    try:
        return loads(text.encode("utf-8", "surrogateescape"))
    except InvalidInputError as error:
        raise error.within("--data") from None


def _say(answers: list[Answer], *, json: bool, single: bool) -> None:
    results = [
        {"id": one.id, "status": one.status, "duplicate_of": one.duplicate_of, "fingerprint": one.fingerprint}
        for one in answers
    ]
    duplicates = sum(one.status == "duplicate" for one in answers)
    if json:
        print_json(results[0] if single else {"results": results})
    elif single:
        show_table(results, ("id", "status", "duplicate_of"))
        say(f"`bellwire explain {answers[0].id}` says what became of it.", "dim")
    else:
        say(f"{counted(len(answers) - duplicates, 'event')} accepted, {counted(duplicates, 'duplicate')} folded.")
