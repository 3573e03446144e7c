"""WhatsApp Business (B-4) through Meta's Cloud API: approved templates, or free words while somebody talks with us.

It takes no idempotency key, so what follows an unknown outcome is the channel's policy. Source:
https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, Self

import aiohttp

from channels.answers import member
from channels.base import (
    Address,
    Bulkhead,
    Capabilities,
    Limit,
    Message,
    OutcomeUnknownError,
    Provider,
    Receipt,
    Template,
)
from channels.characters import clean, cut_to_units
from channels.http import Answer, exchange, open_session, timeout_of
from channels.phone import e164
from channels.whatsapp_problems import SessionOverError, problem
from config.settings import Settings, SettingsError

DEADLINE: Final = 10.0  # seconds, for both tries together
TEXT_LENGTH: Final = 4096  # characters
CAPTION_LENGTH: Final = 1024
# A template has 1024 characters with everything filled in; this leaves some for its own words.
PARAMETERS_LENGTH: Final = 900
EMPTY: Final = "-"  # what stands for nothing: a parameter must not be empty

# Per number that sends: .../whatsapp/messages/throughput; per pair of numbers: .../whatsapp/support/error-codes, 131056
# ("1 message every 6 seconds to the same user"; bursts are lent and must be given back).
LIMITS: Final = (Limit(80, 1), Limit(1, 6, scope="address"))

_ID: Final = re.compile(r"[0-9]{1,32}")
_NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")
_SPACES: Final = re.compile(r"\s+")


class WhatsAppProvider(Provider):
    """One number that sends. `Address.value` is a telephone number."""

    channel = "whatsapp"
    name = "whatsapp"
    capabilities = Capabilities(
        parts=frozenset({"title", "text"}),
        bulkhead=Bulkhead(concurrent=32, waiting=64),
        deadline=DEADLINE,
        receipts=True,
        limits=LIMITS,
    )
    credentials = {  # noqa: RUF012
        "token": "whatsapp_token",
        "phone_number_id": "whatsapp_phone_number_id",
        "template": "whatsapp_template",
        "language": "whatsapp_language",
        "webhook_secret": "whatsapp_webhook_secret",
        "verify_token": "whatsapp_verify_token",
    }

    def __init__(self, token: str, phone_number_id: str, template: str, language: str, url: str) -> None:
        """`template`: the one for messages whose own has no name, with two places: a title and a text."""
        if not _ID.fullmatch(phone_number_id):
            raise SettingsError("BELLWIRE_WHATSAPP_PHONE_NUMBER_ID: must be the number's id, digits only")
        if not _NAME.fullmatch(template):
            raise SettingsError("BELLWIRE_WHATSAPP_TEMPLATE: must be small letters, digits and underscores")
        if not _LANGUAGE.fullmatch(language):
            raise SettingsError("BELLWIRE_WHATSAPP_LANGUAGE: must be a language such as en or en_US")
        self._url = f"{url.rstrip('/')}/{phone_number_id}/messages"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._template = (template, language)
        self._timeout = timeout_of(self.capabilities.deadline)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the token and the id of the number that sends; of these both or none."""
        secret, sender = settings.whatsapp_token, settings.whatsapp_phone_number_id or ""
        token = secret.get_secret_value() if secret else ""
        if not token and not sender:
            return None
        if not token or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise SettingsError("BELLWIRE_WHATSAPP_TOKEN: must be an access token")
        return cls(token, sender, settings.whatsapp_template, settings.whatsapp_language, settings.whatsapp_url)

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send free words within the session and the template outside; see `Provider.send`.

        When Meta says that the session is over, nothing was sent, and the template follows at once.
        """
        number = e164(address.value)
        try:
            async with asyncio.timeout(self.capabilities.deadline):
                return await self._say(message, number)
        except TimeoutError:
            raise OutcomeUnknownError(f"no answer within {self.capabilities.deadline:g} s") from None

    async def _say(self, message: Message, number: str) -> Receipt:
        if message.in_session:
            try:
                return await self._post(message, number, free_form(message))
            except SessionOverError:
                pass
        asked = message.template or Template("", "", (message.title or "", message.text))
        own = replace(asked, name=asked.name or self._template[0], language=asked.language or self._template[1])
        return await self._post(message, number, filled(own))

    async def _post(self, message: Message, number: str, content: dict[str, Any]) -> Receipt:
        if self._session is None:
            self._session = open_session(self._timeout, headers=self._headers)
        whole = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": number,
            "biz_opaque_callback_data": message.delivery_id,
            **content,
        }
        body = json.dumps(whole, ensure_ascii=False).encode()
        return _receipt(await exchange(self._session, self._url, body, {}, self._timeout), content["type"])

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def free_form(message: Message) -> dict[str, Any]:
    """What may be said within the session: the text, below a picture if there is one. Its marks are WhatsApp's own."""
    whole = clean(message.text) or clean(message.title or "") or message.event_type
    if message.image:
        return {"type": "image", "image": {"link": message.image, "caption": cut_to_units(whole, CAPTION_LENGTH)}}
    return {"type": "text", "text": {"body": cut_to_units(whole, TEXT_LENGTH), "preview_url": False}}


def filled(template: Template) -> dict[str, Any]:
    """A template with its places filled; without places it has no components."""
    named = {"name": template.name, "language": {"code": template.language}}
    places = [{"type": "text", "text": text} for text in parameters(template.parameters)]
    if places:
        return {"type": "template", "template": {**named, "components": [{"type": "body", "parameters": places}]}}
    return {"type": "template", "template": named}


def parameters(texts: Iterable[str]) -> list[str]:
    """The texts as Meta takes them: one line each, no tabs, no runs of spaces, not empty, not too long together."""
    cleaned = [_SPACES.sub(" ", clean(text)) or EMPTY for text in texts]
    room, kept = PARAMETERS_LENGTH, []
    for left, text in zip(range(len(cleaned), 0, -1), cleaned, strict=True):
        kept.append(cut_to_units(text, max(2, room // left)))
        room -= len(kept[-1])
    return kept


def _receipt(answer: Answer, kind: str) -> Receipt:
    """`kind` stands in what is shown of it, so that everybody sees whether it was the template."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    message_id = member(said, "messages", 0, "id")
    if answer.status == 200 and isinstance(message_id, str):
        return Receipt(message_id, f"HTTP 200, {kind}")
    raise problem(answer, said)
