"""Text messages by Twilio's Messages resource (E-31): https://www.twilio.com/docs/messaging/api/message-resource

It takes no idempotency key, so what follows an unknown outcome is the channel's policy.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp

from channels import sms
from channels.answers import Meaning, Problem, by_status, error, member
from channels.base import (
    Address,
    Capabilities,
    Limit,
    Message,
    OutcomeUnknownError,
    Provider,
    Receipt,
    SendError,
)
from channels.http import Answer, exchange, open_session, retry_after, timeout_of
from channels.phone import e164
from config.settings import Settings, SettingsError

DEADLINE: Final = 10.0  # seconds
LONGEST_VALIDITY: Final = 36_000  # seconds that Twilio keeps a message in its queue; its default too

# Twilio queues for each sender at its own pace, up to ten hours: 1 part/s for a US long code, "over 100" for a short
# code (https://www.twilio.com/docs/api/errors/21611). So we go at the pace of its fastest sender and let it queue. What
# binds is how many requests are under way (https://www.twilio.com/docs/api/errors/20429): the bulkhead.
LIMITS: Final = (Limit(100, 1),)

_SID: Final = re.compile(r"AC[0-9A-Za-z]{32}")
_SENDER: Final = re.compile(r"\+[1-9][0-9]{4,14}|[0-9]{3,8}|MG[0-9A-Za-z]{32}|[A-Za-z0-9 ]{1,11}")

# https://www.twilio.com/docs/api/errors; 30003 to 30008 come as receipts, too.
PROBLEMS: Final[Mapping[int, Problem]] = {
    10001: Problem(Meaning.ACCOUNT, "the account is not active"),
    14107: Problem(Meaning.LATER, "too many messages between two numbers", 30.0),
    20003: Problem(Meaning.ACCOUNT, "the credentials are not accepted"),
    20005: Problem(Meaning.ACCOUNT, "the account is not active"),
    20006: Problem(Meaning.ACCOUNT, "access denied"),
    20008: Problem(Meaning.ACCOUNT, "these are test credentials"),
    20403: Problem(Meaning.ACCOUNT, "forbidden"),
    20404: Problem(Meaning.ACCOUNT, "there is no such account"),
    20429: Problem(Meaning.THROTTLED, "too many requests at once"),
    20500: Problem(Meaning.RETRY, "internal error"),
    20503: Problem(Meaning.RETRY, "service unavailable"),
    21211: Problem(Meaning.SUPPRESS, "not a valid number"),
    21212: Problem(Meaning.ACCOUNT, "the sender is not valid"),
    21265: Problem(Meaning.SUPPRESS, "a short code receives no messages"),
    21266: Problem(Meaning.REFUSED, "sender and recipient are the same number"),
    21267: Problem(Meaning.ACCOUNT, "a trial account has no alphanumeric sender"),
    21268: Problem(Meaning.SUPPRESS, "a premium rate number"),
    21408: Problem(Meaning.REFUSED, "messages to this region are not enabled for the account"),
    21602: Problem(Meaning.REFUSED, "no text"),
    21603: Problem(Meaning.ACCOUNT, "no sender"),
    21604: Problem(Meaning.REFUSED, "no recipient"),
    21605: Problem(Meaning.REFUSED, "the text is too long"),
    21606: Problem(Meaning.ACCOUNT, "the sender cannot send messages here"),
    21608: Problem(Meaning.REFUSED, "a trial account sends to verified numbers only"),
    21609: Problem(Meaning.ACCOUNT, "the address for receipts is not accepted (BELLWIRE_PUBLIC_URL)"),
    21610: Problem(Meaning.SUPPRESS, "the recipient has unsubscribed"),
    21611: Problem(Meaning.THROTTLED, "the sender's queue is full", 600.0),
    21612: Problem(Meaning.REFUSED, "no way from this sender to this number"),
    21614: Problem(Meaning.SUPPRESS, "not a mobile number"),
    21617: Problem(Meaning.REFUSED, "the text is too long"),
    21619: Problem(Meaning.REFUSED, "no text"),
    21635: Problem(Meaning.SUPPRESS, "a landline"),
    21654: Problem(Meaning.REFUSED, "the content is not accepted"),
    21659: Problem(Meaning.ACCOUNT, "the sender is not a Twilio number"),
    21660: Problem(Meaning.ACCOUNT, "the sender is not of this account"),
    21661: Problem(Meaning.ACCOUNT, "the sender cannot send messages"),
    21701: Problem(Meaning.ACCOUNT, "there is no such messaging service"),
    21703: Problem(Meaning.ACCOUNT, "the messaging service has no number for this recipient"),
    21704: Problem(Meaning.ACCOUNT, "the messaging service has no numbers"),
    21705: Problem(Meaning.ACCOUNT, "the messaging service is not valid"),
    30001: Problem(Meaning.THROTTLED, "the queue is full", 600.0),
    30002: Problem(Meaning.ACCOUNT, "the account is suspended"),
    30003: Problem(Meaning.LATER, "the handset cannot be reached"),
    30004: Problem(Meaning.REFUSED, "blocked"),
    30005: Problem(Meaning.SUPPRESS, "an unknown number"),
    30006: Problem(Meaning.SUPPRESS, "a landline, or a carrier that cannot be reached"),
    30007: Problem(Meaning.REFUSED, "filtered as unwanted"),
    30008: Problem(Meaning.LATER, "unknown error of the carrier"),
    30034: Problem(Meaning.ACCOUNT, "the sender is not registered with the carriers (A2P 10DLC)"),
    30454: Problem(Meaning.THROTTLED, "the account's number of messages is used up", 3600.0),
    63038: Problem(Meaning.THROTTLED, "the account's daily number of messages is used up", 3600.0),
    90007: Problem(Meaning.REFUSED, "the validity period is not accepted"),
}


class TwilioProvider(Provider):
    """One account and its sender. `Address.value` is a telephone number.

    Attributes:
        is_tenants: a tenant's own account: its receipts name the tenant, with whose token they are checked.
    """

    channel = "sms"
    name = "twilio"
    capabilities = Capabilities(
        parts=frozenset({"text"}), bulkhead=sms.BULKHEAD, deadline=DEADLINE, receipts=True, limits=LIMITS
    )
    credentials = {  # noqa: RUF012
        "account_sid": "twilio_account_sid",
        "auth_token": "twilio_auth_token",
        "from": "twilio_from",
    }
    is_tenants = False

    def __init__(self, account_sid: str, auth_token: str, sender: str, url: str, receipts: str | None, parts: int):
        """`receipts`: our public https address, None without one; `parts`: how many a text may have."""
        if not _SID.fullmatch(account_sid):
            raise SettingsError("BELLWIRE_TWILIO_ACCOUNT_SID: must be AC and 32 letters or digits")
        if not _SENDER.fullmatch(sender):
            raise SettingsError("BELLWIRE_TWILIO_FROM: must be a number in E.164 form or a messaging service, MG...")
        self._url = f"{url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._headers = {
            "Authorization": "Basic " + b64encode(f"{account_sid}:{auth_token}".encode()).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._sender = ("MessagingServiceSid" if sender.startswith("MG") and len(sender) == 34 else "From", sender)
        self._receipts = receipts
        self._parts = parts
        self._timeout = timeout_of(self.capabilities.deadline)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by account, token and sender; of these three all or none."""
        sid, token, sender = settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_from
        secret = token.get_secret_value() if token else ""
        given = {"ACCOUNT_SID": sid, "AUTH_TOKEN": secret, "FROM": sender}
        if not any(given.values()):
            return None
        if missing := [name for name, value in given.items() if not value]:
            raise SettingsError(f"BELLWIRE_TWILIO_{missing[0]}: must be set, because another of Twilio's is")
        public = settings.public_url if settings.public_url.startswith("https://") else None
        return cls(sid or "", secret, sender or "", settings.twilio_url, public, settings.sms_segments)

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """See `Provider.from_account`."""
        provider = super().from_account(settings, credentials)
        if provider is not None:
            provider.is_tenants = True
        return provider

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send the text, cut to the number of parts that is set; see `Provider.send`."""
        number, text = e164(address.value), sms.body(message, self._parts)
        if self._session is None:
            self._session = open_session(self._timeout, headers=self._headers)
        form = urlencode(self._form(message, number, text)).encode()
        return _receipt(await exchange(self._session, self._url, form, {}, self._timeout), text)

    def _form(self, message: Message, number: str, text: str) -> dict[str, str]:
        form = {"To": number, self._sender[0]: self._sender[1], "Body": text}
        if self._receipts:
            query = {"delivery": message.delivery_id, **({"tenant": message.tenant} if self.is_tenants else {})}
            form["StatusCallback"] = f"{self._receipts.rstrip('/')}/v1/receipts/twilio?{urlencode(query)}"
        if message.expires_in is not None and message.expires_in < LONGEST_VALIDITY:
            form["ValidityPeriod"] = str(max(1, int(message.expires_in)))
        return form

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _receipt(answer: Answer, text: str) -> Receipt:
    """201 is the answer to what is queued, whatever becomes of the body; no other success is Twilio's."""
    said = _json(answer.body)
    sid = member(said, "sid")
    sid = sid if isinstance(sid, str) else None
    if answer.status != 201 and not (answer.status == 200 and sid):
        raise _problem(answer, said)
    counted = member(said, "num_segments")  # 0 while a messaging service has not chosen its sender
    known = int(counted) if isinstance(counted, str) and re.fullmatch("[1-9][0-9]?", counted, re.ASCII) else 0
    return Receipt(sid, f"HTTP {answer.status}", segments=known or sms.segments(text).count)


def _problem(answer: Answer, said: Any) -> SendError:
    if 200 <= answer.status < 300:
        return OutcomeUnknownError("the answer is not what Twilio answers")
    wait = retry_after(answer.headers.get("Retry-After"))
    code = member(said, "code")
    if not isinstance(code, int) or isinstance(code, bool):
        return error(by_status(answer.status), f"HTTP {answer.status}", wait)
    return error(PROBLEMS.get(code) or by_status(answer.status), f"Twilio {code}", wait)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
