"""What people press and write in Telegram: the Acknowledge button, and /start, which answers with the chat's id.

Everything that a press needs is in the button's signed data; no session and no account of ours.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, text

from channels.markdown import TEXT_LIMIT, units
from channels.telegram_calls import Call
from config.settings import settings
from pipeline.acknowledge import Acknowledged, acknowledge
from pipeline.audit import record
from pipeline.faces import SHIPPED
from pipeline.language import speaking
from pipeline.sentences import gettext

PREFIX: Final = "a:"
SIGNATURE: Final = 12  # bytes; beside 16 of the id there is room for no more than 46 in base64
LONGEST_NAME: Final = 64  # characters
NOBODY: Final = "telegram"  # who took it where neither the recipient nor who pressed is a user of the tenant
NOT_KNOWN: Final = "This alert is not known here."
NOT_HERE: Final = "This can be acknowledged only by somebody who is a user."
START: Final = re.compile(r"/(?:start|id)(?:@\w+)?(?:\s|$)", re.ASCII)

# The chat that it was sent to, by its id, by its @name, or by the id that it has since a migration.
FIND = text("""
SELECT n.id::text, n.tenant, n.user_id, n.audience, n.ack_at, n.ack_by_user_id,
       (SELECT u.id FROM users u WHERE u.tenant = n.tenant AND u.telegram_chat_id = :sender
        ORDER BY u.id = coalesce(n.user_id, '') DESC, u.id LIMIT 1) AS presser,
       (SELECT u.locale FROM users u WHERE u.tenant = n.tenant AND u.id = n.user_id) AS locale,
       EXISTS (SELECT FROM deliveries d
               LEFT JOIN moved_addresses m ON m.tenant = d.tenant AND m.channel = d.channel AND m.address = d.address
               WHERE d.event_id = n.event_id AND d.notification_id = n.id AND d.channel = 'telegram'
                 AND (d.address = :chat OR m.moved_to = :chat OR lower(d.address) = lower(cast(:chat_name AS text))))
       AS sent_there
FROM notifications n WHERE n.id = cast(:id AS uuid) AND n.deleted_at IS NULL
""")
NAME = text("SELECT name FROM users WHERE tenant = :tenant AND id = :id")

# Whoever writes to the bot wants to be told again: Telegram lets nobody write who has blocked it.
WELCOME = text("""
DELETE FROM suppressions WHERE channel = 'telegram' AND address = :chat AND source = 'refusal'
  AND (cast(:account AS text) = '' OR tenant = :account)
