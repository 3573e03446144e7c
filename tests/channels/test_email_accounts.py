"""Accounts, connections and second attempts of the email providers with an API."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import AccountError, Address, Message, OutcomeUnknownError, RefusedError
from channels.registry import PROVIDERS, configured
from config.settings import SettingsError
from workers.receivers.desks import postmark, resend, sendgrid, ses
from workers.receivers.script import Reply

NAMES = ("resend", "sendgrid", "ses", "postmark")
each = pytest.mark.parametrize("name", NAMES)

TO = Address("someone@example.org", "Some One")
CREDENTIALS = {
    "resend": {"api_key": resend.KEY, "webhook_secret": "whsec_x"},
    "sendgrid": {"api_key": sendgrid.KEY},
    "postmark": {"token": postmark.TOKEN},
    "ses": {"access_key_id": ses.KEY_ID, "secret_access_key": ses.SECRET, "region": ses.REGION},
}
REQUIRED = [
    (name, credential) for name, given in CREDENTIALS.items() for credential in given if credential != "webhook_secret"
]
URLS = ("resend_url", "sendgrid_url", "postmark_url", "ses_url")


def message(number: int = 1, **values) -> Message:
    return Message(f"delivery-{number}", "acme", "event", "ssl_expiry", **{"title": "Hi", "text": "x", **values})


def closing(provider, what):
    async def scenario():
        try:
            return await what
        finally:
            await provider.close()

    return scenario()


# --- a second attempt


@pytest.mark.mission("A-3")
def test_what_is_sent_again_after_an_unknown_outcome_arrives_once(lab, email_provider, within, run):
    provider = email_provider("resend", within(PROVIDERS["email"]["resend"], 0.4))
    lab.script("resend", Reply(wait=1.0), Reply())  # the first is taken, and its answer comes too late

    async def scenario() -> str | None:
        with pytest.raises(OutcomeUnknownError):
            await provider.send(message(), TO)
        return (await provider.send(message(), TO)).message_id

    found = run(closing(provider, scenario()))
    assert lab.desks["resend"].sent == {"delivery-1": found}
    assert [one.headers["idempotency-key"] for one in lab.received] == ["delivery-1", "delivery-1"]
    assert provider.capabilities.idempotent


def test_what_is_sent_again_with_other_words_is_refused_and_not_sent_twice(lab, email_provider, run):
    provider = email_provider("resend")

    async def scenario() -> None:
        await provider.send(message(), TO)
        with pytest.raises(RefusedError, match="an earlier attempt had another content"):
            await provider.send(message(text="other"), TO)

    run(closing(provider, scenario()))
    assert list(lab.desks["resend"].sent) == ["delivery-1"]


@pytest.mark.parametrize("name", ["resend", "sendgrid", "postmark"])
def test_the_same_message_is_the_same_bytes_at_every_attempt(name, lab, email_provider, run):
    provider = email_provider(name)

    async def scenario() -> None:
        for _ in range(2):
            await provider.send(message(html="<p>x</p>", user_id="u", unsubscribe="https://example.org/u/t"), TO)

    run(closing(provider, scenario()))
    assert lab.received[0].body == lab.received[1].body


# --- connections


@pytest.mark.mission("A-25")
@each
def test_fifty_mails_five_at_a_time_open_five_connections(name, lab, email_provider, run):
    provider = email_provider(name)
    room = asyncio.Semaphore(provider.capabilities.bulkhead.concurrent)

    async def one(number: int) -> None:
        async with room:
            await provider.send(message(number), TO)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(50)))

    run(closing(provider, all_of_them()))
    assert len(lab.received) == 50
    assert lab.connections <= 5


@pytest.mark.mission("A-25")
def test_all_ways_of_sending_email_share_one_bulkhead():
    found = {kind.capabilities.bulkhead for kind in PROVIDERS["email"].values()}
    assert [(one.concurrent, one.waiting, one.shared) for one in found] == [(5, 20, True)]


@pytest.mark.mission("E-45")
def test_published_rates_are_declared():
    found = {
        name: [(one.amount, one.seconds) for one in PROVIDERS["email"][name].capabilities.limits] for name in NAMES
    }
    assert found == {"resend": [(5, 1)], "sendgrid": [], "ses": [(14, 1)], "postmark": []}


@each
def test_every_one_of_them_reports_later_what_became_of_a_mail(name):
    assert PROVIDERS["email"][name].capabilities.receipts


# --- accounts


@pytest.mark.mission("E-20")
def test_the_order_of_failover_is_that_of_the_settings(make_settings):
    accounts = {
        "smtp_url": "smtp://127.0.0.1",
        "resend_api_key": "re_x",
        "sendgrid_api_key": "SG.x",
        "postmark_token": "x",
        "aws_access_key_id": "AKIAX",
        "aws_secret_access_key": "x",
        "aws_region": "eu-central-1",
    }

    def order(**values) -> list[str]:
        return [one.name for one in configured(make_settings(**accounts, **values), preview=False)["email"]]

    assert order() == ["smtp", "resend", "sendgrid", "ses", "postmark"]
    assert order(email_providers="postmark,ses,postmark") == ["postmark", "ses"]


@pytest.mark.parametrize(("name", "missing"), REQUIRED)
def test_an_account_that_is_not_complete_is_none(name, missing, make_settings):
    kind = PROVIDERS["email"][name]
    assert kind.from_account(make_settings(), CREDENTIALS[name]) is not None
    given = {credential: value for credential, value in CREDENTIALS[name].items() if credential != missing}
    assert kind.from_account(make_settings(), given) is None


@each
def test_a_tenant_sends_with_its_own_account(name, lab, make_settings, run):
    urls = {f"{name}_url": lab.url_of(name)}
    provider = PROVIDERS["email"][name].from_account(make_settings(**urls), CREDENTIALS[name])
    assert run(closing(provider, provider.send(message(), TO))).detail.startswith("HTTP 20")


@each
def test_nothing_of_the_installations_account_is_mixed_into_a_tenants(name, make_settings, lab, run):
    everything = {
        "resend_api_key": resend.KEY,
        "sendgrid_api_key": sendgrid.KEY,
        "postmark_token": postmark.TOKEN,
        "aws_access_key_id": ses.KEY_ID,
        "aws_secret_access_key": ses.SECRET,
        "aws_session_token": "the-installations",
        "aws_region": ses.REGION,
        "ses_configuration_set": "the-installations",
        "ses_topic_arns": "arn:aws:sns:eu-central-1:1:the-installations",
        **{url: lab.url_of(url.removesuffix("_url")) for url in URLS},
    }
    settings = make_settings(**everything)
    kind = PROVIDERS["email"][name]
    assert kind.from_account(settings, {}) is None
    provider = kind.from_account(settings, CREDENTIALS[name])
    run(closing(provider, provider.send(message(), TO)))
    assert b"the-installations" not in lab.received[0].body
    assert "the-installations" not in str(lab.received[0].headers)


@each
def test_a_credential_that_does_not_exist_is_named(name, make_settings):
    with pytest.raises(SettingsError, match=f"^password: {name} has no such credential$"):
        PROVIDERS["email"][name].from_account(make_settings(), {"password": "x"})


@pytest.mark.parametrize(
    ("name", "credential", "value"),
    [
        ("resend", "api_key", "re_\r\nX: y"),
        ("resend", "api_key", "re_ä"),
        ("sendgrid", "api_key", "SG. x"),
        ("postmark", "token", "x" * 5000),
        ("ses", "region", "evil.example/#"),
        ("ses", "region", "eu-central-1.evil"),
        ("ses", "access_key_id", "AKIA/x"),
        ("ses", "secret_access_key", "a b"),
    ],
)
def test_a_credential_that_cannot_be_used_is_named_and_not_repeated(name, credential, value, make_settings):
    with pytest.raises(SettingsError, match=f"^{credential}: ") as caught:
        PROVIDERS["email"][name].from_account(make_settings(), {**CREDENTIALS[name], credential: value})
    assert value not in str(caught.value)


@pytest.mark.parametrize("url", URLS)
def test_a_base_address_that_is_none_is_explained(url, make_settings):
    name = url.removesuffix("_url")
    settings = make_settings(**{url: "api.example.org"})
    with pytest.raises(SettingsError, match=f"BELLWIRE_{url.upper()}: must begin with https://"):
        PROVIDERS["email"][name].from_account(settings, CREDENTIALS[name])


@pytest.mark.parametrize("sender", ["nobody", "a@example.org, b@example.org"])
@each
def test_a_default_sender_that_is_no_address_is_explained(name, sender, make_settings):
    with pytest.raises(SettingsError, match="BELLWIRE_EMAIL_FROM"):
        PROVIDERS["email"][name].from_account(make_settings(email_from=sender), CREDENTIALS[name])


@each
def test_a_sender_that_the_provider_has_not_verified_is_a_matter_of_the_account(name, email_provider, run):
    provider = email_provider(name)
    with pytest.raises(AccountError):
        run(closing(provider, provider.send(message(sender=f"x@{resend.UNVERIFIED}"), TO)))


def test_amazon_is_told_the_configuration_set_whose_events_it_publishes(lab, email_provider, run):
    provider = email_provider("ses", ses_configuration_set=ses.CONFIGURATION_SET)
    run(closing(provider, provider.send(message(), TO)))
    assert b'"ConfigurationSetName": "bellwire"' in lab.received[0].body


def test_amazons_signature_is_of_this_moment_and_carries_the_session_token(lab, email_provider, run):
    provider = email_provider("ses", aws_session_token="token-1")
    run(closing(provider, provider.send(message(), TO)))
    headers = lab.received[0].headers
    assert headers["x-amz-security-token"] == "token-1"
    assert "x-amz-security-token" in headers["authorization"]
    signed = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - signed) < timedelta(minutes=1)


def test_postmarks_own_list_reaches_ours(lab, email_provider, run):
    lab.desks["postmark"].inactive.add(TO.value)
    provider = email_provider("postmark")
    with pytest.raises(RefusedError) as caught:
        run(closing(provider, provider.send(message(), TO)))
    assert caught.value.fate == "suppress"


def test_the_registry_loads_none_of_the_heavy_libraries():
    """Each worker process would pay for them with its memory, whether it sends with them or not."""
    program = (
        "import sys, channels.registry; print(sorted({'boto3', 'botocore', 'inscriptis', 'lxml'} & set(sys.modules)))"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_provider_can_be_used_again_after_it_was_closed(email_provider, run):
    provider = email_provider("resend")

    async def scenario() -> None:
        await provider.send(message(1), TO)
        await provider.close()
        await provider.send(message(2), replace(TO, name=None))

    run(closing(provider, scenario()))
