"""Meta's Cloud API for WhatsApp, as far as it sends.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

import re
from hashlib import md5
from typing import Any, Final

from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

TOKEN: Final = "top-secret-whatsapp-token"  # noqa: S105
PHONE_NUMBER_ID: Final = "106540352242922"
TEMPLATE: Final = "bellwire_notification"
LANGUAGE: Final = "en"

_BAD_PARAMETER: Final = re.compile(r"[\n\r\t]| {5}")


class WhatsAppDesk(Desk):
    """One number that sends, with one approved template of two places."""

    name = "whatsapp"

    def identify(self, request: Request) -> tuple[str, str]:
        """What we sent along to be given back; without it, the content stands for it."""
        said = request.json()
        if not isinstance(said, dict) or "to" not in said:
            return "", ""
        return str(said.get("biz_opaque_callback_data") or said), f"+{str(said['to']).lstrip('+')}"

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, 190, "Error validating access token")
        if not re.fullmatch(rf"(/v[0-9.]+)?/{PHONE_NUMBER_ID}/messages", request.path) or request.method != "POST":
            words = f"Unsupported post request. Object with ID '{request.path}' does not exist"
            return problem(400, 100, words, error_subcode=33)
        said = request.json()
        return _refusal(said) or _accepted(said)


def problem(status: int, code: int, words: str, **more: Any) -> Reply:
    """An error in the Graph API's form."""
    content = {
        "message": f"(#{code}) {words}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": words},
        "fbtrace_id": "AyFqzfaU5iFjO1K5vKMEHY0",
        **more,
    }
    return json_reply(status, {"error": content})


def _refusal(said: Any) -> Reply | None:
    if not isinstance(said, dict) or said.get("messaging_product") != "whatsapp":
        return problem(400, 100, "The parameter messaging_product is required.")
    digits = re.sub(r"[ ()+-]", "", str(said.get("to", "")))
    if not re.fullmatch(r"[0-9]{7,15}", digits):
        return problem(400, 131009, "Parameter value is not valid")
    match said.get("type", "text"):
        case "text":
            return _text(said.get("text"))
        case "image":
            return _image(said.get("image"))
        case "template":
            return _template(said.get("template"))
    return problem(400, 131051, "Message type is currently not supported")


def _text(text: Any) -> Reply | None:
    body = text.get("body") if isinstance(text, dict) else None
    if not isinstance(body, str) or not body:
        return problem(400, 131008, "Required parameter is missing")
    return problem(400, 100, "Param text['body'] must be at most 4096 characters long.") if len(body) > 4096 else None


def _image(image: Any) -> Reply | None:
    link, caption = (image.get("link"), image.get("caption", "")) if isinstance(image, dict) else (None, "")
    if not isinstance(link, str) or not re.match("https?://", link):
        return problem(400, 131008, "Required parameter is missing")
    return problem(400, 100, "Param image['caption'] must be at most 1024 long.") if len(caption) > 1024 else None


def _template(template: Any) -> Reply | None:
    if not isinstance(template, dict) or not isinstance(template.get("language"), dict):
        return problem(400, 131008, "Required parameter is missing")
    if (template.get("name"), template["language"].get("code")) != (TEMPLATE, LANGUAGE):
        return problem(404, 132001, "Template name does not exist in the translation")
    texts = [
        place.get("text", "")
        for component in template.get("components") or ()
        if component.get("type", "").lower() == "body"
        for place in component.get("parameters") or ()
    ]
    if len(texts) != 2:
        return problem(400, 132000, "Number of parameters does not match the expected number of params")
    if any(_BAD_PARAMETER.search(text) for text in texts):
        words = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
        return problem(400, 132018, words)
    if not all(texts):
        return problem(400, 131008, "Parameter of type text is missing text value")
    return problem(400, 132005, "Translated text too long") if sum(map(len, texts)) > 1000 else None


def _accepted(said: dict[str, Any]) -> Reply:
    number = re.sub(r"\D", "", str(said["to"]))
    identity = md5(repr(sorted(said.items(), key=str)).encode(), usedforsecurity=False).hexdigest().upper()
    sent = {"id": f"wamid.{identity}"}
    if said.get("type") == "template":
        sent["message_status"] = "accepted"
    contact = {"input": said["to"], "wa_id": number}
    return json_reply(200, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [sent]})
