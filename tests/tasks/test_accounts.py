"""Tenants with accounts of their own at providers: whose is used, in which order, and what follows a change at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from models.engine import engine
from pipeline.provider_accounts import delete_account, put_account
from workers.receivers.desks.resend import KEY as RESEND_KEY
from workers.receivers.desks.sendgrid import KEY as SENDGRID_KEY
from workers.receivers.desks.twilio import ACCOUNT_SID, AUTH_TOKEN, FROM
from workers.receivers.lab import json_reply
from workers.receivers.together import Receivers

EVENT = {"tenant": "acme", "type": "order.created", "severity": "critical", "recipients": ["u1"]}
REJECTED = json_reply(401, {"statusCode": 401, "name": "invalid_api_key", "message": "API key is invalid"})


def settings_for(receivers: Receivers) -> dict[str, str]:
    """The installation has SMTP, and no account for text messages at all."""
    lab = receivers.lab
    return {
        "BELLWIRE_EMAIL_PROVIDERS": "smtp",
        "BELLWIRE_EMAIL_FROM": "Bellwire <bellwire@example.org>",
        "BELLWIRE_RESEND_URL": lab.url_of("resend"),
        "BELLWIRE_SENDGRID_URL": lab.url_of("sendgrid"),
        "BELLWIRE_TWILIO_URL": lab.url_of("twilio"),
    }


@pytest.fixture
def account(process: Any) -> Callable[..., Any]:
    """Stores an account of a tenant."""

    def put(provider: str, credentials: dict[str, str] | None = None, tenant: str = "acme", **body: Any) -> Any:
        with engine().begin() as connection:
            return put_account(
                connection,
                tenant=tenant,
                provider=provider,
                body={"credentials": credentials, **body},
                actor="cli",
            )

    return put


@pytest.fixture
def told(process: Any) -> Callable[..., Any]:
    """Tells `u1` of an order, and gives the delivery on a channel as it is then."""
    process.user("u1", email="u1@example.org", phone="+4915123456789")
    numbers = iter(range(1000))

    def tell(channel: str = "email", **fields: Any) -> Any:
        process.publish({**EVENT, "data": {"order": next(numbers)}, **fields})
        process.ring(channel)
        return process.deliveries(channel)[-1]

    return tell


def test_a_tenant_without_accounts_uses_the_installations(told: Callable[..., Any]) -> None:
    assert (told().status, told().provider) == ("sent", "smtp")


@pytest.mark.mission("E-20")
def test_a_tenants_own_account_is_used_instead_of_the_installations(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    account("resend", {"api_key": RESEND_KEY})
    assert (told().status, told().provider) == ("sent", "resend")
    assert not process.receivers.mail.received


@pytest.mark.mission("E-20", "E-23")
def test_the_tenants_order_decides_and_the_installations_account_has_its_place_in_it(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    account("sendgrid", {"api_key": SENDGRID_KEY}, position=1)
    account("resend", {"api_key": RESEND_KEY}, position=2)
    account("smtp", None, position=3)
    for desk in ("sendgrid", "resend"):
        process.receivers.lab.script(desk, REJECTED)
    assert told().provider == "smtp"
    tried = process.execute("SELECT provider FROM attempts ORDER BY number")
    assert [row.provider for row in tried] == ["sendgrid", "resend", "smtp"]


def test_another_tenant_is_not_touched(process: Any, account: Callable[..., Any], told: Callable[..., Any]) -> None:
    from pipeline.setup import ensure_tenant

    with engine().begin() as connection:
        ensure_tenant(connection, "other")
    account("resend", {"api_key": RESEND_KEY}, tenant="other")
    assert told().provider == "smtp"


@pytest.mark.mission("E-46")
def test_a_change_is_in_force_for_the_next_message(account: Callable[..., Any], told: Callable[..., Any]) -> None:
    account("resend", {"api_key": RESEND_KEY})
    assert told().provider == "resend"
    with engine().begin() as connection:
        delete_account(connection, tenant="acme", provider="resend", actor="cli")
    assert told().provider == "smtp"


def test_new_credentials_of_the_same_account_are_used_at_once(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    account("resend", {"api_key": "re_of-yesterday"})
    assert told().status == "queued"
    account("resend", {"api_key": RESEND_KEY})
    process.child.sender.start_counting()  # the breaker had its failures from the old key
    assert told().status == "sent"


@pytest.mark.mission("E-22")
def test_a_tenants_senders_go_by_event_type_the_most_specific_pattern_first(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    senders = {"*": "Acme <hello@example.org>", "order.*": "Acme Orders <orders@example.org>"}
    account("smtp", None, senders=senders)
    told()
    told(type="ssl_expiry")
    said = [one.body for one in process.receivers.mail.received]
    assert b"Acme Orders <orders@example.org>" in said[0]
    assert b"Acme <hello@example.org>" in said[1]


def test_credentials_that_cannot_be_opened_any_more_make_the_delivery_wait_and_lose_nothing(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    account("resend", {"api_key": RESEND_KEY})
    process.execute("UPDATE provider_accounts SET credentials = 'sealed with a key that is gone'")
    delivery = told()
    assert (delivery.status, delivery.reason, delivery.attempts) == ("queued", "no_provider", 0)


def test_where_the_installation_has_no_provider_only_tenants_with_one_are_served(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    waiting = told("sms")
    assert (waiting.status, waiting.reason, waiting.lease_until) == ("queued", "no_provider", None)
    account("twilio", {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN, "from": FROM})
    process.ring("sms")
    assert [one.status for one in process.deliveries("sms")] == ["sent"], "what waited goes out with the new account"
    assert told("sms").status == "sent"


def test_an_account_at_a_provider_that_is_gone_stops_nobody(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    account("resend", {"api_key": RESEND_KEY})
    process.execute("UPDATE provider_accounts SET provider = 'pigeon'")
    assert told().reason == "no_provider"
    with engine().begin() as connection:
        connection.execute(text("DELETE FROM provider_accounts"))
    assert told().status == "sent"


def test_the_provider_of_a_deleted_account_is_given_up(
    process: Any, account: Callable[..., Any], told: Callable[..., Any]
) -> None:
    account("resend", {"api_key": RESEND_KEY})
    told()
    kept = process.child.sender._lines["email"]._accounts._kept
    assert list(kept) == [("acme", "resend")]
    with engine().begin() as connection:
        delete_account(connection, tenant="acme", provider="resend", actor="cli")
    told()
    assert not kept
