"""What answers look like, for the API's description. A test compares them with real answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from domain.vocabulary import CHANNELS

EVENT_ID: Final = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
DELIVERY_ID: Final = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
NOTIFICATION_ID: Final = "0192f0c1-3a0f-7d5b-8f3e-0a1b2c3d4e5f"
FINGERPRINT: Final = "900f0d6d9ee12840de99aea32fc7e738f0eecb21fcbbebc157fa6322405b921e"
MOMENT: Final = "2026-11-20T09:00:00.000Z"

ATTEMPT: Final = {
    "number": 1,
    "provider": "smtp",
    "started_at": MOMENT,
    "duration_ms": 84,
    "outcome": "sent",
    "detail": "250",
}
RECEIPT: Final = {"kind": "opened", "at": MOMENT, "detail": ""}
DELIVERY: Final = {
    "id": DELIVERY_ID,
    "tenant": "acme",
    "event_id": EVENT_ID,
    "event": "ssl_expiry",
    "notification_id": NOTIFICATION_ID,
    "recipient": "u1",
    "channel": "email",
    "webhook": None,
    "provider": "smtp",
    "address": "a•••@example.org",
    "status": "sent",
    "reason": None,
    "due_at": None,
    "created_at": MOMENT,
    "sent_at": MOMENT,
    "delivered_at": None,
    "failed_at": None,
    "folded_into": None,
    "attempts": [ATTEMPT],
    "receipts": [RECEIPT],
}
EVENT: Final = {
    "id": EVENT_ID,
    "type": "ssl_expiry",
    "tenant": "acme",
    "severity": "high",
    "fingerprint": FINGERPRINT,
    "status": "routed",
    "reason": None,
    "condition": "firing",
    "duplicate_of": None,
    "repeats": 0,
    "branch": "berlin",
    "customer_id": None,
    "actor_id": None,
    "occurred_at": MOMENT,
    "accepted_at": MOMENT,
    "expires_at": None,
    "send_at": None,
}
SHOWN: Final = {
    "id": NOTIFICATION_ID,
    "type": "obligations",
    "event": "ssl_expiry",
    "title": "Certificate of shop.example.org expires in 7 days",
    "content": "Renew it before then.",
    "link_url": None,
    "link_text": None,
    "priority": "high",
    "severity": "high",
    "customer_id": None,
    "read": False,
    "read_at": None,
    "status": "delivered",
    "reason": None,
    "ack_by_user_id": None,
    "ack_at": None,
    "ack_note": None,
    "created_at": MOMENT,
}
INBOX: Final = {
    "notifications": [SHOWN],
    "total": 1,
    "unread": 1,
    "limit": 50,
    "offset": 0,
    "next_cursor": None,
}
NOTIFICATION: Final = {**SHOWN, "recipient": "u1", "audience": "admin", "deliveries": [DELIVERY]}
LEDGER: Final = {
    **EVENT,
    "data": {"host": "shop.example.org", "days_left": 7},
    "routes": [{"name": "ssl-to-operations", "matched": True, "reason": None}],
    "skipped": [],
    "notifications": [NOTIFICATION],
    "deliveries": [],
}
ACCEPTED: Final = {"id": EVENT_ID, "status": "accepted", "duplicate_of": None, "fingerprint": FINGERPRINT}
USER: Final = {
    "id": "ana",
    "name": "Ana",
    "email": "ana@example.org",
    "phone": "+4930123456",
    "telegram_chat_id": "123456789",
    "whatsapp": None,
    "locale": "de",
    "time_zone": "Europe/Berlin",
    "quiet_hours": {"from": "22:00", "to": "07:00"},
    "digest": {"cron": "0 8 * * *"},
    "apprise": "discord://•••9f86d081",
    "disabled_channels": ["sms"],
    "roles": ["operations"],
    "customers": [],
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
ME: Final = {
    "id": "ana",
    "name": "Ana",
    "locale": "de",
    "time_zone": "Europe/Berlin",
    "quiet_hours": {"from": "22:00", "to": "07:00"},
    "digest": {"cron": "0 8 * * *"},
    "disabled_channels": ["sms"],
}
PREFERENCES: Final = [
    {
        "group": "identity",
        "event": None,
        "customer_id": None,
        "channels": {**dict.fromkeys(CHANNELS, True), "sms": False},
        "cadence": "daily",
        "cadences": {},
        "locked": ["identity.password-changed"],
    },
    {
        "group": "order",
        "event": "order.created",
        "customer_id": "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01",
        "channels": {"email": False},
        "cadence": None,
        "cadences": {},
        "locked": [],
    },
]
PUSH_TOKEN: Final = {
    "id": "0192f0c1-5c31-7a77-8d34-3f4a5b6c7d8e",
    "platform": "ios",
    "device_id": "iPhone of Ana",
    "is_active": True,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
WEBHOOK: Final = {
    "id": "0192f0c1-4b20-7e66-b123-2e3f4a5b6c7d",
    "name": "mine",
    "user_id": None,
    "url": "https://your-host.example.com/bellwire",
    "events": ["ssl_*"],
    "headers": {"X-Team": "operations"},
    "previous_secret_until": None,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
WITH_SECRET: Final = {**WEBHOOK, "secret": "whsec_..."}
CANCELLED: Final = {"id": EVENT_ID, "status": "cancelled", "withdrawn": 2}
REPLAYED: Final = {
    "replayed": [DELIVERY_ID],
    "left_out": [{"id": EVENT_ID, "reason": "expired"}],
    "more": False,
}

SUPPRESSION: Final = {
    "tenant": "acme",
    "channel": "email",
    "address": "ana@example.org",
    "event": None,
    "reason": "permanent_bounce",
    "source": "webhook",
    "provider": "resend",
    "delivery_id": DELIVERY_ID,
    "created_at": MOMENT,
}

PROVIDER: Final = {
    "provider": "resend",
    "channel": "email",
    "position": 0,
    "account": "own",
    "credentials": ["api_key", "webhook_secret"],
    "senders": {"*": "Acme <no-reply@acme.org>"},
    "receipts_url": "https://bellwire.example.org/v1/receipts/resend?tenant=acme",
    "updated_at": MOMENT,
}

ROUTE: Final = {
    "name": "ssl-to-operations",
    "match": {"event": "ssl_*", "severity": ["high", "critical"], "branch": "*"},
    "recipients": [{"resolver": "role", "role": "operations"}],
    "channels": ["email", "telegram", "webhook", "in_app"],
    "priority": "high",
    "plan": "simultaneous",
    "template": None,
    "sms_severity": "critical",
    "when": {},
    "own": False,
}
EXPLAINED: Final = {
    "id": EVENT_ID,
    "tenant": "acme",
    "type": "ssl_expiry",
    "severity": "high",
    "status": "routed",
    "words": "2 routes of 30 matched, 1 recipient told in 1 delivery.",
    "routes": [{"name": "ssl-to-operations", "reason": None, "matched": True, "words": "matched"}],
    "skipped": [
        {
            "reason": "no_address",
            "channel": "telegram",
            "recipient": "u1",
            "words": "no address is known on this channel",
        }
    ],
    "deliveries": [{**DELIVERY, "words": "The provider took it."}],
    "acknowledged": [],
}
DEAD_LETTERS: Final = {
    "dead_letters": [{**DELIVERY, "status": "dead_letter", "reason": "refused", "failed_at": MOMENT}],
    "causes": [{"reason": "refused", "channel": "email", "count": 1, "example": DELIVERY_ID}],
    "next_cursor": None,
}
TAKEN: Final = {
    **SHOWN,
    "status": "acknowledged",
    "ack_by_user_id": "u1",
    "ack_at": MOMENT,
    "ack_note": "Certificate renewed.",
}
READY: Final = {
    "ready": True,
    "checks": {"database": "ok", "broker": "ok", "redis": "ok"},
    "warnings": ["sms has no provider: its deliveries wait as queued, no_provider"],
}

# Examples by address, of answers that stand nowhere else.
ANSWERS: Final[Mapping[str, Any]] = {
    "GET /v1/routes": {"routes": [ROUTE], "next_cursor": None},
    "GET /v1/routes/{name}": ROUTE,
    "PUT /v1/routes/{name}": {**ROUTE, "own": True},
    "GET /v1/events/{event_id}/explain": EXPLAINED,
    "GET /v1/dead-letters": DEAD_LETTERS,
    "POST /api/cron/retries": {"due": {"email": 12}, "events": 0},
    "POST /v1/notifications/{notification_id}/acknowledge": TAKEN,
    "POST /api/notifications/{notification_id}/acknowledge": {
        re.sub(r"_([a-z])", lambda found: found[1].upper(), name): value for name, value in TAKEN.items()
    },
    "GET /health/live": {"live": True},
    "GET /health/ready": READY,
}
HEARD: Final = '{"type": "email.delivered", "data": {"email_id": "56761188-7520-42d8-8898-ff6fc54ce618"}}'
TEXTS: Final[Mapping[str, str]] = {
    "GET /v1/receipts/{provider}": "1158201444",
    "GET /metrics": "# TYPE bellwire_database_up gauge\nbellwire_database_up 1.0\n",
}


def answered(example: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """What the description says about the answer when all is well; for ``responses`` of a route.

    As text until `api.description` reads it: the framework leaves out what is null, which an answer does say.
    """
    return {status: {"content": {"application/json": {"example": json.dumps(example)}}}}


def listed(name: str, one: Any) -> dict[int | str, dict[str, Any]]:
    """The same for a page of a list."""
    return answered({name: [one], "next_cursor": None})
