"""Turns an event into what one person reads on one channel."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from jinja2 import Template, TemplateError, TemplateSyntaxError

from channels.text_of_html import text_of_html
from config.settings import settings
from domain.brand import DEFAULT_BRAND, Brand
from domain.vocabulary import Severity
from pipeline import whatsapp, wording
from pipeline.faces import SHIPPED, Faces, run
from pipeline.fit import and_more, in_one_line, lines_within, picture, plain_values, text_message, tidy, whole_lines
from pipeline.language import ENGLISH, SPOKEN, Language
from pipeline.sentences import gettext

SUBJECT_LENGTH: Final = 200  # characters; mail programs show some 70
IN_APP_LENGTH: Final = 1000
PUSH_TITLE: Final = 60  # characters; phones show about that much of it
PUSH_BODY: Final = 180
PARAMETER_LENGTH: Final = 700  # characters; with the title below the 1024 that WhatsApp takes for a whole template
MOST_TITLES: Final = 20  # of what was folded into this one
_READ_IN_THE_INBOX: Final = frozenset({"digest"})  # templates whose link says what is found in the inbox

_WEB: Final = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)
_PATH: Final = re.compile(r"/(?![/\\])[^\s<>\"'\\]*")


@dataclass(frozen=True, slots=True)
class EventView:
    """What a template may know of the event itself. `title` is the catalogue's sentence with its ``{field}`` places."""

    id: str
    type: str
    severity: Severity
    occurred_at: datetime
    status: str = "firing"
    branch: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """What a template may know of the recipient."""

    id: str | None = None
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a template may name.

    Attributes:
        link: where the notification can be read, below the public URL; None when there is no such place.
        secret: fields of `data` that only the email shows.
        unsubscribe_url, preferences_url, acknowledge_url: shown by emails where they are set.
        more: the titles of what was folded into this one, at most 20; `more_count`: how many there are.
        brand: how the tenant looks; its name stands for the tenant's.
    """

    event: EventView
    data: Mapping[str, Any]
    tenant: str
    user: Person | None = None
    link: str | None = None
    secret: tuple[str, ...] = ()
    unsubscribe_url: str | None = None
    acknowledge_url: str | None = None
    preferences_url: str | None = None
    more: tuple[str, ...] = ()
    more_count: int = 0
    brand: Brand = DEFAULT_BRAND


@dataclass(frozen=True, slots=True)
class Content:
    """What is said.

    Attributes:
        title: one line.
        text: plain; for Telegram MarkdownV2, for WhatsApp with its marks. For an email whose kind has HTML only it is
            made from that.
        html: for email only.
        parameters: for WhatsApp, what fills the places of the approved template: title and text, each one line.
        image: for push and WhatsApp, an https address.
        data: for push, what an app is told beside the words: no secrets, plain values only, at most 2 KB.
        button: for Telegram, what the button that acknowledges says.
    """

    title: str | None
    text: str
    html: str | None = None
    link_url: str | None = None
    link_text: str | None = None
    parameters: tuple[str, ...] = ()
    image: str | None = None
    data: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    button: str = ""


class RenderError(Exception):
    """A template is wrong. `reason` names no value of the event, which may be secret."""

    def __init__(self, template: str, line: int | None, reason: str) -> None:
        super().__init__(f"templates/{template}{f':{line}' if line else ''}: {reason}")
        self.template = template
        self.line = line
        self.reason = reason


class OwnFaces(Protocol):
    """A tenant's own faces of one channel; they come before those of a folder."""

    def has(self, name: str) -> bool | None:
        """Whether there is a face `name`; None where the folder's is to be taken."""

    def run(self, name: str, values: Mapping[str, Any]) -> str:
        """The face `name`. Raises RenderError."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A folder of faces, and what a tenant has in their place."""

    faces: Faces
    template: str
    language: Language
    own: OwnFaces | None = None

    def run(self, name: str, values: Mapping[str, Any]) -> str:
        """The face `name`, its own or the default's."""
        if self.own is not None and self.own.has(name):
            return self.own.run(name, values)
        return self._run(self.faces.face_or_default(self.template, name, self.language), values)

    def run_own(self, name: str, values: Mapping[str, Any]) -> str | None:
        """The face `name`, None when the folder has none of its own."""
        if self.own is not None and self.own.has(name):
            return self.own.run(name, values)
        face = self.faces.face(self.template, name, self.language)
        return self._run(face, values) if face else None

    def has(self, name: str) -> bool:
        """Whether the folder has the face `name` of its own."""
        own = None if self.own is None else self.own.has(name)
        return own if own is not None else self.faces.face(self.template, name, self.language) is not None

    def _run(self, face: Template, values: Mapping[str, Any]) -> str:
        try:
            return run(face, values)
        except Exception as error:
            # Whatever a template does wrong is said in the same way. Jinja's own, slower way of rendering counts lines.
            try:
                return face.render(values)
            except Exception as again:
                raise _render_error(self.faces.folder, face.name or "?", again) from error


