"""Templates of tenants' own: drafts, versions, and which of them is in force."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import Admin, Operator
from api.answers import Json, nothing
from api.body import JsonBody, OptionalJsonBody, described
from api.errors import not_found
from api.examples import answered, listed
from api.query import Page
from api.template_examples import BODY, DRAFT, NAMED, PATH, PUBLISH_BODY, SUMMARY, TEMPLATE, VERSION, WORDS, Locale
from api.template_trials import tried
from config.fields import Fields
from models.scope import transaction_of
from pipeline import templates
from pipeline.template_body import check_place, check_whole, read_body
from pipeline.template_trial import read_background

router = APIRouter(tags=["templates"])


@router.get("/v1/templates", responses=listed("templates", SUMMARY))
def list_of_templates(caller: Operator, query: Annotated[Page, Query()]) -> Response:
    """The templates of which the tenant has versions of its own, and which of them are in force."""
    with transaction_of(caller.tenant) as connection:
        found, following = templates.list_templates(
            connection, tenant=caller.tenant, cursor=query.cursor, limit=query.limit
        )
    return Json({"templates": found, "next_cursor": following})


@router.get(PATH, responses=answered(TEMPLATE))
def one_template(caller: Operator, event: str, channel: str, locale: Locale = None) -> Response:
    """The template in force, the shipped one where the tenant has none of its own, and all versions."""
    place = check_place(event, channel, locale)
    with transaction_of(caller.tenant) as connection:
        return Json(templates.get_template(connection, tenant=caller.tenant, place=place))


@router.get(f"{PATH}/versions/{{number}}", responses=answered({**NAMED, **VERSION, "body": WORDS, "fallback": False}))
def one_version(
    caller: Operator, event: str, channel: str, number: Annotated[int, Field(ge=1)], locale: Locale = None
) -> Response:
    """A version with its words."""
    place = check_place(event, channel, locale)
    with transaction_of(caller.tenant) as connection:
        found = templates.get_version(connection, tenant=caller.tenant, place=place, number=_number(number))
    if found is None:
        raise not_found("version")
    return Json(found)


@router.put(PATH, responses=answered(DRAFT), openapi_extra=described(BODY, examples={"an email": WORDS}))
def save_template(caller: Admin, event: str, channel: str, body: JsonBody, locale: Locale = None) -> Response:
    """Save a version as a draft; it is tried with the samples of the type and in force once it is published.

    What cannot be rendered is refused with part, line and reason. `warnings` name fields that no sample has.
    """
    place = check_place(event, channel, locale)
    given_body = check_whole(place[1], read_body(place[1], body))
    with transaction_of(caller.tenant) as connection:
        background = read_background(connection, caller.tenant, event)
    trial = tried(place, given_body.parts, background.cases, background, strict=bool(background.samples))
    with transaction_of(caller.tenant) as connection:
        draft = templates.save_draft(
            connection, tenant=caller.tenant, place=place, body=given_body, actor=caller.actor, remote=caller.remote
        )
    return Json({**draft, "warnings": trial.warnings})


@router.post(
    f"{PATH}/publish",
    responses=answered(TEMPLATE),
    openapi_extra=described(PUBLISH_BODY, examples={"one": {"version": 1}}),
)
def publish_template(
    caller: Admin, event: str, channel: str, body: OptionalJsonBody, locale: Locale = None
) -> Response:
    """Put a version in force, the newest unless one is named; every process uses it within a second."""
    place = check_place(event, channel, locale)
    number = templates.check_number(Fields({} if body is None else body, "", ("version",)).raw("version"))
    with transaction_of(caller.tenant) as connection:
        found = templates.publish(
            connection, tenant=caller.tenant, place=place, number=number, actor=caller.actor, remote=caller.remote
        )
    if found is None:
        raise not_found("version")
    return Json(found)


@router.post(f"{PATH}/rollback", responses=answered(TEMPLATE))
def roll_template_back(caller: Admin, event: str, channel: str, locale: Locale = None) -> Response:
    """Put the version in force again that was before; before the first it was the shipped template."""
    place = check_place(event, channel, locale)
    with transaction_of(caller.tenant) as connection:
        found = templates.roll_back(
            connection, tenant=caller.tenant, place=place, actor=caller.actor, remote=caller.remote
        )
    if found is None:
        raise not_found("template of your own in force")
    return Json(found)


@router.delete(PATH, status_code=204)
def remove_template(caller: Admin, event: str, channel: str, locale: Locale = None) -> Response:
    """Go back to the shipped template; the versions stay and can be published again."""
    place = check_place(event, channel, locale)
    with transaction_of(caller.tenant) as connection:
        known = templates.remove(
            connection, tenant=caller.tenant, place=place, actor=caller.actor, remote=caller.remote
        )
    if not known:
        raise not_found("template of your own in force")
    return nothing()


def _number(number: int) -> int:
    if number >= 2**31:
        raise not_found("version")
    return number
