"""A notification by hand, for those who build a client: through the whole path, and only where that was switched on."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from api.access import Admin, revoked
from api.answers import Json
from api.body import JsonBody, described
from api.errors import not_found
from api.examples import answered
from api.publishing import submit
from config.settings import settings
from pipeline.envelope import TypeName, Word, first_problem, parse
from pipeline.event_types import EventTypes
from pipeline.intake import Refusal, Submission

router = APIRouter(tags=["development"])

ANSWER: Final = {"message": "Notification sent to all connected users"}

EXAMPLE: Final = {
    "type": "chat",
    "event": "message_received",
    "title": "New message",
    "content": "Ada wrote to you.",
    "customer_id": None,
    "user_ids": ["u1"],
    "rec_type": "chat",
    "rec_id": "42",
}


class TriggerIn(BaseModel):
    """What is to be told, to whom."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[Word | None, Field(description="The heading that the client expects; the catalogue decides.")] = (
        None
    )
    event: TypeName
    title: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
    content: Annotated[str, StringConstraints(strict=True, max_length=2000)] = ""
    customer_id: Annotated[str | None, Field(description="A UUID.")] = None
    user_ids: Annotated[list[Word], Field(min_length=1, max_length=1000)]
    rec_type: Annotated[Word | None, Field(description="With `rec_id`: links to `/{rec_type}/{rec_id}`.")] = None
    rec_id: Word | int | None = None


def _switched_on() -> None:
    if not settings().enable_test_endpoints:
        raise not_found("address")


@router.post(
    "/v1/notifications/trigger",
    dependencies=[Depends(_switched_on)],
    responses=answered(ANSWER),
    openapi_extra=described(TriggerIn.model_json_schema(), examples={"a message": EXAMPLE}),
)
async def trigger_notification(request: Request, caller: Admin, body: JsonBody) -> Response:
    """Tell users something, for trying out a client: an event of that name with these words, on the way of any other.

    There is no such address unless `BELLWIRE_ENABLE_TEST_ENDPOINTS` is on. The same again is told again. The users'
    preferences hold, and a template of the event may say it in words of its own.
    """
    made = _event(body)

    async def read(types: EventTypes) -> Submission:
        return Submission([parse(made, tenant=caller.tenant, catalogue=types)], caller.key_id)

    if await submit(request, caller, read, len(str(made))) is Refusal.REVOKED:
        raise revoked(request)
    return Json(ANSWER)


def _event(body: Any) -> dict[str, Any]:
    try:
        given = TriggerIn.model_validate(body)
    except ValidationError as error:
        raise first_problem(error) from None
    data = {"title": given.title, "content": given.content, "rec_type": given.rec_type, "rec_id": given.rec_id}
    if given.rec_type is not None and given.rec_id is not None:
        data["link_url"] = f"/{quote(given.rec_type, safe='')}/{quote(str(given.rec_id), safe='')}"
    return {
        "type": given.event,
        "customer_id": given.customer_id,
        "recipients": given.user_ids,
        "data": {name: value for name, value in data.items() if value is not None},
        "fingerprint": str(uuid4()),  # never the same issue twice
    }
