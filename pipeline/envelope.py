"""The door: what an upstream service may send, and the one place where it is checked, whatever way it came."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError
from uuid_utils import uuid7

from domain.catalogue import EventType
from domain.errors import InvalidInputError
from domain.event import Condition, Event
from domain.fingerprint import canonical, fingerprint
from domain.vocabulary import SEVERITIES, Severity
from pipeline.contacts import check_address
from pipeline.payload import MOST_DATA_DEPTH, data_text, printable
from pipeline.secrets_of_events import hide

MOST_EVENTS = 1_000
MOST_BODY_BYTES = 10 * 1024 * 1024
MOST_ATTACHMENT_BYTES = 7 * 1024 * 1024

# No control characters: they are never meant, and NUL cannot be stored.
Word = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
TypeName = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:\-]*$")
]


def _written_moment(value: Any) -> Any:
    """RFC 3339 only: pydantic would take numbers too, and read "2020" as seconds since 1970."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
        return value
    raise PydanticCustomError("moment", "must be a time with its offset, such as 2026-11-20T09:00:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_written_moment)]


class Listing(Protocol):
    """Event types by name: a plain mapping, or what is in force for a tenant."""

    def get(self, name: str, /) -> EventType | None:
        """The entry of that name, or None when nobody listed it."""


Listings = Listing | Callable[[str], Listing]
"""Either that, or what gives it for the tenant whose event it is."""


class RecipientIn(BaseModel):
    """An address that the event names itself; at least one of the four."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email: Word | None = None
    phone: Word | None = None
    telegram_chat_id: Word | None = None
    whatsapp: Word | None = None
    name: Word | None = None
    locale: Word | None = None


class AttachmentIn(BaseModel):
    """A file for the email. `content` is base64."""

    model_config = ConfigDict(extra="forbid", strict=True)

    filename: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
    content_type: Annotated[str, StringConstraints(max_length=127, pattern=r"^[\w.+-]+/[\w.+-]+$")] = (
        "application/octet-stream"
    )
    content: str


class EventIn(BaseModel):
    """An event as it is published. Only `type` is required."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "type": "ssl_expiry",
                "severity": "high",
                "branch": "berlin",
                "recipients": ["u1", {"email": "ops@example.org", "name": "Ops"}],
                "data": {"host": "shop.example.org", "days_left": 7},
                "occurred_at": "2026-11-20T09:00:00Z",
            }
        },
    )

    type: TypeName
    tenant: Word | None = None
    status: Literal["firing", "resolved"] = "firing"
    severity: Literal["low", "medium", "high", "critical"] | None = None
    branch: Word | None = None
    customer_id: UUID | None = None
    actor_id: Word | None = None
    recipients: Annotated[list[Word | RecipientIn], Field(max_length=1000)] | None = None
    data: dict[str, Any] = {}
    fingerprint: Word | None = None
    occurred_at: Moment | None = None
    expires_at: Annotated[
        Moment | None, Field(description="What is not sent by then never is; later than `send_at`.")
    ] = None
    send_at: Annotated[Moment | None, Field(description="Nobody is told before; a moment that has passed is now.")] = (
        None
    )
    attachments: Annotated[list[AttachmentIn], Field(max_length=20)] | None = None


def loads(body: bytes) -> Any:
    """JSON from outside, as RFC 8259 has it: no NaN, no infinities, UTF-8 only.

    Raises:
        InvalidInputError: not JSON, nested too deep to be read, or too large.
    """
    if len(body) > MOST_BODY_BYTES:
        raise InvalidInputError("", f"is larger than {MOST_BODY_BYTES} bytes", too_large=True)
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise InvalidInputError("", "is not UTF-8") from None
    except RecursionError:
        raise InvalidInputError("", f"is nested deeper than {MOST_DATA_DEPTH}") from None
    except InvalidInputError:
        raise
    except ValueError as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInputError("", "is not valid JSON" + place) from None


