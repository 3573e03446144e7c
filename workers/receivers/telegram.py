"""A Bot API for one token: messages and their buttons, presses, updates by asking or for a webhook."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from workers.receivers.http import HttpReceiver
from workers.receivers.script import Received, Reply

TOKEN = "100001:demo-token-of-the-local-receiver"  # noqa: S105 - opens nothing but this receiver

MOST_BUTTON_BYTES: Final = 64
POLL: Final = 0.2  # seconds that a question for updates waits; the real one waits for as long as it is asked to


class TelegramReceiver(HttpReceiver):
    """Answers as the Bot API does. The key is chat and text together; the target the chat, or another call's name.

    Attributes:
        messages: what was sent, by chat and number, as it now stands.
        updates: what nobody has taken yet.
        webhook: what `setWebhook` was told.
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[tuple[str, int], dict[str, Any]] = {}
        self.updates: list[dict[str, Any]] = []
        self.webhook: dict[str, Any] = {}
        self._numbers = 0
        self._update_ids = 0

    def identify(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        method, form = path.rpartition("/")[2], fields(body)
        if method in CALLS:
            return f"{method}:{form.get('callback_query_id') or form.get('message_id', '')}", method
        return f"{form.get('chat_id', '')}:{form.get('text', '')}", form.get("chat_id", "")

    def record(self, received: Received) -> None:
        """Questions for updates come all the time; nobody wants to read them."""
        if received.target != "getUpdates":
            super().record(received)

    def reply_to(self, path: str, headers: Mapping[str, str], body: bytes, target: str, key: str) -> Reply:
        scripted = super().reply_to(path, headers, body, target, key)
        if scripted.fault or scripted.body:
            return scripted
        if scripted.status != 200:
            return problem(scripted.status, "Scripted")
        form = fields(body)
        if target == "getUpdates":
            self._forget(form)
            if not self.updates and not self.webhook:
                return Reply(wait=POLL)  # `answer` looks again
        decided = CALLS.get(target, TelegramReceiver.send)(self, form)
        return Reply(decided.status, decided.body, wait=scripted.wait)

    def answer(self, reply: Reply, target: str, body: bytes) -> bytes:
        return reply.body or self.get_updates(fields(body)).body

    def press(self, chat: str, sender: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        """Somebody presses the button of the newest message of a chat that has one; the update that comes of it.

        Raises:
            LookupError: no message there has a button.
        """
        pressed = [one for (where, _), one in self.messages.items() if where == chat and _button(one)]
        if not pressed:
            raise LookupError(f"no button in chat {chat}")
        query = {
            "id": str(self._update_ids + 70_000),
            "from": dict(sender),
            "message": pressed[-1],
            "chat_instance": "1",
            "data": text or _button(pressed[-1]),
        }
        return self._arrive("callback_query", query)

    def write(self, chat: Mapping[str, Any], text: str) -> dict[str, Any]:
        """Somebody writes to the bot; the update that comes of it."""
        self._numbers += 1
        message = {"message_id": self._numbers, "date": int(time.time()), "chat": dict(chat), "text": text}
        return self._arrive("message", message)

    def send(self, form: Mapping[str, str]) -> Reply:
        """`sendMessage`."""
        markup = json.loads(form.get("reply_markup") or "{}")
        if any(len(one.get("callback_data", "").encode()) > MOST_BUTTON_BYTES for one in _buttons(markup)):
            return problem(400, "Bad Request: BUTTON_DATA_INVALID")
        self._numbers += 1
        target = form.get("chat_id", "")
        chat: dict[str, Any] = {"id": int(target) if target.lstrip("-").isdigit() else -1001, "type": "private"}
        message = {"message_id": self._numbers, "date": int(time.time()), "chat": chat, "text": form.get("text")}
        if markup:
            message["reply_markup"] = markup
        self.messages[str(chat["id"]), self._numbers] = message
        return _result(message)

    def edit(self, form: Mapping[str, str]) -> Reply:
        """`editMessageText` and `editMessageReplyMarkup`: what is not named goes, as a keyboard does."""
        message = self.messages.get((form.get("chat_id", ""), int(form.get("message_id", "0"))))
        if message is None:
            return problem(400, "Bad Request: message to edit not found")
        after = {name: one for name, one in message.items() if name != "reply_markup"}
        if "text" in form:
            after |= {"text": form["text"], "entities": json.loads(form.get("entities") or "[]")}
        if after == message:
            return problem(400, "Bad Request: message is not modified: specified new message content is the same")
        message.clear()
        message.update(after)
        return _result(message)

    def answer_press(self, form: Mapping[str, str]) -> Reply:
        """`answerCallbackQuery`."""
        if len(form.get("text", "")) > 200:
            return problem(400, "Bad Request: MESSAGE_TOO_LONG")
        return _result(True)

    def get_updates(self, form: Mapping[str, str]) -> Reply:
        """`getUpdates`: never both ways at once."""
        if self.webhook:
            words = (
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete it first"
            )
            return problem(409, words)
        self._forget(form)
        return _result(self.updates)

    def set_webhook(self, form: Mapping[str, str]) -> Reply:
        """`setWebhook`."""
        if not form.get("url", "").startswith("https://"):
            return problem(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        self.webhook = dict(form)
        return _result(True)

    def delete_webhook(self, form: Mapping[str, str]) -> Reply:
        """`deleteWebhook`."""
        self.webhook = {}
        return _result(True)

    def _forget(self, form: Mapping[str, str]) -> None:
        """What comes before the offset was taken."""
        offset = int(form.get("offset") or 0)
        self.updates = [one for one in self.updates if one["update_id"] >= offset]

    def _arrive(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        self._update_ids += 1
        update = {"update_id": self._update_ids, kind: json.loads(json.dumps(content))}
        self.updates.append(update)
        return update


CALLS: Final[Mapping[str, Callable[[TelegramReceiver, Mapping[str, str]], Reply]]] = {
    "editMessageText": TelegramReceiver.edit,
    "editMessageReplyMarkup": TelegramReceiver.edit,
    "answerCallbackQuery": TelegramReceiver.answer_press,
    "getUpdates": TelegramReceiver.get_updates,
    "setWebhook": TelegramReceiver.set_webhook,
    "deleteWebhook": TelegramReceiver.delete_webhook,
}


def fields(body: bytes) -> dict[str, str]:
    """The fields of a request, each once, sent as a form or as JSON; what is not text is the JSON of it."""
    if body.startswith(b"{"):
        given = json.loads(body).items()
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given}
    return {name: values[-1] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}


def problem(status: int, description: str, **parameters: int) -> Reply:
    """An error as the Bot API words it: ``problem(429, "Too Many Requests", retry_after=7)``."""
    content: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        content["parameters"] = parameters
    return Reply(status, json.dumps(content).encode())


def _result(content: Any) -> Reply:
    return Reply(200, json.dumps({"ok": True, "result": content}).encode())


def _buttons(markup: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for row in markup.get("inline_keyboard", ()) for one in row]


def _button(message: Mapping[str, Any]) -> str | None:
    """What the first button of a message answers with."""
    return next((one.get("callback_data") for one in _buttons(message.get("reply_markup", {}))), None)
