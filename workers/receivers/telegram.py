"""A Bot API that takes `sendMessage`, for one token."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

TOKEN = "100001:demo-token-of-the-local-receiver"  # noqa: S105 - opens nothing but this receiver


class TelegramReceiver(HttpReceiver):
    """Answers as the Bot API does; the target is the chat, the key chat and text together."""

    def __init__(self) -> None:
        super().__init__()
        self._messages = 0

    def identify(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        form = fields(body)
        return f"{form.get('chat_id', '')}:{form.get('text', '')}", form.get("chat_id", "")

    def answer(self, reply: Reply, target: str, body: bytes) -> bytes:
        if reply.body:
            return reply.body
        if reply.status != 200:
            return problem(reply.status, "Scripted").body
        self._messages += 1
        chat: dict[str, Any] = {"id": int(target) if target.lstrip("-").isdigit() else -1001, "type": "private"}
        message = {
            "message_id": self._messages,
            "date": int(time.time()),
            "chat": chat,
            "text": fields(body).get("text"),
        }
        return json.dumps({"ok": True, "result": message}).encode()


def fields(body: bytes) -> dict[str, str]:
    """The form of a request, each field once."""
    return {name: values[-1] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}


def problem(status: int, description: str, **parameters: int) -> Reply:
    """An error as the Bot API words it: ``problem(429, "Too Many Requests", retry_after=7)``."""
    content: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        content["parameters"] = parameters
    return Reply(status, json.dumps(content).encode())
