"""Templates tried out: previews, and tests that are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from api.access import Admin, Caller, Operator
from api.answers import Json
from api.body import JsonBody, OptionalJsonBody, described
from api.errors import Problem, invalid, not_found
from api.examples import answered
from api.template_examples import PATH, PREVIEW, PREVIEW_BODY, SENT, TEST_BODY, WORDS, Locale
from config.fields import Fields, check_list
from models.scope import transaction_of
from pipeline import template_sending, templates
from pipeline.custom import SandboxAwayError
from pipeline.identifiers import check_uuid
from pipeline.looks import read_looks
from pipeline.published import Place
from pipeline.render import Content
from pipeline.template_body import check_locale, check_place, check_whole, read_body
from pipeline.template_trial import (
    Background,
    Happened,
    Trial,
    given,
    happened,
    read_background,
    shipped_words,
    try_out,
)
from tasks.bells import ring_deliveries

router = APIRouter(tags=["templates"])

MOST_LOCALES: Final = 10


@router.post(
    f"{PATH}/preview",
    responses=answered(PREVIEW),
    openapi_extra=described(
        PREVIEW_BODY,
        examples={
            "words, with the samples": WORDS,
            "other data, two languages": {**WORDS, "data": {"host": "a.example.org"}, "locales": ["en", "de"]},
        },
    ),
)
def preview_template(
    caller: Operator, event: str, channel: str, body: OptionalJsonBody, locale: Locale = None
) -> Response:
    """What a template says of an event, without saving or sending anything; by default the one in force.

    One preview for each of the `locales`, of the first sample of the type unless `data` or `event_id` is given.
    """
    place = check_place(event, channel, locale)
    fields = ("data", "event_id", "locales", "version")
    body = {} if body is None else body
    words = read_body(place[1], body, *fields)
    locales = _locales(body.get("locales"), place)
    with transaction_of(caller.tenant) as connection:
        background = read_background(connection, caller.tenant, event)
        what = _what(connection, background, body)
        said: list[tuple[Place, Mapping[str, str]]] = [(place, words.parts)] * len(locales)
        if not words.parts:
            said = _stored(connection, caller, place, body.get("version"), locales)
    if words.parts:
        check_whole(place[1], words)
    trials = [
        tried(where, parts, [what], background, locale=each) if parts else None
        for each, (where, parts) in zip(locales, said, strict=True)
    ]
    contents = [
        trial.contents[0] if trial else shipped_words(place, what, background, each)
        for each, trial in zip(locales, trials, strict=True)
    ]
    shown = [_shown(each, content) for each, content in zip(locales, contents, strict=True)]
    return Json({"previews": shown, "warnings": next((trial.warnings for trial in trials if trial), [])})


@router.post(
    f"{PATH}/test",
    responses=answered(SENT, 202),
    status_code=202,
    openapi_extra=described(TEST_BODY, examples={"to an address": {"to": {"email": "ana@example.org"}}}),
)
def send_template(caller: Admin, event: str, channel: str, body: JsonBody, locale: Locale = None) -> Response:
    """Send a version to somebody for a look, the newest unless one is named, the shipped one where there is none.

    It is an event and a delivery like any other, on this channel only, whatever the recipient's preferences are.
    """
    place = check_place(event, channel, locale)
    fields = Fields(body, "", ("to", "version", "data", "event_id"))
    to = template_sending.read_recipient(place[1], fields.required("to"))
    number = templates.check_number(fields.raw("version"))
    with transaction_of(caller.tenant) as connection:
        version = templates.find_version(connection, tenant=caller.tenant, place=place, number=number)
        if version is None and number is not None:
            raise not_found("version")
        background = read_background(connection, caller.tenant, event)
        sent = template_sending.send_test(
            connection,
            tenant=caller.tenant,
            place=place,
            version=version,
            to=to,
            what=_what(connection, background, body),
            background=background,
            actor=caller.actor,
            remote=caller.remote,
        )
    ring_deliveries(place[1], sent["deliveries"])
    return Json(sent, 202)


def _locales(listed: Any, place: Place) -> list[str | None]:
    """The languages of a preview; the template's own when none is named."""
    if not listed:
        return [place[2] or None]
    return [check_locale(one, at) or None for at, one in check_list(listed, "locales", length=MOST_LOCALES)]


def _what(connection: Connection, background: Background, body: Any) -> Happened:
    """What a template is filled with: the event or the data that was named, else a sample."""
    if body.get("event_id") is not None:
        if body.get("data") is not None:
            raise invalid("event_id", "cannot be given beside data")
        event_id = check_uuid(body["event_id"], "event_id")
        found = happened(connection, background, event_id)
        if found is None:
            raise not_found(f"event of the type {background.listed.name}")
        return found
    if body.get("data") is not None:
        return given(background, body["data"])
    return background.cases[0]


def _stored(
    connection: Connection, caller: Caller, place: Place, version: object, locales: list[str | None]
) -> list[tuple[Place, Mapping[str, str]]]:
    """For each language, the words of a version, or of the template in force for it; none for the shipped one."""
    number = templates.check_number(version)
    if number is None:
        look = read_looks(connection, {caller.tenant: 0})[caller.tenant]
        found = [look.own(place[0], place[1], each) for each in locales]
        return [(place if one is None else (*place[:2], one.locale), one.body if one else {}) for one in found]
    named = templates.find_version(connection, tenant=caller.tenant, place=place, number=number)
    if named is None:
        raise not_found("version")
    return [(place, named.body)] * len(locales)


def tried(
    place: Place,
    parts: Any,
    what: list[Happened],
    background: Background,
    *,
    locale: str | None = None,
    strict: bool = True,
) -> Trial:
    """What came of a trial. Raises Problem 503 when it cannot be made at the moment, InvalidInputError on a flaw."""
    try:
        return try_out(place, parts, what, background, locale=locale, strict=strict)
    except SandboxAwayError:
        detail = "Templates cannot be tried at the moment; please try again."
        raise Problem(503, "bellwire.sandbox_away", detail, headers={"Retry-After": "5"}) from None


def _shown(locale: str | None, content: Content) -> dict[str, Any]:
    return {
        "locale": locale,
        "title": content.title,
        "text": content.text,
        "html": content.html,
        "link_url": content.link_url,
    }