def render(
    channel: str,
    template: str,
    context: Context,
    faces: Faces = SHIPPED,
    own: OwnFaces | None = None,
    words: str = "",
) -> Content:
    """What `context` says on `channel` in the words of `template`; a face that it lacks is that of ``default``.

    `own`: a tenant's faces, which come first; `words`: the locale that they are written for.

    Raises:
        RenderError: a template is wrong, or nothing is rendered for `channel` (a webhook carries data, not words).
    """
    make = _CHANNELS.get(channel)
    if make is None:
        raise RenderError(template, None, f"nothing is rendered for the channel {channel}")
    person = context.user
    language = faces.languages.of(person.locale, person.time_zone, words) if person else ENGLISH
    before = SPOKEN.set(language)
    try:
        return make(_Kind(faces, template, language, own), context)
    except TemplateError as error:  # found while it was looked up
        raise _render_error(faces.folder, template, error) from error
    finally:
        SPOKEN.reset(before)


def _email(kind: _Kind, context: Context) -> Content:
    values = _values(kind, context, context.data)
    html = kind.run("email.html", values)
    has_html_only = kind.has("email.html") and not kind.has("email.txt")
    text = text_of_html(html) if has_html_only else tidy(kind.run("email.txt", values))
    return Content(values["title"], text, html, values["link_url"], values["link_text"])


def _telegram(kind: _Kind, context: Context) -> Content:
    values = _values(kind, context, wording.mask(context.data, context.secret))
    text = whole_lines(tidy(kind.run("telegram.md", values)))
    button = wording.sentence("Acknowledge")
    return Content(values["title"], text, None, values["link_url"], values["link_text"], button=button)


def _in_app(kind: _Kind, context: Context) -> Content:
    values = _short(kind, context)
    path = values["data"].get("link_url")
    if isinstance(path, str) and _PATH.fullmatch(path):  # the platform's own pages: /chat/room/456
        return Content(values["title"], values["short"], None, path, _link_text(kind, values["data"]))
    return Content(values["title"], values["short"], None, values["link_url"], values["link_text"])


def _sms(kind: _Kind, context: Context) -> Content:
    values = _short(kind, context)
    title = values["title"]
    spare = title if title.casefold() == wording.label(context.event.type).casefold() else ""  # it names the type only
    said = kind.run("sms.txt", values)
    text = text_message(said, values["link_url"], settings().sms_segments, spare, context.brand.name)
    return Content(values["title"], text, None, values["link_url"], values["link_text"])


def _push(kind: _Kind, context: Context) -> Content:
    values = _short(kind, context)
    return Content(
        and_more(values["headline"], values["more_count"], PUSH_TITLE),
        lines_within(_body(kind, "push.txt", values), PUSH_BODY),
        link_url=values["link_url"],
        link_text=values["link_text"],
        image=picture(context.data, context.secret),
        data=plain_values(context.data, context.secret),
    )


def _whatsapp(kind: _Kind, context: Context) -> Content:
    values = _short(kind, context)
    link = values["link_url"]
    said = in_one_line(values["short"], PARAMETER_LENGTH) or wording.label(context.event.type)
    linked = f"{said} {link}" if link and len(said) + len(link) < PARAMETER_LENGTH else said
    return Content(
        values["title"],
        whole_lines(tidy(kind.run("whatsapp.txt", values))),
        link_url=link,
        link_text=values["link_text"],
        parameters=(whatsapp.escape(values["title"]), whatsapp.escape(linked)),
        image=picture(context.data, context.secret),
    )


