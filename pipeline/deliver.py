"""Deliver: what one claimed delivery comes to: whether it is still wanted, what it says, and where it goes."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row

from channels.base import Address, Attachment, Message, Template
from config.settings import settings
from domain.catalogue import EventType
from domain.event import Condition
from domain.plan import DISABLED
from domain.preferences import wants
from domain.recheck import no_longer_wanted
from domain.states import DeliveryStatus
from domain.verdict import Verdict, withdrawn
from domain.vocabulary import PRIORITIES, SEVERITIES, Reason, Severity
from pipeline.context import context
from pipeline.custom import render_custom
from pipeline.event_types import SHIPPED_TYPES, EventTypes
from pipeline.fold import More
from pipeline.links import acknowledge_url, unsubscribe_url
from pipeline.looks import AS_SHIPPED, Made
from pipeline.people import preference_entries
from pipeline.render import Content, Context, render
from pipeline.sealing import opened
from pipeline.secrets_of_events import revealed
from pipeline.telegram import button
from pipeline.wording import mask

NOTHING_MORE: Final = More(0, ())
ACKNOWLEDGED_BY_BUTTON: Final = frozenset(SEVERITIES[Severity.HIGH.rank :])  # what somebody has to take


def look_again(row: Row[Any], channel: str, now: datetime, event_types: EventTypes = SHIPPED_TYPES) -> Verdict | None:
    """What a claimed delivery comes to if it is no longer wanted; None when it is to be sent."""
    if row.url is None and row.webhook_id is not None:
        return withdrawn(row.failures, DeliveryStatus.CANCELLED, Reason.NO_WEBHOOKS_CONFIGURED)
    refused = _refused(row, channel)
    cancelled = row.cancelled or not row.address  # whoever was erased has no address any more
    if not (row.expires_at or row.acknowledged or row.resolved or cancelled or row.preferences or refused):
        return None
    listed = event_types.entry(row.type)
    wanted = listed.transactional or wants(
        preference_entries(row.preferences),
        group=listed.group,
        event=row.type,
        customer_id=row.customer_id,
        channel=channel,
    )
    going = no_longer_wanted(
        now=now,
        expires_at=row.expires_at,
        resolved=row.resolved,
        cancelled=cancelled,
        acknowledged=row.acknowledged,
        wanted=wanted,
        refused=refused,
    )
    return None if going is None else withdrawn(row.failures, *going)


def _refused(row: Row[Any], channel: str) -> Reason | None:
    """Why the address must not be used."""
    if row.disabled:
        return DISABLED.get(channel, Reason.PREFERENCE)
    if row.suppressed is not None:
        return Reason.USER_SUPPRESSED
    return Reason.NO_TOKENS if channel == "push" and not row.token_is_good else None


def message(
    row: Row[Any], channel: str, more: More = NOTHING_MORE, made: Made = AS_SHIPPED, *, reveal: bool = True
) -> Message:
    """The words of one delivery. In a tenant's own template it takes another process, and up to some seconds.

    Args:
        reveal: whether an email says what is secret.

    Raises:
        RenderError: a template is wrong.
        SettingsError: the key is gone that sealed what is secret.
        SandboxAwayError: no process could be had for the tenant's own template; nothing is wrong with it.
    """
    if channel == "webhook":
        return Message(row.id, row.tenant, row.event_id, row.type, row.notification_id, body=webhook_body(row))
    listed = made.event_types.entry(row.type)
    to_be_taken = _is_to_be_taken(row, listed)
    unsubscribe = _unsubscribe(row, channel, listed)
    told = _told(
        row,
        more,
        made,
        data=revealed(row.sealed) if channel == "email" and reveal and row.sealed else json.loads(row.data_json),
        unsubscribe=unsubscribe,
        acknowledge=_acknowledge(row) if to_be_taken and channel == "email" else None,
    )
    if made.template is None:
        said = render(channel, row.template, told)
    else:
        said = render_custom(made.template, channel, told, row.template)
    plain = _plain(row, said)
    match channel:
        case "email":
            return replace(
                plain,
                unsubscribe=unsubscribe,
                attachments=_attachments(row),
                sender_name=made.brand.sender_name,
                reply_to=made.brand.reply_to or None,
            )
        case "push":
            return replace(plain, data=said.data, badge=row.badge)
        case "telegram" if to_be_taken:
            return replace(plain, acknowledge=button(row.tenant, row.notification_id), button=said.button)
        case "whatsapp":
            return replace(plain, template=Template("", "", said.parameters))  # the account's own, which has two places
        case _:
            return plain


def _told(
    row: Row[Any], more: More, made: Made, *, data: Mapping[str, Any], unsubscribe: str | None, acknowledge: str | None
) -> Context:
    """What the words are filled with."""
    return context(
        event_id=row.event_id,
        event_type=row.type,
        severity=Severity(row.severity),
        condition=row.condition,
        occurred_at=row.occurred_at,
        branch=row.branch,
        data=data,
        tenant=row.tenant,
        user_id=row.user_id,
        name=row.name,
        locale=row.locale,
        time_zone=row.time_zone,
        unsubscribe_url=unsubscribe,
        acknowledge_url=acknowledge,
        preferences_url=f"{settings().public_url.rstrip('/')}/inbox" if row.user_id else None,
        more=more.titles,
        more_count=more.count,
        brand=made.brand,
        event_types=made.event_types,
    )


def _plain(row: Row[Any], said: Content) -> Message:
    """The message as far as all channels have it."""
    return Message(
        row.id,
        row.tenant,
        row.event_id,
        row.type,
        row.notification_id,
        title=said.title,
        text=said.text,
        html=said.html,
        user_id=row.user_id,
        priority=PRIORITIES[row.priority],
        link=said.link_url,
        image=said.image,
        expires_in=None if row.expires_at is None else (row.expires_at - datetime.now(UTC)).total_seconds(),
    )


def _is_to_be_taken(row: Row[Any], listed: EventType) -> bool:
    """Whether somebody should say that he takes care of it; good news and small talk want no such thing."""
    return (
        row.notification_id is not None
        and row.condition == Condition.FIRING
        and row.severity in ACKNOWLEDGED_BY_BUTTON
        and not listed.transactional
    )


def _unsubscribe(row: Row[Any], channel: str, listed: EventType) -> str | None:
    """The one-click address of an email (RFC 8058); what is owed to somebody has none."""
    if channel != "email" or listed.transactional:
        return None
    return unsubscribe_url(tenant=row.tenant, user_id=row.user_id, address=row.address, event=row.type, channel=channel)


def _acknowledge(row: Row[Any]) -> str:
    """Dated by the notification's own id and not by the clock: a retry must say the same, byte by byte."""
    made = (UUID(row.notification_id).int >> 80) / 1000  # RFC 9562, section 5.7: the first 48 bits are milliseconds
    return acknowledge_url(tenant=row.tenant, notification_id=row.notification_id, now=made)