RETURNING tenant
""")


@dataclass(frozen=True, slots=True)
class Answered:
    """What is to be done after the commit: at Telegram, in this order.

    Attributes:
        read_by: tenant and user, who has read a notification by taking it; None: nobody has.
        taken: tenant and what came of it, when an issue was taken.
    """

    calls: tuple[Call, ...]
    read_by: tuple[str, str] | None = None
    taken: tuple[str, Acknowledged] | None = None


@dataclass(frozen=True, slots=True)
class _Press:
    """A press, as far as it can be read. `chat_name`: ``@name`` of a public chat."""

    id: str
    data: str
    chat: str
    chat_name: str | None
    message: Mapping[str, Any]
    sender: str
    name: str


def button(tenant: str, notification_id: str) -> str | None:
    """What an Acknowledge button answers with (40 characters); None when presses cannot reach us anyway."""
    keys = settings().secret_key
    if settings().telegram_updates == "off" or not keys:
        return None
    signature = _signature(keys[0].get_secret_value(), tenant, UUID(notification_id))
    return PREFIX + _written(UUID(notification_id).bytes) + _written(signature)


def answer(connection: Connection, update: object, *, account: str = "") -> Answered | None:
    """Do what an update asks for, and say what Telegram is to be told; None when it is nothing for us.

    Nothing in an update is believed but what is signed, and that it came from Telegram, which its caller has proved.

    Args:
        update: https://core.telegram.org/bots/api#update, of any form.
        account: the tenant whose own bot it came to; empty: the installation's.
    """
    content = _object(update)
    press = _press(_object(content.get("callback_query")))
    if press is not None:
        return _answer_press(connection, press, account)
    return _answer_start(connection, _object(content.get("message") or content.get("channel_post")), account)


def _answer_press(connection: Connection, press: _Press, account: str) -> Answered:
    found = _find(connection, press, account)
    if found is None:
        return Answered((_toast(press, NOT_KNOWN),))
    taken = None
    if found.ack_at is None:
        taken = _take(connection, found, press)
        if taken is None:
            return Answered((_toast(press, NOT_HERE),))
        by, ours = str(taken.notification["ack_by_user_id"]), taken.just_now
    else:
        by, ours = str(found.ack_by_user_id), False
    name = press.name if ours and found.presser is None else _name_of(connection, found.tenant, by)
    with speaking(SHIPPED.languages.of(found.locale, None)):
        words = gettext("Acknowledged by %(name)s", name=name)
        said = gettext("Acknowledged.") if ours else gettext("Already acknowledged by %(name)s.", name=name)
    reader = found.presser or found.user_id if ours else None
    read_by = None if reader is None else (found.tenant, reader)
    calls = (_toast(press, said), *_without_button(press, words))
    return Answered(calls, read_by, None if taken is None else (found.tenant, taken))


def _find(connection: Connection, press: _Press, account: str) -> Row[Any] | None:
    """The notification that a button belongs to, if the signature is ours and it was sent to that chat."""
    signed = _read(press.data)
    if signed is None or not press.chat:
        return None
    notification_id, signature = signed
    values = {"id": str(notification_id), "chat": press.chat, "chat_name": press.chat_name, "sender": press.sender}
    found = connection.execute(FIND, values).first()
    if found is None or not found.sent_there or account not in ("", found.tenant):
        return None
    keys = (key.get_secret_value() for key in settings().secret_key)
    expected = [_signature(key, found.tenant, notification_id) for key in keys]
    return found if any(hmac.compare_digest(one, signature) for one in expected) else None


def _take(connection: Connection, found: Row[Any], press: _Press) -> Acknowledged | None:
    """Acknowledge as the recipient might: for everyone, or for that user alone.

    None for an address without a user that was told as a customer: it cannot be silenced alone, and a customer does
    not silence everyone.
    """
    if found.user_id is None and found.audience != "admin":
        return None
    by = found.presser or found.user_id or NOBODY
    return acknowledge(
        connection,
        tenant=found.tenant,
        notification_id=found.id,
        by_user_id=by,
        everyone=found.audience == "admin",
        note=None if found.presser else f"{press.name}, in Telegram",
        actor=f"user:{found.presser}" if found.presser else NOBODY,
    )


def _name_of(connection: Connection, tenant: str, user_id: str) -> str:
    name = connection.execute(NAME, {"tenant": tenant, "id": user_id}).scalar()
    return _clean(name or user_id)


def _answer_start(connection: Connection, message: Mapping[str, Any], account: str) -> Answered | None:
    chat = _id(_object(message.get("chat")).get("id"))
    said = message.get("text")
    if not chat or not isinstance(said, str) or not START.match(said):
        return None
    for tenant in connection.execute(WELCOME, {"chat": chat, "account": account}).scalars().all():
        record(connection, tenant=tenant, actor=NOBODY, action="suppression.delete", subject="telegram")
    words = f"The id of this chat is {chat}. Alerts come here once it is the telegram_chat_id of a user."
    return Answered((Call("sendMessage", {"chat_id": int(chat), "text": words}),))


def _press(query: Mapping[str, Any]) -> _Press | None:
    """A callback query that has an id; what it lacks beside that is empty and leads nowhere."""
    identity, data = query.get("id"), query.get("data")
    if not isinstance(identity, str) or not identity:
        return None
    message, sender = _object(query.get("message")), _object(query.get("from"))
    chat = _object(message.get("chat"))
    username = chat.get("username")
    return _Press(
        id=identity,
        data=data if isinstance(data, str) else "",
        chat=_id(chat.get("id")),
        chat_name=f"@{_clean(username)}" if isinstance(username, str) and username else None,
        message=message,
        sender=_id(sender.get("id")),
        name=_person(sender),
    )


def _toast(press: _Press, words: str) -> Call:
    return Call("answerCallbackQuery", {"callback_query_id": press.id, "text": words[:200]})


def _without_button(press: _Press, words: str) -> tuple[Call, ...]:
    """The message with a line more and the button less; only the button goes where the line does not fit.

    Its own entities are given back as they came, so nothing in it is read as markup, nor is the name.
    """
    number = press.message.get("message_id")
    if isinstance(number, bool) or not isinstance(number, int):
        return ()
    where = {"chat_id": int(press.chat), "message_id": number}
    said = press.message.get("text")
    after = f"{said}\n\n{words}"
    if not isinstance(said, str) or said.endswith(words) or units(after) > TEXT_LIMIT:
        return (Call("editMessageReplyMarkup", where),)
    entities = press.message.get("entities")
    changed = {
        "text": after,
        "entities": entities if isinstance(entities, list) else [],
        "link_preview_options": {"is_disabled": True},
    }
    return (Call("editMessageText", {**where, **changed}),)


def _person(sender: Mapping[str, Any]) -> str:
    names = [sender.get("first_name"), sender.get("last_name")]
    return _clean(" ".join(name for name in names if isinstance(name, str))) or "somebody"


def _clean(name: str) -> str:
    """A name in one line that can be stored and shown."""
    return "".join(" " if one.isspace() else one for one in name if one.isprintable() or one.isspace())[
        :LONGEST_NAME
    ].strip()


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _id(value: object) -> str:
    """A chat's or a person's number, at most 52 bits; empty when it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 53:
        return ""
    return str(value)


def _signature(key: str, tenant: str, notification_id: UUID) -> bytes:
    said = b"\0".join((b"bellwire telegram acknowledge", tenant.encode(), notification_id.bytes))
    return hmac.digest(key.encode(), said, sha256)[:SIGNATURE]


def _written(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _read(data: str) -> tuple[UUID, bytes] | None:
    """The id and the signature in a button's data, None when it is none of ours."""
    found = re.fullmatch(r"a:([A-Za-z0-9_-]{22})([A-Za-z0-9_-]{16})", data, re.ASCII)
    if found is None:
        return None
    return UUID(bytes=urlsafe_b64decode(f"{found[1]}==")), urlsafe_b64decode(found[2])