def _no_constant(name: str) -> Any:
    raise InvalidInputError("", f"is not valid JSON: {name} is no JSON number")


def parse_many(body: Any, *, tenant: str | None, catalogue: Listings) -> list[Event]:
    """Events from a body of one event, ``{"events": [...]}`` or a list. All or none.

    Args:
        tenant: whose key it came with; None where the event itself must say (Celery, the bus).
        catalogue: the event types, for defaults and key fields.

    Raises:
        InvalidInputError: names the field as in ``events[3].severity``.
    """
    if isinstance(body, Mapping) and "events" in body and "type" not in body:
        unknown = sorted(set(body) - {"events"})
        if unknown:
            raise InvalidInputError(printable(unknown[0]), "is not a known field beside events")
        body = body["events"]
        if not isinstance(body, list):
            raise InvalidInputError("events", "must be a list of events")
    if not isinstance(body, list):
        return [parse(body, tenant=tenant, catalogue=catalogue)]
    if not body:
        raise InvalidInputError("events", "must hold at least one event")
    if len(body) > MOST_EVENTS:
        raise InvalidInputError("events", f"holds more than {MOST_EVENTS} events", too_large=True)
    return [_at(index, one, tenant, catalogue) for index, one in enumerate(body)]


def _at(index: int, one: Any, tenant: str | None, catalogue: Listings) -> Event:
    try:
        return parse(one, tenant=tenant, catalogue=catalogue)
    except InvalidInputError as error:
        raise error.within(f"events[{index}]") from None


def named_tenants(bodies: Iterable[Any]) -> set[str]:
    """The tenants that bodies name, as far as they can be read; they are checked when they are parsed."""
    found: set[str] = set()
    for body in bodies:
        several = body.get("events") if isinstance(body, Mapping) and "type" not in body else body
        for one in several if isinstance(several, list) else (body,):
            tenant = one.get("tenant") if isinstance(one, Mapping) else None
            if isinstance(tenant, str) and 0 < len(tenant) <= 255 and tenant.isprintable():
                found.add(tenant)
    return found


def parse(body: Any, *, tenant: str | None, catalogue: Listings) -> Event:
    """One event, checked and completed from the catalogue. See `parse_many`."""
    if not isinstance(body, Mapping):
        raise InvalidInputError("", "must be a JSON object")
    try:
        taken = EventIn.model_validate(body)
    except ValidationError as error:
        raise first_problem(error) from None
    owner = _owner(taken.tenant, tenant)
    listing = catalogue(owner) if callable(catalogue) else catalogue
    event_type = listing.get(taken.type) or unlisted(taken.type)
    data, data_json = taken.data, data_text(taken.data)
    hidden = hide(data, event_type.secret) if event_type.secret else None
    if hidden is not None:
        data, data_json = hidden.data, canonical(hidden.data)
    recipients = None if taken.recipients is None else [_recipient(i, one) for i, one in enumerate(taken.recipients)]
    customer_id = None if taken.customer_id is None else str(taken.customer_id)
    send_at, expires_at = _storable("send_at", taken.send_at), _storable("expires_at", taken.expires_at)
    if send_at is not None and expires_at is not None and expires_at <= send_at:
        raise InvalidInputError("expires_at", "must be later than send_at")
    return Event(
        id=str(uuid7()),
        tenant=owner,
        type=taken.type,
        condition=Condition(taken.status),
        severity=Severity(taken.severity) if taken.severity else event_type.severity,
        data=data,
        data_json=data_json,
        fingerprint=fingerprint(
            tenant=owner,
            event_type=taken.type,
            branch=taken.branch,
            customer_id=customer_id,
            recipients=recipients,
            key=event_type.key,
            data=data if hidden is None else hidden.identity,
            data_json=data_json if hidden is None else canonical(hidden.identity),
            given=taken.fingerprint,
            send_at=None if send_at is None else send_at.isoformat(),
        ),
        dedupe_window=event_type.dedupe_window,
        occurred_at=_storable("occurred_at", taken.occurred_at) or datetime.now(UTC),
        branch=taken.branch,
        customer_id=customer_id,
        actor_id=taken.actor_id,
        recipients=recipients,
        expires_at=expires_at,
        send_at=send_at,
        attachments=_attachments(taken.attachments) if taken.attachments else None,
        sealed=None if hidden is None else hidden.sealed,
    )


