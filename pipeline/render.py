"""Turns an event into what one person reads on one channel."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, Final

from jinja2 import Template, TemplateError, TemplateSyntaxError

from config.catalogue import TEMPLATES
from domain.vocabulary import Severity
from pipeline import wording
from pipeline.faces import face, face_or_default, link_text, run

SUBJECT_LENGTH: Final = 200  # characters; mail programs show some 70
IN_APP_LENGTH: Final = 1000
TELEGRAM_LENGTH: Final = (
    4096  # UTF-16 units, counted by Telegram without the escapes; with them we are on the safe side
)
LINK_TEXT: Final = "View details"

_BLANK_LINES: Final = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")
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


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a template may name.

    Attributes:
        link: where the notification can be read, below the public URL; None when there is no such place.
        secret: fields of `data` that only the email shows.
    """

    event: EventView
    data: Mapping[str, Any]
    tenant: str
    user: Person | None = None
    link: str | None = None
    secret: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What is said. `title` is one line; `text` is plain, for Telegram MarkdownV2; `html` is for email only."""

    title: str | None
    text: str
    html: str | None = None
    link_url: str | None = None
    link_text: str | None = None


class RenderError(Exception):
    """A template is wrong. `reason` names no value of the event, which may be secret."""

    def __init__(self, template: str, line: int | None, reason: str) -> None:
        super().__init__(f"templates/{template}{f':{line}' if line else ''}: {reason}")
        self.template = template
        self.line = line
        self.reason = reason


def render(channel: str, template: str, context: Context) -> Content:
    """What `context` says on `channel` in the words of the folder `template`; what that lacks comes from ``default``.

    Raises:
        RenderError: a template is wrong, or nothing is rendered for `channel` (a webhook carries data, not words).
    """
    make = _CHANNELS.get(channel)
    if make is None:
        raise RenderError(template, None, f"nothing is rendered for the channel {channel}")
    return make(template, context)


def _email(template: str, context: Context) -> Content:
    values = _values(template, context, context.data)
    html = _run(face_or_default(template, "email.html"), values)
    text = _tidy(_run(face_or_default(template, "email.txt"), values))
    return Content(values["title"], text, html, values["link_url"], values["link_text"])


def _telegram(template: str, context: Context) -> Content:
    values = _values(template, context, wording.mask(context.data, context.secret))
    text = _whole_lines(_tidy(_run(face_or_default(template, "telegram.md"), values)))
    return Content(values["title"], text, None, values["link_url"], values["link_text"])


def _in_app(template: str, context: Context) -> Content:
    data = wording.mask(context.data, context.secret)
    values = _values(template, context, data)
    text = wording.cut(_run(face_or_default(template, "in_app.txt"), values).strip(), IN_APP_LENGTH)
    path = data.get("link_url")
    inside = isinstance(path, str) and _PATH.fullmatch(path)  # the platform's own pages: /chat/room/456
    return Content(values["title"], text, None, path if inside else values["link_url"], values["link_text"])


_CHANNELS: Final[Mapping[str, Callable[[str, Context], Content]]] = {
    "email": _email,
    "telegram": _telegram,
    "in_app": _in_app,
}


def _values(template: str, context: Context, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the faces of one notification are rendered with."""
    given = data.get("link_url")
    link = given if isinstance(given, str) and _WEB.fullmatch(given) else context.link
    values = {
        "event": context.event,
        "data": data,
        "user": context.user,
        "tenant": context.tenant,
        "resolved": context.event.status == "resolved",
        "link_url": link,
    }
    values["title"] = _title(template, context.event, data, values)
    values["link_text"] = _link_text(template, data)
    return values


def _title(template: str, event: EventView, data: Mapping[str, Any], values: dict[str, Any]) -> str:
    own = face(template, "title.txt")
    title = _run(own, values) if own else wording.headline(event.title, event.type, data)
    return wording.one_line(f"Resolved: {title}" if event.status == "resolved" else title, SUBJECT_LENGTH)


def _link_text(template: str, data: Mapping[str, Any]) -> str:
    given = data.get("link_text")
    if isinstance(given, str) and given.strip():
        return wording.one_line(wording.words(given), 60)
    return link_text(template) or LINK_TEXT


def _run(template: Template, values: Mapping[str, Any]) -> str:
    try:
        return run(template, values)
    except Exception as error:  # whatever a template does wrong is said in the same way
        raise _render_error(template, values, error) from error


def _render_error(template: Template, values: Mapping[str, Any], error: Exception) -> RenderError:
    """What went wrong and on which line; rendered again in Jinja's slower way, which keeps count of lines."""
    try:
        template.render(values)
    except Exception as again:
        error = again
    name, line = template.name or "?", None
    if isinstance(error, TemplateSyntaxError):
        return RenderError(error.name or name, error.lineno, error.message or "cannot be compiled")
    for frame in traceback.extract_tb(error.__traceback__):
        path = PurePath(frame.filename)
        if path.is_relative_to(TEMPLATES):
            name, line = path.relative_to(TEMPLATES).as_posix(), frame.lineno
    reason = str(error) if isinstance(error, TemplateError) else f"raised {type(error).__name__}"
    return RenderError(name, line, reason)


def _tidy(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", text).strip()


def _whole_lines(text: str) -> str:
    """As many whole lines as Telegram takes: no line of ours leaves an entity open, so none is cut through."""
    if len(text) * 2 <= TELEGRAM_LENGTH or _units(text) <= TELEGRAM_LENGTH:
        return text
    kept, room = [], TELEGRAM_LENGTH - 2
    for line in text.split("\n"):
        room -= _units(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join([*kept, "…"])


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
