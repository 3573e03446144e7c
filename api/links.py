"""Pages behind the links in messages: unsubscribe and acknowledge. GET changes nothing, POST acts without a login."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import InternationalizationExtension

from api.body import read_body
from api.language import Asked
from models.scope import transaction_of
from pipeline.acknowledge import MOST_NOTE
from pipeline.acknowledge_link import Told, acknowledge_by_link, read_told
from pipeline.inbox_reading import unread
from pipeline.language import SPOKEN, speaking
from pipeline.links import ExpiredLinkError, LinkError, read_acknowledge, read_unsubscribe
from pipeline.unsubscribe import Offer, offer, unsubscribe
from pipeline.wording import label, moment, sentence
from tasks.live import show_acknowledged, show_unread

# They are for people and for mailbox providers, not for programs that call us: docs/unsubscribe.md describes them.
router = APIRouter(include_in_schema=False)

MOST_FORM_BYTES: Final = 16 * 1024
LOOK: Final = ["GET", "HEAD"]

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form of ours. Any other body means no more than that it was sent (RFC 8058, section 3.2)."""
    body = await read_body(request, MOST_FORM_BYTES)
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=20, errors="replace"))
    except ValueError:
        return {}


Form = Annotated[dict[str, str], Depends(_form)]


@router.api_route("/u/{token}", methods=LOOK)
def show_unsubscribe(token: str, asked: Asked) -> Response:
    """Who would get no more of what, and a button. Changes nothing: mail scanners follow every link."""
    with speaking(asked):
        try:
            link = read_unsubscribe(token)
        except LinkError:
            return _unknown()
        with transaction_of(link.tenant) as connection:
            found = offer(connection, link)
        return _unsubscribe_page(found, done=False, whole_group=False)


@router.post("/u/{token}")
def follow_unsubscribe(request: Request, token: str, form: Form, asked: Asked) -> Response:
    """Unsubscribe at once (RFC 8058), as often as it is asked. ``scope=group``: from the event's whole group."""
    with speaking(asked):
        try:
            link = read_unsubscribe(token)
        except LinkError:
            return _unknown()
        whole_group = form.get("scope") == "group"
        with transaction_of(link.tenant) as connection:
            unsubscribe(connection, link, whole_group=whole_group, remote=_remote(request))
            found = offer(connection, link)
        return _unsubscribe_page(found, done=True, whole_group=whole_group)


@router.api_route("/a/{token}", methods=LOOK)
def show_acknowledge(token: str, asked: Asked) -> Response:
    """What would be acknowledged, and a button; or who has. Changes nothing."""
    with speaking(asked):
        try:
            link = read_acknowledge(token)
        except LinkError as error:
            return _expired() if isinstance(error, ExpiredLinkError) else _unknown()
        with transaction_of(link.tenant) as connection:
            told = read_told(connection, link)
        return _acknowledge_page(told, just_now=False)


@router.post("/a/{token}")
def follow_acknowledge(request: Request, token: str, form: Form, asked: Asked) -> Response:
    """Acknowledge in the name of whom the message told."""
    with speaking(asked):
        try:
            link = read_acknowledge(token)
        except LinkError as error:
            return _expired() if isinstance(error, ExpiredLinkError) else _unknown()
    # Browsers count a line break as one character and send two.
    note = form.get("note", "").replace("\r\n", "\n").strip() or None
    with transaction_of(link.tenant) as connection:
        told, taken = acknowledge_by_link(connection, link, note=note, remote=_remote(request))
        reader = told.user_id if told is not None and taken is not None else None
        count = 0 if reader is None else unread(connection, tenant=link.tenant, user_id=reader)
    if taken is not None:
        show_acknowledged(link.tenant, taken)
    if reader is not None:
        show_unread(link.tenant, reader, count)  # who takes it has read it
    with speaking(asked):
        return _acknowledge_page(told, just_now=taken is not None)


def _unsubscribe_page(found: Offer, *, done: bool, whole_group: bool) -> Response:
    return _page(
        "unsubscribe.html",
        tenant=found.tenant,
        tone="good" if done else "",
        who=found.who,
        event=found.event,
        group=found.group,
        messages=_messages(found.channel),
        done=done,
        whole_group=whole_group and found.group is not None,
    )


def _messages(channel: str) -> str:
    said = {
        "email": sentence("emails"),
        "sms": sentence("text messages"),
        "push": sentence("push notifications"),
        "telegram": sentence("Telegram messages"),
        "whatsapp": sentence("WhatsApp messages"),
    }
    return said.get(channel) or sentence("messages")


def _acknowledge_page(told: Told | None, *, just_now: bool) -> Response:
    if told is None:
        words = sentence("The notification was deleted, so there is nothing to acknowledge.")
        return _nothing(404, sentence("This is no more"), words)
    tone = "good" if told.taken_by else told.severity
    return _page("acknowledge.html", tenant=told.tenant, tone=tone, told=told, just_now=just_now, longest=MOST_NOTE)


def _unknown() -> Response:
    """The same for a forged link, for a part of one, and for one that is good for something else."""
    words = sentence("It may have been cut off. Please open it from the message again.")
    return _nothing(404, sentence("This link does not work"), words)


def _expired() -> Response:
    words = sentence("Acknowledge the notification in your inbox instead.")
    return _nothing(410, sentence("This link has expired"), words)


def _nothing(status: int, heading: str, words: str) -> Response:
    return _page("nothing.html", status, tenant=None, tone="", heading=heading, words=words)


def _page(name: str, status: int = 200, **values: Any) -> Response:
    body = _pages().get_template(name).render(values, language=SPOKEN.get().tag)
    return Response(body, status, {**HEADERS, "Content-Security-Policy": _policy()}, media_type="text/html")


@cache
def _pages() -> Environment:
    folder = FileSystemLoader(Path(__file__).with_name("pages"))
    made = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"label": label, "moment": moment}
    made.add_extension(InternationalizationExtension)
    # Unlike those of messages, these sentences may hold tags, which translations repeat; values are escaped.
    made.install_gettext_callables(sentence, _counted, newstyle=True)  # type: ignore[attr-defined]
    return made


def _counted(singular: str, plural: str, number: int) -> str:
    return SPOKEN.get().counted(singular, plural, number)


@cache
def _policy() -> str:
    """Nothing but the page's own style and its own form."""
    page = Path(__file__).with_name("pages").joinpath("base.html").read_text(encoding="utf-8")
    style = page.split("<style>", 1)[1].split("</style>", 1)[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def _remote(request: Request) -> str | None:
    return request.client.host if request.client else None
