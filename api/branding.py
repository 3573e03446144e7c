"""Branding: how a tenant looks in everything that it sends."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.access import Admin, Operator
from api.answers import Json
from api.body import JsonBody, OptionalJsonBody, described
from api.examples import MOMENT, answered, listed
from api.query import Page
from config.fields import Fields
from domain.errors import InvalidInputError
from models.scope import transaction_of
from pipeline.brand_body import parse_brand
from pipeline.brand_preview import EXAMPLE, preview
from pipeline.branding import get_brand, list_brands, put_brand, read_brands
from pipeline.render import RENDERED

router = APIRouter(tags=["branding"])

BRAND: Final = {
    "version": 3,
    "name": "Nordlicht Cloud",
    "logo_url": "https://static.nordlicht.example.org/logo.png",
    "logo_alt": "Nordlicht Cloud",
    "logo_width": 140,
    "logo_height": 32,
    "primary": "#0f766e",
    "background": "#f0fdfa",
    "text": "#134e4a",
    "footer": "Nordlicht Cloud GmbH, Hafenstraße 12, 10999 Berlin",
    "website": "https://www.nordlicht.example.org",
    "support": "help@nordlicht.example.org",
    "reply_to": "help@nordlicht.example.org",
    "set_by": "key:0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01",
    "created_at": MOMENT,
}
COLOUR: Final = {"type": ["string", "null"], "pattern": "^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$"}
WORDS: Final = {"type": ["string", "null"]}
VALUES: Final = {
    "name": {**WORDS, "maxLength": 60, "description": "The company's name, as recipients know it."},
    "logo_url": {**WORDS, "description": "A picture; https only."},
    "logo_alt": {**WORDS, "maxLength": 100, "description": "What it says where it is not shown."},
    "logo_width": {"type": ["integer", "null"], "minimum": 16, "maximum": 536, "description": "In pixels."},
    "logo_height": {"type": ["integer", "null"], "minimum": 0, "maximum": 200, "description": "0: as it comes."},
    "primary": {**COLOUR, "description": "Of buttons, links and the bar."},
    "background": {**COLOUR, "description": "Around the card."},
    "text": {**COLOUR, "description": "Of what is written."},
    "footer": {**WORDS, "maxLength": 500, "description": "Up to six lines at the end of every email."},
    "website": {**WORDS, "description": "A web address."},
    "support": {**WORDS, "description": "A web or email address."},
    "reply_to": {**WORDS, "description": "Where answers to emails go."},
}
BODY: Final = {"type": "object", "additionalProperties": False, "properties": VALUES}
PREVIEW_BODY: Final = {
    "type": "object",
    "properties": {
        "branding": {**BODY, "description": "What would be different; nothing of it is stored."},
        "event": {"type": "string", "description": f"A shipped event type, whose sample is shown; {EXAMPLE}."},
        "channel": {"enum": list(RENDERED)},
        "locale": {"type": ["string", "null"]},
    },
}
PREVIEW: Final = {
    "title": "Order SO-20418 received",
    "text": "Order SO-20418 received ...",
    "html": "<!doctype html>...",
}
EXAMPLES: Final = {
    "a company": {key: value for key, value in BRAND.items() if key in VALUES},
    "another colour, and no logo": {"primary": "#b45309", "logo_url": None},
}


@router.get("/v1/branding", responses=answered(BRAND))
def branding(caller: Operator) -> Response:
    """The branding in force. `version` is 0 when nothing was set."""
    with transaction_of(caller.tenant) as connection:
        found = get_brand(connection, tenant=caller.tenant)
    return Json(found)


@router.get("/v1/branding/versions", responses=listed("versions", BRAND))
def versions_of_branding(caller: Operator, query: Annotated[Page, Query()]) -> Response:
    """Every version that was ever in force, the newest first: deliveries name theirs."""
    with transaction_of(caller.tenant) as connection:
        found, following = list_brands(connection, tenant=caller.tenant, cursor=query.cursor, limit=query.limit)
    return Json({"versions": found, "next_cursor": following})


@router.put("/v1/branding", responses=answered(BRAND), openapi_extra=described(BODY, examples=EXAMPLES))
def change_branding(caller: Admin, body: JsonBody) -> Response:
    """Change how the tenant looks, in all templates and from the next message on.

    What the body does not name stays as it is; null is as shipped. Each change is a new version. Words stay readable in
    whatever colours are given: where the contrast is too low for WCAG AA, a near shade is used.
    """
    with transaction_of(caller.tenant) as connection:
        changed = put_brand(connection, tenant=caller.tenant, body=body, actor=caller.actor, remote=caller.remote)
    return Json(changed)


@router.post(
    "/v1/branding/preview",
    responses=answered(PREVIEW),
    openapi_extra=described(
        PREVIEW_BODY,
        required=False,
        examples={"another colour": {"branding": {"primary": "#b45309"}, "event": "provisioning.completed"}},
    ),
)
def preview_branding(caller: Operator, body: OptionalJsonBody) -> Response:
    """What a sample event looks like in this branding, with the changes that the body names. Nothing is stored."""
    fields = Fields({} if body is None else body, "", ("branding", "event", "channel", "locale"))
    with transaction_of(caller.tenant) as connection:
        brand = read_brands(connection, [caller.tenant])[caller.tenant]
    try:
        changed = parse_brand(fields.raw("branding") or {}, brand)
    except InvalidInputError as error:
        raise error.within("branding") from None
    shown = preview(
        tenant=caller.tenant,
        brand=changed,
        event=fields.text("event", EXAMPLE),
        channel=fields.text("channel", "email"),
        locale=fields.text("locale", "") or None,
    )
    return Json({"title": shown.title, "text": shown.text, "html": shown.html})