def _attachments(row: Row[Any]) -> tuple[Attachment, ...]:
    return tuple(
        Attachment(one["filename"], one["content_type"], b64decode(one["content"])) for one in row.attachments or ()
    )


def webhook_body(row: Row[Any]) -> bytes:
    """The request of a webhook: the same bytes at every attempt, so that its signature and id stay comparable.

    `data` is spliced in as the database wrote it; reading and writing it again would cost more than the signature.
    """
    at = row.occurred_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    user = "null" if row.user_id is None else json.dumps(row.user_id, ensure_ascii=False)
    listed = SHIPPED_TYPES.get(row.type)
    data = row.data_json if listed is None or not listed.secret else _masked(row.data_json, listed.secret)
    return (
        f'{{"id":"{row.notification_id or row.event_id}","type":"{row.type}","userId":{user},'
        f'"data":{data},"timestamp":"{at}"}}'
    ).encode()


def _masked(data_json: str, secret: tuple[str, ...]) -> str:
    """Secrets go out by email only."""
    return json.dumps(mask(json.loads(data_json), secret), ensure_ascii=False)


def address(row: Row[Any], channel: str, now: datetime) -> Address:
    """Where one delivery goes, as of now: a webhook's URL and secret, the group that a chat moved to, a device."""
    if channel == "push":
        return Address(row.token, row.name, platform=row.platform)
    if channel == "apprise":
        return Address(opened(row.apprise).decode() if row.apprise else "", row.name)
    if row.webhook_id is None:
        return Address(row.moved_to or row.address, row.name)
    keys = [row.secret]
    if row.previous_secret is not None and row.previous_until is not None and row.previous_until > now:
        keys.append(row.previous_secret)
    headers = {} if row.headers_json == "{}" else json.loads(row.headers_json)
    return Address(row.url, row.name, row.webhook_id, tuple(opened(key) for key in keys), headers)
