"""The provider lab: one server that speaks the APIs of the HTTP providers, each below a path of its own.

It speaks them well enough for the providers' own libraries to work against it, and misbehaves on request.
"""

from __future__ import annotations

import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply, Script


class Request(NamedTuple):
    """One request. `path` is what follows the desk's own, decoded; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; an empty object when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def form(self) -> dict[str, str]:
        """The body as a form, each field once."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


class Desk(ABC):
    """One provider's API. Checks credentials and bodies as the provider does, and words its errors as it does."""

    name: ClassVar[str]

    @abstractmethod
    def identify(self, request: Request) -> tuple[str, str]:
        """The delivery's id, or what stands for it, and the recipient; both empty for a request that sends nothing."""

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """What the provider answers to a request that no script decides about."""


class Lab(HttpReceiver):
    """Desks behind one port. A script is for a recipient (``someone@example.org``) or a whole desk (``resend``).

    A scripted reply without a body gets none: give it the provider's own words where a test needs them.
    """

    def __init__(self, *desks: Desk, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.desks = {desk.name: desk for desk in desks}

    def url_of(self, name: str) -> str:
        """The base address of a desk, as its provider's setting wants it."""
        return f"{self.url}/{name}"

    def identify(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        found = self._open(path, headers, body)
        if found is None:
            return "", path
        key, target = found[0].identify(found[1])
        return key, target or path

    def reply_to(self, path: str, headers: Mapping[str, str], body: bytes, target: str, key: str) -> Reply:
        found = self._open(path, headers, body)
        if found is None:
            return Reply(404, b"no such desk")
        desk, request = found
        script = self._script_for(target, desk.name)
        scripted = script.next(key) if script else None
        if scripted is not None and (scripted.fault or scripted.body or not 200 <= scripted.status < 300):
            return scripted
        answer = desk.answer(request)
        return answer if scripted is None else Reply(answer.status, answer.body, answer.headers, wait=scripted.wait)

    def _script_for(self, target: str, desk: str) -> Script | None:
        return self._scripts.get(target) or self._scripts.get(desk) or self._scripts.get("*")

    def _open(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[Desk, Request] | None:
        parts = urlsplit(path)
        name, _, rest = parts.path.lstrip("/").partition("/")
        desk = self.desks.get(name)
        if desk is None:
            return None
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return desk, Request(headers[":method"], f"/{unquote(rest)}", query, headers, body)


def json_reply(status: int, content: Any, **headers: str) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})
