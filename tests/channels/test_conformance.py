"""What every provider must do, run over the whole table; a new one adds its line to `DOUBLES` and passes all of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import uvloop

from channels.base import (
    Address,
    Attachment,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Provider,
    Receipt,
    SendError,
)
from channels.preview import PREVIEWED, preview_of
from channels.registry import PROVIDERS
from config.settings import Settings
from workers.receivers import apns
from workers.receivers.desks import fcm, postmark, resend, sendgrid, ses, sns, twilio, whatsapp
from workers.receivers.script import Fault, Ledger, Reply
from workers.receivers.together import Receivers

DEADLINE = 1.0  # seconds, instead of the provider's own
SLACK = 0.9  # seconds that a busy machine may add to what all of them do at once; one more attempt takes longer
SECRET_WORDS = ("top-secret", "private-body", "someone", "signing-key")


@dataclass(frozen=True)
class Double:
    """The local stand-in for a provider's server.

    `target`: what a script is set for, so that it decides about the answer to a message that has left.
    `status_is_enough`: an answer counts although its body never ends.
    `multiplexed`: any number of messages at once share one connection.
    """

    receiver: Callable[[Receivers], Ledger]
    settings: Callable[[Receivers], dict[str, Any]]
    address: Callable[[Receivers], Address]
    target: str = "*"
    status_is_enough: bool = False
    multiplexed: bool = False


DOUBLES = {
    "apns": Double(
        receiver=lambda running: running.apns,
        settings=lambda running: {
            "apns_url": running.apns.url,
            "apns_key": running.apns.key,
            "apns_key_id": apns.KEY_ID,
            "apns_team_id": apns.TEAM_ID,
            "apns_topic": apns.TOPIC,
        },
        address=lambda _: Address("ab" * 32, platform="ios"),
        status_is_enough=True,
        multiplexed=True,
    ),
    "fcm": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {
            "fcm_url": running.lab.url_of("fcm"),
            "fcm_credentials": fcm.service_account(f"{running.google.url_of('google')}/token"),
        },
        address=lambda _: Address(fcm.TOKEN, platform="android"),
        status_is_enough=True,
    ),
    "postmark": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {
            "postmark_url": running.lab.url_of("postmark"),
            "postmark_token": postmark.TOKEN,
        },
        address=lambda _: Address("someone@example.org", "Some One"),
    ),
    "resend": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {"resend_url": running.lab.url_of("resend"), "resend_api_key": resend.KEY},
        address=lambda _: Address("someone@example.org", "Some One"),
    ),
    "sendgrid": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {"sendgrid_url": running.lab.url_of("sendgrid"), "sendgrid_api_key": sendgrid.KEY},
        address=lambda _: Address("someone@example.org", "Some One"),
    ),
    "ses": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {
            "ses_url": running.lab.url_of("ses"),
            "aws_access_key_id": ses.KEY_ID,
            "aws_secret_access_key": ses.SECRET,
            "aws_region": ses.REGION,
        },
        address=lambda _: Address("someone@example.org", "Some One"),
    ),
    "smtp": Double(
        receiver=lambda running: running.mail,
        settings=lambda running: {"smtp_url": running.mail.url},
        address=lambda _: Address("someone@example.org", "Some One"),
        target="end",
    ),
    "sns": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {
            "sns_enabled": True,
            "sns_url": running.lab.url_of("sns"),
            "aws_access_key_id": sns.ACCESS_KEY_ID,
            "aws_secret_access_key": sns.SECRET_ACCESS_KEY,
            "aws_region": sns.REGION,
        },
        address=lambda _: Address("+4915112345678"),
    ),
    "telegram": Double(
        receiver=lambda running: running.telegram,
        settings=lambda running: {"telegram_url": running.telegram.url, "telegram_bot_token": "1:top-secret"},
        address=lambda _: Address("4711"),
    ),
    "twilio": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {
            "twilio_url": running.lab.url_of("twilio"),
            "twilio_account_sid": twilio.ACCOUNT_SID,
            "twilio_auth_token": twilio.AUTH_TOKEN,
            "twilio_from": twilio.FROM,
            "public_url": "https://bellwire.example.org",
        },
        address=lambda _: Address("+4915112345678"),
    ),
    "web_push": Double(
        receiver=lambda running: running.lab,
        settings=lambda _: {
            "vapid_private_key": "U2VjcmV0LXNpZ25pbmcta2V5LW9mLWEtdGVzdC1vbmw",
            "webhook_allow_networks": "127.0.0.0/8",
        },
        address=lambda running: Address(
            running.lab.desks["web_push"].subscribe("someone", running.lab.url_of("web_push")), platform="web"
        ),
        status_is_enough=True,
    ),
    "webhook": Double(
        receiver=lambda running: running.webhook,
        settings=lambda _: {"webhook_allow_networks": "127.0.0.0/8"},
        address=lambda running: Address(
            f"{running.webhook.url}/someone?token=top-secret", endpoint="e1", secrets=(b"signing-key",)
        ),
        status_is_enough=True,
    ),
    "whatsapp": Double(
        receiver=lambda running: running.lab,
        settings=lambda running: {
            "whatsapp_url": running.lab.url_of("whatsapp"),
            "whatsapp_token": whatsapp.TOKEN,
            "whatsapp_phone_number_id": whatsapp.PHONE_NUMBER_ID,
        },
        address=lambda _: Address("+4915112345678"),
    ),
}
# Apprise opens a connection for each message, to hosts that nobody can change, and says yes or no: what it can promise
# is asked of it in tests/channels/test_apprise.py.
KINDS = {name: kind for table in PROVIDERS.values() for name, kind in table.items() if name != "apprise"}

each_provider = pytest.mark.parametrize("name", sorted(KINDS))


def message(number: int = 1, **values: Any) -> Message:
    given = {"title": "Hello", "text": f"private-body {number}", "html": "<p>x</p>", "body": b'{"a": "private-body"}'}
    return Message(f"delivery-{number}", "tenant", "event", "ssl_expiry", **{**given, **values})


@pytest.fixture
def build(receivers: Receivers, make_settings: Any, within: Any) -> Callable[..., Provider]:
    def make(name: str, deadline: float | None = None) -> Provider:
        kind = within(KINDS[name], deadline) if deadline else KINDS[name]
        provider = kind.from_settings(make_settings(**DOUBLES[name].settings(receivers)))
        assert provider is not None
        return provider

    return make


async def closing(provider: Provider, what: Any) -> Any:
    try:
        return await what
    finally:
        await provider.close()


def test_every_provider_of_the_table_has_a_double():
    assert set(DOUBLES) == set(KINDS)


def test_a_provider_stands_in_the_table_under_its_own_name_and_channel():
    found = {(channel, name): kind for channel, table in PROVIDERS.items() for name, kind in table.items()}
    assert set(found) == {(kind.channel, kind.name) for kind in found.values()}


@each_provider
def test_a_deadline_fits_into_the_shortest_sensible_lease(name):
    assert 0 < KINDS[name].capabilities.deadline <= 20


@each_provider
def test_a_minimal_message_is_accepted_once(name, receivers, build, run):
    provider, double = build(name), DOUBLES[name]
    minimal = Message("delivery-1", "tenant", "event", "type", text="x", body=b"{}")
    receipt = run(closing(provider, provider.send(minimal, double.address(receivers))))
    assert isinstance(receipt, Receipt)
    assert len(double.receiver(receivers).received) == 1


HOSTILE = {
    "line breaks": "a\r\nBcc: other@example.org\r\n\r\nbody\n.\n..\r.\r\n",
    "markdown": "_*[x](y)~`>#+-=|{}.! \\ ``` || __ *",
    "emoji and marks": "👩‍👩‍👧 Z̷a̸l̵g̶o ‮right to left‬ \u2028 \ufeff",
    "control characters": "a\x00b\x07c\x1b[31m\x7f\x85",
    "half a pair": "lone \ud800 surrogate",
    "encoded word": "=?utf-8?q?=0D=0ABcc=3A?= =?x?= =?utf-8?b?!!!?=",
    "long": "word " * 3000,
    "one long word": "x" * 9000,
    "nothing": "",
    "html": "<script>alert(1)</script>&amp;<!--",
    "quotes": '"; drop table \'"\\"',
}


@each_provider
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_carried_and_breaks_nothing(name, text, receivers, build, run):
    provider, double = build(name), DOUBLES[name]
    where = double.address(receivers)
    where = Address(where.value, name=text, endpoint=where.endpoint, secrets=where.secrets)
    said = message(
        title=text,
        text=text,
        html=text,
        body=text.encode("utf-8", "replace"),
        attachments=(Attachment(text, text, b"\x00\xff"),),
    )
    assert isinstance(run(closing(provider, provider.send(said, where))), Receipt)
    received = double.receiver(receivers).received
    assert [one.target for one in received] == [received[0].target]


UNKNOWN = (Fault.HANG, Fault.TRICKLE, Fault.RESET, Fault.RESET_EARLY, Fault.HANG_UP, Fault.NONSENSE)
IN_TIME = "in time"


@dataclass(frozen=True)
class Ending:
    """How a send ended, after how many seconds."""

    answer: Receipt | SendError
    seconds: float

    @property
    def when(self) -> str:
        return IN_TIME if self.seconds < DEADLINE + SLACK else f"after {self.seconds:.2f} s"


@pytest.fixture
def endings(receivers, build, run) -> Callable[[Fault], dict[str, Ending]]:
    """Sends one message by every provider, all at once, to receivers that misbehave; the endings by provider."""

    async def end_of(provider: Provider, where: Address) -> Ending:
        began = time.monotonic()
        try:
            answer: Receipt | SendError = await provider.send(message(), where)
        except SendError as error:
            answer = error
        return Ending(answer, time.monotonic() - began)

    def send_by_all(fault: Fault) -> dict[str, Ending]:
        for double in DOUBLES.values():
            double.receiver(receivers).script(double.target, Reply(fault=fault))
        sends = [(build(name, DEADLINE), double.address(receivers)) for name, double in DOUBLES.items()]

        async def scenario() -> dict[str, Ending]:
            ended = await asyncio.gather(*(end_of(*one) for one in sends))
            await asyncio.gather(*(provider.close() for provider, _ in sends))
            return dict(zip(DOUBLES, ended, strict=True))

        return run(scenario())

    return send_by_all


@pytest.fixture(scope="module")
def loaded() -> None:
    """Every provider has sent something: what a library takes to load belongs to no deadline."""
    from_values = partial(Settings, _env_file=None, email_from="Bellwire <bellwire@example.org>")
    with Receivers() as well:
        for name, double in DOUBLES.items():
            provider = KINDS[name].from_settings(from_values(**double.settings(well)))
            assert provider is not None
            uvloop.run(closing(provider, provider.send(message(), double.address(well))))


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("fault", UNKNOWN)
def test_no_answer_after_the_message_left_is_unknown_within_the_deadline(fault, endings):
    found = endings(fault)
    told = {name: (type(ending.answer), ending.when) for name, ending in found.items()}
    assert told == dict.fromkeys(DOUBLES, (OutcomeUnknownError, IN_TIME))
    assert [name for name, ending in found.items() if not ending.answer.provider_failed] == []
    for ending in found.values():
        assert_tells_no_secret(ending.answer)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("fault", [Fault.ENDLESS_BODY, Fault.TRICKLE_BODY])
def test_an_answer_without_end_ends_with_the_deadline(fault, endings):
    told = {name: (type(ending.answer), ending.when) for name, ending in endings(fault).items()}
    assert told == {
        name: (Receipt if double.status_is_enough else OutcomeUnknownError, IN_TIME) for name, double in DOUBLES.items()
    }


@each_provider
def test_nobody_there_means_certainly_not_sent(name, make_settings, within, run):
    with Receivers() as gone:
        values, where = DOUBLES[name].settings(gone), DOUBLES[name].address(gone)
    provider = within(KINDS[name], DEADLINE).from_settings(make_settings(**values))
    with pytest.raises(NotSentError) as caught:
        run(closing(provider, provider.send(message(), where)))
    assert caught.value.provider_failed
    assert_tells_no_secret(caught.value)


@each_provider
def test_fifty_messages_share_one_connection(name, receivers, build, run):
    provider, double = build(name), DOUBLES[name]

    async def one_after_the_other() -> None:
        for number in range(50):
            await provider.send(message(number), double.address(receivers))

    run(closing(provider, one_after_the_other()))
    assert len(double.receiver(receivers).received) == 50
    assert double.receiver(receivers).connections == 1


@each_provider
def test_many_at_once_are_each_accepted_once_over_no_more_connections_than_declared(name, receivers, build, run):
    provider, double = build(name), DOUBLES[name]
    concurrent = provider.capabilities.bulkhead.concurrent

    async def all_at_once() -> None:
        room = asyncio.Semaphore(concurrent)

        async def one(number: int) -> None:
            async with room:
                await provider.send(message(number), double.address(receivers))

        await asyncio.gather(*(one(number) for number in range(60)))

    run(closing(provider, all_at_once()))
    accepted = double.receiver(receivers).times_accepted()
    assert len(accepted) == 60
    assert set(accepted.values()) == {1}
    assert (0 if double.multiplexed else 1) < double.receiver(receivers).connections <= concurrent


@each_provider
def test_closing_leaves_no_connection_open(name, receivers, build, run):
    provider, double = build(name), DOUBLES[name]

    async def scenario() -> None:
        await provider.send(message(), double.address(receivers))
        assert double.receiver(receivers).open_connections == 1
        await provider.close()
        assert await asyncio.to_thread(double.receiver(receivers).wait_for, lambda seen: seen.open_connections == 0)

    run(scenario())


@each_provider
def test_a_send_that_is_cancelled_leaves_the_provider_usable(name, receivers, build, run):
    provider, double = build(name), DOUBLES[name]
    double.receiver(receivers).script(double.target, Reply(fault=Fault.HANG), Reply())

    async def scenario() -> None:
        hanging = asyncio.ensure_future(provider.send(message(1), double.address(receivers)))
        assert await asyncio.to_thread(double.receiver(receivers).wait_for, lambda seen: len(seen.received) == 1)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert isinstance(await provider.send(message(2), double.address(receivers)), Receipt)

    run(closing(provider, scenario()))


@each_provider
def test_the_library_logs_neither_secrets_nor_bodies_nor_addresses(name, receivers, build, run, caplog):
    caplog.set_level(logging.DEBUG)
    provider, double = build(name), DOUBLES[name]
    double.receiver(receivers).script(
        double.target, Reply(), Reply(500, b"private-body"), Reply(200, b"private-body {")
    )

    async def scenario() -> None:
        for number in range(3):
            with contextlib.suppress(SendError):
                await provider.send(message(number), double.address(receivers))

    run(closing(provider, scenario()))
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith(("mail.log", "asyncio"))]
    assert not [line for line in ours if any(word in line for word in SECRET_WORDS)]


@each_provider
def test_without_an_account_there_is_no_provider_except_for_webhooks(name, make_settings):
    assert (KINDS[name].from_settings(make_settings()) is None) == (name != "webhook")


@pytest.mark.parametrize("channel", PREVIEWED)
def test_the_preview_accepts_everything_on_its_channel(channel, run):
    provider = preview_of(channel)
    receipt = run(provider.send(message(title="\r\n", text="\ud800"), Address("nobody")))
    assert (provider.channel, provider.name) == (channel, "preview")
    assert isinstance(receipt, Receipt)


def assert_tells_no_secret(error: SendError) -> None:
    shown = f"{error} {error.detail} {error.__cause__ or ''}"
    assert not [word for word in SECRET_WORDS if word in shown]