def _apprise(kind: _Kind, context: Context) -> Content:
    values = _short(kind, context)
    text = whole_lines(_body(kind, "apprise.txt", values))
    return Content(values["title"], text, None, values["link_url"], values["link_text"])


_CHANNELS: Final[Mapping[str, Callable[[_Kind, Context], Content]]] = {
    "email": _email,
    "telegram": _telegram,
    "in_app": _in_app,
    "sms": _sms,
    "push": _push,
    "whatsapp": _whatsapp,
    "apprise": _apprise,
}
RENDERED: Final = tuple(_CHANNELS)


def _short(kind: _Kind, context: Context) -> dict[str, Any]:
    """What the short faces are rendered with: no secrets, and as `short` what the inbox says below the title."""
    values = _values(kind, context, wording.mask(context.data, context.secret))
    values["short"] = wording.cut(kind.run("in_app.txt", values).strip(), IN_APP_LENGTH)
    return values


def _body(kind: _Kind, name: str, values: Mapping[str, Any]) -> str:
    """The face `name`, else what happened: these channels show the title apart and refuse an empty text."""
    return tidy(kind.run(name, values)) or wording.label(values["event"].type)


def _values(kind: _Kind, context: Context, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the faces of one notification are rendered with."""
    given = data.get("link_url")
    is_theirs = isinstance(given, str) and _WEB.fullmatch(given) is not None
    values: dict[str, Any] = {
        "event": context.event,
        "data": data,
        "user": context.user,
        "language": kind.language.tag,
        "tenant": context.brand.name or context.tenant,
        "brand": context.brand.shown,
        "resolved": context.event.status == "resolved",
        "link_url": given if is_theirs else context.link,
        "unsubscribe_url": context.unsubscribe_url,
        "acknowledge_url": context.acknowledge_url,
        "preferences_url": context.preferences_url,
        "more": [wording.one_line(title, SUBJECT_LENGTH) for title in context.more[:MOST_TITLES]],
        "more_count": max(context.more_count, len(context.more)),
    }
    # A title is shown in lists, previews and logs of mail servers, so it has no secret in the email either.
    shown = wording.mask(data, context.secret)
    values["headline"] = _headline(kind, context.event, shown, {**values, "data": shown})
    values["title"] = and_more(values["headline"], values["more_count"], SUBJECT_LENGTH)
    is_said = is_theirs or kind.template in _READ_IN_THE_INBOX
    values["link_text"] = _link_text(kind, data) if is_said else wording.sentence("Open notification")
    return values


def _headline(kind: _Kind, event: EventView, data: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    own = wording.one_line(kind.run_own("title.txt", values) or "", SUBJECT_LENGTH)
    title = own or wording.one_line(wording.headline(wording.sentence(event.title), event.type, data), SUBJECT_LENGTH)
    if event.status == "resolved":
        return wording.cut(gettext("Resolved: %(title)s", title=title), SUBJECT_LENGTH)
    return title


def _link_text(kind: _Kind, data: Mapping[str, Any]) -> str:
    """What the link that an event brings along says: who reads "Pay now" and lands in an inbox was told wrong."""
    given = data.get("link_text")
    if isinstance(given, str) and given.strip():
        return wording.one_line(wording.words(given), 60)
    own = kind.faces.link_text(kind.template)
    return wording.sentence(own) if own else wording.sentence("View details")


def _render_error(folder: Path, name: str, error: Exception) -> RenderError:
    """`error` with the line of the innermost template that it passed through."""
    if isinstance(error, TemplateSyntaxError):
        return RenderError(error.name or name, error.lineno, error.message or "cannot be compiled")
    line = None
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(folder):
            name, line = path.relative_to(folder).as_posix(), frame.lineno
    reason = str(error) if isinstance(error, TemplateError) else f"raised {type(error).__name__}"
    return RenderError(name, line, reason)
