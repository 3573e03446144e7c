"""Says things in a tenant's own words: its template is filled in a limited process, the rest is as for shipped ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from time import monotonic
from typing import Any, Final

import structlog

from config.catalogue import shipped
from pipeline.envelope import unlisted
from pipeline.published import Published
from pipeline.render import Content, Context, RenderError, render
from pipeline.sandbox_pool import LostError, SandboxAwayError, pool

__all__ = ["PARTS", "OwnTemplateError", "SandboxAwayError", "plain", "render_custom"]

PARTS: Final[Mapping[str, Mapping[str, str]]] = {
    "email": {"title.txt": "subject", "email.html": "html", "email.txt": "text"},
    "telegram": {"title.txt": "title", "telegram.md": "text"},
    **{
        channel: {"title.txt": "title", f"{channel}.txt": "text"}
        for channel in ("in_app", "sms", "push", "whatsapp", "apprise")
    },
}
"""Which part of a tenant's template stands for which face of a folder."""

PATIENCE: Final = 3  # times that a version may take all it is given, or cost a process, within
REST: Final = 60.0  # seconds, before it is left alone for as long

log = structlog.get_logger(__name__)


class OwnTemplateError(RenderError):
    """A tenant's template is wrong. `part`: ``html``, ``subject`` ...; `reason` names no value of the event."""

    def __init__(self, published: Published, part: str, line: int | None, reason: str) -> None:
        place = ", ".join(word for word in (part, f"line {line}" if line else "") if word)
        named = f"template of {published.event} for {published.channel}"
        number = f", version {published.number}" if published.number else ""
        Exception.__init__(self, f"{named}{number}{f': {place}' if place else ''}: {reason}")
        self.template = f"{published.event}/{published.channel}"
        self.part = part
        self.line = line
        self.reason = reason


class RestsError(OwnTemplateError):
    """A tenant's template has taken too much and is not tried now; whether it can be filled with this, nobody knows."""


def render_custom(
    published: Published,
    channel: str,
    context: Context,
    template: str | None = None,
    *,
    until: float | None = None,
) -> Content:
    """What `context` says on `channel` in the words of `published`. Blocks for up to some seconds.

    Args:
        template: the shipped one, for the parts that the tenant's lacks; by default the catalogue's for the type.
        until: when to give up (seconds of time.monotonic); None: after some seconds a question.

    Raises:
        OwnTemplateError: a RenderError; the template cannot be filled with this, and has no `fallback`.
        SandboxAwayError: nothing is known, because no process could be had, or the version rests; try again later.
    """
    listed = shipped().event_types.get(context.event.type) or unlisted(context.event.type)
    kind = template or listed.template
    try:
        return render(channel, kind, context, own=_Own(published, channel, context, until), words=published.locale)
    except OwnTemplateError as error:
        if not published.fallback and isinstance(error, RestsError):
            raise SandboxAwayError(str(error)) from None
        if not published.fallback:
            raise
        log.warning("shipped_template_used", version=published.id, channel=channel, problem=str(error))
        return render(channel, kind, context)


class _Own:
    """The faces of one version, filled for one recipient."""

    def __init__(self, published: Published, channel: str, context: Context, until: float | None) -> None:
        self._published = published
        self._until = until
        self._channel = channel
        self._context = context
        self._parts = PARTS[channel]
        self._said: dict[str, str] = {}

    def has(self, name: str) -> bool | None:
        """A title may be left to the shipped template; the text of an email is made from its HTML."""
        part = self._parts.get(name)
        given = part in self._published.body
        return None if part is None or (name == "title.txt" and not given) else given

    def run(self, name: str, values: Mapping[str, Any]) -> str:
        """One face. What is told the same is asked for together."""
        part = self._parts[name]
        if part not in self._said:
            title = self._parts["title.txt"]
            parts = [one for one in self._published.body if (one == title) is (part == title)]
            self._said |= self._ask(parts, values)
        return self._said[part]

    def _ask(self, parts: list[str], values: Mapping[str, Any]) -> dict[str, str]:
        body, user = self._published.body, self._context.user
        question = {
            "do": "render",
            "version": self._published.id,
            "channel": self._channel,
            "body": dict(body),
            "parts": parts,
            "values": plain(values),
            "styled": "<style" in body.get("html", "").lower(),
            "locale": user and user.locale,
            "time_zone": user and user.time_zone,
            "words": self._published.locale,
        }
        answer = _asked(self._published, question, self._until)
        if "flaw" in answer:
            flaw = answer["flaw"]
            raise OwnTemplateError(self._published, flaw["part"], flaw["line"], flaw["reason"])
        said: dict[str, str] = answer["said"]
        return said


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as JSON can carry them; when the event happened is a time again at the other end."""
    event = asdict(values["event"])
    event["occurred_at"] = event["occurred_at"].isoformat()
    return {**values, "event": event, "user": values["user"] and asdict(values["user"])}


class Patience:
    """Which versions take all their time, or one process after the other. They rest, so that others need not wait."""

    def __init__(self) -> None:
        self._lost: dict[str, tuple[int, float]] = {}

    def rests(self, version: str, now: float) -> bool:
        """Whether it is not to be tried now (seconds of time.monotonic)."""
        times, since = self._lost.get(version, (0, now))
        return times >= PATIENCE and now - since < REST

    def lost(self, version: str, now: float) -> None:
        """A process ended over it, or its time."""
        times, since = self._lost.get(version, (0, now))
        self._lost[version] = (times + 1, since) if now - since < REST else (1, now)


_PATIENCE: Final = Patience()


def _asked(published: Published, question: Mapping[str, Any], until: float | None) -> dict[str, Any]:
    if _PATIENCE.rests(published.id, monotonic()):
        raise RestsError(published, "", None, f"took too much {PATIENCE} times within a minute and rests now")
    try:
        answer = pool().ask(question, until)
    except LostError as error:
        _PATIENCE.lost(published.id, monotonic())
        raise OwnTemplateError(published, "", None, str(error)) from None
    if answer.get("slow"):
        _PATIENCE.lost(published.id, monotonic())
    return answer
