"""What requests for templates and the answers to them look like, for the API's description."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query

from api.examples import EVENT_ID, MOMENT
from api.query import Optional

PATH: Final = "/v1/templates/{event}/{channel}"
Locale = Annotated[
    Optional, Query(description="The recipients' language, `de` or `de-AT`; without it, the template is for all.")
]

WORDS: Final = {
    "subject": "{{ data.host }} needs you",
    "html": '{% extends "base" %}{% block content %}<p class="ink paragraph">{{ data.error }}</p>{% endblock %}',
    "text": None,
}
VERSION: Final = {
    "id": "0192f0c1-6d42-7b88-9c45-4a5b6c7d8e9f",
    "version": 2,
    "state": "published",
    "created_by": "key:0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01",
    "created_at": MOMENT,
}
NAMED: Final = {"event": "ssl_failure", "channel": "email", "locale": "de"}
TEMPLATE: Final = {
    **NAMED,
    "own": True,
    "published": 2,
    "published_by": "key:0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01",
    "published_at": MOMENT,
    "body": WORDS,
    "fallback": False,
    "versions": [VERSION],
}
WARNING: Final = {"part": "html", "line": 1, "reason": "names data.hots, which no sample has"}
DRAFT: Final = {**NAMED, **VERSION, "state": "draft", "body": WORDS, "fallback": False, "warnings": [WARNING]}
PREVIEW: Final = {
    "previews": [
        {
            "locale": "de",
            "title": "shop.example.org needs you",
            "text": "The certificate of shop.example.org is not valid.",
            "html": "<!doctype html>...",
            "link_url": None,
        }
    ],
    "warnings": [WARNING],
}
SENT: Final = {"event_id": EVENT_ID, "version": 2, "deliveries": ["0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"]}
SUMMARY: Final = {**NAMED, "published": 2, "newest": 3, "versions": 3}
TEXT: Final = {"type": ["string", "null"]}
PARTS_BODY: Final = {
    "subject": {**TEXT, "description": "Of an email; what it says becomes one line."},
    "html": {**TEXT, "description": "Of an email; CSS is written onto the elements."},
    "text": {**TEXT, "description": "Of anything but an email, where it is made from the HTML if it is missing."},
    "title": {**TEXT, "description": "Of anything but an email; one line; if it is missing, the shipped one."},
    "fallback": {"type": "boolean", "description": "Use the shipped template where this one cannot be rendered."},
}
BODY: Final = {"type": "object", "properties": PARTS_BODY}
FILLED: Final = {
    "data": {"type": ["object", "null"], "description": "The data of an event; without it, the samples of the type."},
    "event_id": {**TEXT, "description": "An event of the same type that has happened; its secrets are dots."},
}
PREVIEW_BODY: Final = {
    "type": "object",
    "properties": {
        **PARTS_BODY,
        **FILLED,
        "version": {"type": ["integer", "null"], "description": "A version instead of words."},
        "locales": {"type": ["array", "null"], "items": {"type": "string"}},
    },
}
TEST_BODY: Final = {
    "type": "object",
    "required": ["to"],
    "properties": {
        "to": {
            "type": "object",
            "description": '`{"user": "u1"}`, or an address on this channel: `email`, `phone` ...',
        },
        "version": {"type": ["integer", "null"], "description": "The newest if it is missing."},
        **FILLED,
    },
}
PUBLISH_BODY: Final = {"type": "object", "properties": {"version": {"type": ["integer", "null"]}}}