def unlisted(name: str) -> EventType:
    """The defaults of a type that no catalogue lists: custom routes may reference any event (C-5)."""
    return EventType(name=name, group=re.split(r"[.:]", name, maxsplit=1)[0])


def first_problem(error: ValidationError) -> InvalidInputError:
    """The first thing that pydantic found wrong, as our error: the field, and what would be right."""
    # A union reports every member that did not fit; the deepest one is about what the sender meant.
    problem = max(error.errors(include_url=False, include_input=False), key=lambda one: _depth(one["loc"]))
    loc = [part for part in problem["loc"] if not (isinstance(part, str) and _is_union_tag(part))]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    return InvalidInputError(printable(field), _problem(problem), too_large=problem["type"] == "too_long")


def _depth(loc: Sequence[int | str]) -> int:
    return sum(1 for part in loc if not (isinstance(part, str) and _is_union_tag(part)))


def _is_union_tag(part: str) -> bool:
    return part == "RecipientIn" or part.startswith(("constrained-str", "function-"))


def _problem(problem: Any) -> str:
    match problem["type"]:
        case "extra_forbidden":
            return "is not a known field"
        case "missing":
            return "is required"
        case "literal_error":
            return f"must be {problem['ctx']['expected']}"
        case _:
            return in_words(problem["type"], str(problem["msg"]))


def in_words(kind: str, message: str) -> str:
    """What pydantic says about a value, without words that only Python knows. `kind` is its type of error."""
    match kind:
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be a JSON object"
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return "must be a whole number"
        case "uuid_parsing" | "uuid_type":
            return "must be a UUID"
        case "string_pattern_mismatch" | "string_unicode":
            return "has characters that are not allowed"
        case _:
            return message.replace("Input should", "must").replace("String should", "must")


def _owner(named: str | None, keys: str | None) -> str:
    if keys is None:
        if named is None:
            raise InvalidInputError("tenant", "is required")
        return named
    if named is not None and named != keys:
        raise InvalidInputError("tenant", "is not the tenant that this was published for; leave it out")
    return keys


def _recipient(index: int, one: str | RecipientIn) -> Any:
    if isinstance(one, str):
        return one
    named = one.model_dump(exclude_none=True)
    if not named.keys() & {"email", "phone", "telegram_chat_id", "whatsapp"}:
        raise InvalidInputError(f"recipients[{index}]", "must have email, phone, telegram_chat_id or whatsapp")
    return check_address(named, f"recipients[{index}]")


def _storable(field: str, moment: datetime | None) -> datetime | None:
    """In UTC. A year 1 or 9999 in a far time zone cannot be converted, nor stored."""
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise InvalidInputError(field, "is out of range") from None


def _attachments(given: Sequence[AttachmentIn]) -> list[dict[str, str]]:
    total = 0
    for index, one in enumerate(given):
        try:
            total += len(b64decode(one.content, validate=True))
        except (binascii.Error, ValueError):
            raise InvalidInputError(f"attachments[{index}].content", "is not base64") from None
        if total > MOST_ATTACHMENT_BYTES:
            raise InvalidInputError(
                "attachments", f"are larger than {MOST_ATTACHMENT_BYTES} bytes together", too_large=True
            )
    return [one.model_dump() for one in given]


assert [str(severity) for severity in SEVERITIES] == ["low", "medium", "high", "critical"]  # as EventIn has them
