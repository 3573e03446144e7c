"""APNs: what Apple is sent, what every answer means, and that one connection carries everything."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import aioapns
import jwt
import pytest
from aioapns.connection import APNsProductionClientProtocol

from channels.base import (
    AccountError,
    Address,
    Fate,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Receipt,
    RefusedError,
)
from channels.push_apns import ApnsProvider, ProviderToken, failure
from config.settings import SettingsError
from domain.vocabulary import Priority
from workers.receivers.apns import KEY_ID, TEAM_ID, TOPIC, ApnsReceiver, problem
from workers.receivers.script import Fault, Reply

DEVICE = "ab" * 32
DELIVERY = "1f0c0d6e-0a34-4d4c-9a55-0d2d4e8f6a11"


def message(delivery: str = DELIVERY, **values: Any) -> Message:
    given = {"title": "Certificate", "text": "a.example.org has expired", **values}
    return Message(delivery, "tenant", "event", "ssl_expiry", "n-1", **given)


@pytest.fixture
def apple(receivers) -> ApnsReceiver:
    return receivers.apns


@pytest.fixture
def account(apple) -> dict[str, Any]:
    return {
        "apns_url": apple.url,
        "apns_key": apple.key,
        "apns_key_id": KEY_ID,
        "apns_team_id": TEAM_ID,
        "apns_topic": TOPIC,
    }


@pytest.fixture
def using(account, make_settings, run) -> Callable[..., Any]:
    """Runs a scenario with a provider, which is closed afterwards."""

    def running(scenario: Any, **changed: Any) -> Any:
        async def whole() -> Any:
            provider = ApnsProvider.from_settings(make_settings(**{**account, **changed}))
            assert provider is not None
            try:
                return await scenario(provider)
            finally:
                await provider.close()

        return run(whole())

    return running


@pytest.fixture
def send(using) -> Callable[..., Receipt]:
    def sending(said: Message | None = None, device: str = DEVICE, **changed: Any) -> Receipt:
        return using(lambda provider: provider.send(said or message(), Address(device, platform="ios")), **changed)

    return sending


@pytest.mark.mission("C-7")
@pytest.mark.mission("E-13")
@pytest.mark.mission("E-14")
def test_a_device_is_told_in_apples_words(apple, send):
    before = int(time.time())
    receipt = send(
        message(
            priority=Priority.HIGH,
            badge=3,
            image="https://example.org/i.png",
            link="https://example.org/x",
            data={"host": {"name": "a.example.org"}},
            expires_in=60,
        ),
        DEVICE.upper(),
    )
    (sent,) = apple.received
    assert sent.accepted
    assert sent.target == DEVICE
    assert json.loads(sent.body) == {
        "aps": {
            "alert": {"title": "Certificate", "body": "a.example.org has expired"},
            "sound": "default",
            "thread-id": "ssl_expiry",
            "interruption-level": "time-sensitive",
            "badge": 3,
            "mutable-content": 1,
        },
        "data": {
            "link": "https://example.org/x",
            "image": "https://example.org/i.png",
            "host.name": "a.example.org",
            "type": "ssl_expiry",
            "deliveryId": DELIVERY,
            "notificationId": "n-1",
        },
    }
    assert sent.headers["apns-topic"] == TOPIC
    assert (sent.headers["apns-push-type"], sent.headers["apns-priority"]) == ("alert", "10")
    assert before + 60 <= int(sent.headers["apns-expiration"]) <= time.time() + 60
    assert sent.headers["apns-id"] == sent.headers["apns-collapse-id"] == receipt.message_id == DELIVERY


def test_a_message_without_extras_has_no_empty_ones(apple, send):
    send(Message("no uuid", "t", "e", "x", text="hi"))
    (sent,) = apple.received
    assert json.loads(sent.body)["aps"].keys() == {"alert", "sound", "thread-id", "interruption-level"}
    assert json.loads(sent.body)["aps"]["alert"] == {"body": "hi"}
    assert uuid.UUID(sent.headers["apns-id"])


def test_a_badge_of_none_left_to_read_clears_the_icon(apple, send):
    send(message(badge=0))
    assert json.loads(apple.received[0].body)["aps"]["badge"] == 0


def test_the_provider_token_is_signed_as_apple_asks_and_used_for_all(apple, using):
    async def twice(provider: ApnsProvider) -> None:
        for _ in range(2):
            await provider.send(message(), Address(DEVICE))

    using(twice)
    first, second = (one.headers["authorization"] for one in apple.received)
    assert first == second
    token = first.removeprefix("bearer ")
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KEY_ID, "typ": "JWT"}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.keys() == {"iss", "iat"}
    assert claims["iss"] == TEAM_ID


def test_the_key_may_be_a_file(apple, send, tmp_path):
    (tmp_path / "AuthKey.p8").write_text(apple.key)
    send(apns_key=str(tmp_path / "AuthKey.p8"))
    assert apple.received[0].accepted


# Every reason of Apple's table ("Handling notification responses from APNs"), and what follows.
GONE, WAITS, LATER, DEVICE_BUSY, REFUSED = "gone", "account", "later", "device busy", "refused"
REASONS = {
    (400, "BadCollapseId"): REFUSED,
    (400, "BadDeviceToken"): GONE,
    (400, "BadExpirationDate"): REFUSED,
    (400, "BadMessageId"): REFUSED,
    (400, "BadPriority"): REFUSED,
    (400, "BadTopic"): WAITS,
    (400, "DeviceTokenNotForTopic"): GONE,
    (400, "DuplicateHeaders"): REFUSED,
    (400, "IdleTimeout"): LATER,
    (400, "InvalidPushType"): REFUSED,
    (400, "MissingDeviceToken"): REFUSED,
    (400, "MissingTopic"): WAITS,
    (400, "PayloadEmpty"): REFUSED,
    (400, "TopicDisallowed"): WAITS,
    (403, "BadCertificate"): WAITS,
    (403, "BadCertificateEnvironment"): WAITS,
    (403, "BadEnvironmentKeyIdInToken"): WAITS,
    (403, "ExpiredProviderToken"): WAITS,
    (403, "Forbidden"): WAITS,
    (403, "InvalidProviderToken"): WAITS,
    (403, "MissingProviderToken"): WAITS,
    (403, "UnrelatedKeyIdInToken"): WAITS,
    (404, "BadPath"): REFUSED,
    (405, "MethodNotAllowed"): REFUSED,
    (410, "ExpiredToken"): GONE,
    (410, "Unregistered"): GONE,
    (413, "PayloadTooLarge"): REFUSED,
    (429, "TooManyRequests"): DEVICE_BUSY,
    (500, "InternalServerError"): LATER,
    (503, "ServiceUnavailable"): LATER,
    (503, "Shutdown"): LATER,
    (403, ""): WAITS,
    (410, ""): GONE,
    (418, ""): REFUSED,
    (503, ""): LATER,
}


def ending(error: Exception) -> str:
    match error:
        case AccountError():
            return WAITS
        case NotSentError(provider_failed=True, throttled=False):
            return LATER
        case NotSentError(provider_failed=False, throttled=False):
            return DEVICE_BUSY
        case RefusedError(fate=Fate.DEACTIVATE, provider_failed=False):
            return GONE
        case RefusedError(fate=Fate.NONE, provider_failed=False):
            return REFUSED
    return repr(error)


@pytest.mark.mission("E-18")
@pytest.mark.parametrize(("status", "reason"), REASONS)
def test_every_reason_apple_gives_has_its_consequence(status, reason, apple, send):
    apple.script("*", problem(status, reason))
    with pytest.raises((NotSentError, RefusedError)) as caught:
        send()
    assert ending(caught.value) == REASONS[status, reason]
    assert caught.value.detail == f"HTTP {status} {reason}".rstrip()


def test_too_many_provider_tokens_hold_the_account_until_apple_takes_one_again():
    error = failure(429, "TooManyProviderTokenUpdates")
    assert isinstance(error, NotSentError)
    assert (error.throttled, error.retry_after, error.provider_failed) == (True, 1200, False)


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_may_have_passed_it_on(status, apple, send):
    apple.script("*", Reply(status, b"<html>"))
    with pytest.raises(OutcomeUnknownError):
        send()


def test_words_that_are_not_apples_are_not_repeated(apple, send):
    apple.script("*", problem(400, "private words"))
    with pytest.raises(RefusedError, match=r"^HTTP 400$"):
        send()


@pytest.mark.parametrize("device", ["", "zz", "ab" * 5000, DEVICE + "/x", "ab" * 32 + "\r\nx: y"])
def test_what_is_no_device_token_is_given_up_before_anything_is_sent(device, apple, send):
    with pytest.raises(RefusedError, match="not a device token") as caught:
        send(device=device)
    assert caught.value.fate is Fate.DEACTIVATE
    assert apple.connections == 0


def test_an_expired_provider_token_is_made_anew_and_the_message_sent_once_more(apple, using):
    apple.script(DEVICE, problem(403, "ExpiredProviderToken"), Reply(), problem(403, "ExpiredProviderToken"))

    async def scenario(provider: ApnsProvider) -> None:
        await provider.send(message(), Address(DEVICE))
        with pytest.raises(AccountError):  # not again within 20 minutes, or Apple closes the door
            await provider.send(message(), Address(DEVICE))

    using(scenario)
    assert [one.accepted for one in apple.received] == [False, True, False]


def test_many_at_once_make_one_new_token_between_them(apple):
    token = ProviderToken(apple.key, KEY_ID, TEAM_ID)
    expired = token.header()
    assert token.renew(expired)
    fresh = token.header()
    assert fresh != expired or jwt.decode(fresh.decode()[7:], options={"verify_signature": False})
    assert token.renew(expired + b"of another")
    assert not token.renew(fresh)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"apns_key": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"}, "BELLWIRE_APNS_KEY: is not the"),
        ({"apns_key": "/nowhere.p8"}, "BELLWIRE_APNS_KEY: is neither"),
        ({"apns_key_id": None}, "BELLWIRE_APNS_KEY_ID: is needed"),
        ({"apns_team_id": None}, "BELLWIRE_APNS_TEAM_ID: is needed"),
        ({"apns_topic": None}, "BELLWIRE_APNS_TOPIC: is needed"),
        ({"apns_topic": "a\r\nb"}, "BELLWIRE_APNS_TOPIC: must be a bundle id"),
        ({"apns_key_id": "short"}, "BELLWIRE_APNS_KEY_ID: must be ten"),
        ({"apns_team_id": "A" * 11}, "BELLWIRE_APNS_TEAM_ID: must be ten"),
    ],
)
def test_an_account_that_cannot_work_is_named_at_the_start(changed, words, account, make_settings):
    with pytest.raises(SettingsError, match=words):
        ApnsProvider.from_settings(make_settings(**{**account, **changed}))


def test_a_wrong_account_is_an_account_error_at_apple_too(send):
    with pytest.raises(AccountError, match="InvalidProviderToken"):
        send(apns_team_id="OTHERTEAM1")
    with pytest.raises(AccountError, match="TopicDisallowed"):
        send(apns_topic="com.example.other")


def test_a_hundred_pushes_use_one_connection(apple, using):
    async def scenario(provider: ApnsProvider) -> None:
        await asyncio.gather(
            *(provider.send(message(str(uuid.uuid4())), Address(DEVICE, platform="ios")) for _ in range(100))
        )

    using(scenario)
    assert (len(apple.received), apple.connections) == (100, 1)
    assert set(apple.times_accepted().values()) == {1}


def test_no_more_are_under_way_than_apple_allows(apple, using):
    """One until Apple has seen a token, as its documentation says; more would be refused by the protocol."""
    apple.script(DEVICE, Reply(wait=0.2), Reply())

    async def scenario(provider: ApnsProvider) -> None:
        await asyncio.gather(*(provider.send(message(str(uuid.uuid4())), Address(DEVICE)) for _ in range(5)))

    using(scenario)
    first, *others = apple.received
    assert {one.connection for one in others} == {1}
    assert min(one.at for one in others) - first.at >= 0.19


def test_over_tls_the_server_must_be_who_it_says(certificate, serve, make_settings, account, run, monkeypatch):
    apple = serve(ApnsReceiver(certificate.server))
    host = apple.url.replace("127.0.0.1", "localhost")
    settings = make_settings(**{**account, "apns_url": host, "apns_key": apple.key})

    async def scenario() -> Receipt:
        provider = ApnsProvider.from_settings(settings)
        try:
            return await provider.send(message(), Address(DEVICE))
        finally:
            await provider.close()

    with pytest.raises(NotSentError, match="certificate is not valid"):
        run(scenario())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    assert run(scenario()).detail == "HTTP 200"


def test_a_server_that_speaks_something_else_is_not_sent_to(
    certificate, serve, make_settings, account, run, monkeypatch
):
    from workers.receivers.http import HttpReceiver

    other = serve(HttpReceiver(certificate.server))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    settings = make_settings(**{**account, "apns_url": other.url.replace("127.0.0.1", "localhost")})

    async def scenario() -> Receipt:
        provider = ApnsProvider.from_settings(settings)
        try:
            return await provider.send(message(), Address(DEVICE))
        finally:
            await provider.close()

    with pytest.raises(NotSentError, match="does not speak HTTP/2"):
        run(scenario())
    assert other.received == []


def test_another_library_of_apples_protocol_is_served_as_by_apple(certificate, serve, run, monkeypatch):
    """aioapns judges the local server: it accepts from us what it accepts from anybody who speaks as Apple asks."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    apple = serve(ApnsReceiver(certificate.server))

    class Local(APNsProductionClientProtocol):
        APNS_SERVER = "localhost"
        APNS_PORT = apple.port

    async def scenario() -> list[Any]:
        client = aioapns.APNs(key=apple.key, key_id=KEY_ID, team_id=TEAM_ID, topic=TOPIC)
        client.pool.protocol_class = Local
        sent = []
        for device in (DEVICE, "cd" * 32, DEVICE):
            request = aioapns.NotificationRequest(device, {"aps": {"alert": "hello"}}, time_to_live=60)
            sent.append(await client.send_notification(request))
        client.pool.close()
        return sent

    apple.script("cd" * 32, problem(410, "Unregistered", timestamp=int(time.time() * 1000)))
    first, second, third = run(scenario())
    assert first.is_successful
    assert third.is_successful
    assert (second.status, second.description) == ("410", "Unregistered")
    assert [one.accepted for one in apple.received] == [True, False, True]


def test_an_outcome_is_unknown_only_after_the_deadline(apple, account, make_settings, within, run):
    apple.script(DEVICE, Reply(fault=Fault.HANG))
    provider = within(ApnsProvider, 0.3).from_settings(make_settings(**account))

    async def scenario() -> None:
        await provider.send(message(), Address("cd" * 32))
        began = time.monotonic()
        with pytest.raises(OutcomeUnknownError, match="no answer within"):
            await provider.send(message(), Address(DEVICE))
        assert 0.25 < time.monotonic() - began < 0.9
        await provider.send(message(), Address("cd" * 32))  # over a new connection: the old one may be dead
        await provider.close()

    run(scenario())
    assert apple.connections == 2
