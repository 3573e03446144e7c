"""Web Push: what a browser decrypts, what every answer means, and which endpoints are never called."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import pywebpush
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from multidict import CIMultiDict, CIMultiDictProxy

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
from channels.http import Answer
from channels.push_web import WebPushProvider, failure, public_key
from config.settings import SettingsError
from domain.vocabulary import Priority
from workers.receivers.desks.web_push import WebPushDesk, problem
from workers.receivers.lab import json_reply
from workers.receivers.script import Reply

DELIVERY = "1f0c0d6e-0a34-4d4c-9a55-0d2d4e8f6a11"
KEY = "U2VjcmV0LXNpZ25pbmcta2V5LW9mLWEtdGVzdC1vbmw"


def message(delivery: str = DELIVERY, **values: Any) -> Message:
    given = {"title": "Certificate", "text": "a.example.org has expired", **values}
    return Message(delivery, "tenant", "event", "ssl_expiry", "n-1", **given)


@pytest.fixture
def desk(lab) -> WebPushDesk:
    return lab.desks["web_push"]


@pytest.fixture
def subscribe(desk, lab, settings) -> Callable[..., Address]:
    def subscribing(name: str = "someone", server_key: str | None = None) -> Address:
        value = desk.subscribe(name, lab.url_of("web_push"), server_key or public_key(settings))
        return Address(value, platform="web")

    return subscribing


@pytest.fixture
def settings(make_settings) -> Any:
    return make_settings(
        vapid_private_key=KEY, vapid_subject="mailto:push@example.org", webhook_allow_networks="127.0.0.0/8"
    )


@pytest.fixture
def using(settings, run) -> Callable[..., Any]:
    """Runs a scenario with a provider, which is closed afterwards."""

    def running(scenario: Any, given: Any = None) -> Any:
        async def whole() -> Any:
            provider = WebPushProvider.from_settings(given or settings)
            assert provider is not None
            try:
                return await scenario(provider)
            finally:
                await provider.close()

        return run(whole())

    return running


@pytest.fixture
def send(using, subscribe) -> Callable[..., Receipt]:
    def sending(said: Message | None = None, where: Address | None = None, given: Any = None) -> Receipt:
        return using(lambda provider: provider.send(said or message(), where or subscribe()), given)

    return sending


@pytest.mark.mission("C-7")
@pytest.mark.mission("E-13")
def test_a_browser_decrypts_what_was_said(lab, desk, send):
    said = message(badge=3, image="https://example.org/i.png", link="https://example.org/x", data={"days": 3})
    assert send(said).detail == "HTTP 201"
    (sent,) = lab.received
    assert (sent.accepted, sent.target, sent.key) == (True, "someone", DELIVERY)
    assert desk.shown[DELIVERY] == {
        "title": "Certificate",
        "body": "a.example.org has expired",
        "icon": "/icons/notification-icon.png",
        "image": "https://example.org/i.png",
        "badge": 3,
        "tag": "ssl_expiry",
        "renotify": True,
        "data": {
            "link": "https://example.org/x",
            "image": "https://example.org/i.png",
            "days": "3",
            "type": "ssl_expiry",
            "deliveryId": DELIVERY,
            "notificationId": "n-1",
        },
    }


@pytest.mark.mission("E-15")
def test_the_push_service_reads_time_to_live_urgency_and_topic(lab, send):
    send(message(priority=Priority.HIGH, expires_in=90))
    headers = lab.received[0].headers
    assert (headers["ttl"], headers["urgency"], headers["content-encoding"]) == ("90", "high", "aes128gcm")
    assert headers["topic"] == DELIVERY.replace("-", "")


def test_the_longest_message_is_accepted(lab, desk, send):
    send(message(text="ü" * 9000))
    assert lab.received[0].accepted
    assert len(lab.received[0].body) in range(4090, 4097)
    assert desk.shown[DELIVERY]["body"].endswith("ü…")


def test_one_signature_serves_a_push_service_for_hours_and_another_has_its_own(lab, using, subscribe):
    async def scenario(provider: WebPushProvider) -> None:
        for name in ("one", "two"):
            await provider.send(message(name), subscribe(name))
        elsewhere = subscribe("three").value.replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(NotSentError):
            await provider.send(message(), Address(elsewhere))
        assert provider._signed.cache_info().currsize == 2

    using(scenario)
    first, second = (one.headers["authorization"] for one in lab.received)
    assert first == second
    claims = jwt.decode(first.split("t=")[1].split(",")[0], options={"verify_signature": False})
    assert claims["aud"] == lab.url
    assert claims["sub"] == "mailto:push@example.org"
    assert 11 * 3600 < claims["exp"] - time.time() <= 12 * 3600


def test_the_public_key_is_the_one_that_browsers_must_be_told(settings, make_settings, tmp_path):
    key = ec.derive_private_key(int.from_bytes(base64.urlsafe_b64decode(KEY + "=")), ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "vapid.pem").write_bytes(pem)
    told = public_key(settings)
    assert len(base64.urlsafe_b64decode(told + "=")) == 65
    assert told == public_key(make_settings(vapid_private_key=str(tmp_path / "vapid.pem")))
    assert told == public_key(make_settings(vapid_private_key=pem.decode()))
    assert public_key(make_settings()) is None


@pytest.mark.parametrize("given", ["short", "A" * 43, "/nowhere.pem", "-----BEGIN PRIVATE KEY-----\nx\n-----END"])
def test_a_key_that_cannot_sign_is_named_at_the_start(given, make_settings):
    with pytest.raises(SettingsError, match="BELLWIRE_VAPID_PRIVATE_KEY: "):
        WebPushProvider.from_settings(make_settings(vapid_private_key=given))


def test_a_subject_that_nobody_can_be_reached_at_is_named_at_the_start(make_settings):
    with pytest.raises(SettingsError, match="BELLWIRE_VAPID_SUBJECT: must be mailto:"):
        WebPushProvider.from_settings(make_settings(vapid_private_key=KEY, vapid_subject="someone"))


GONE, WAITS, LATER, BUSY, REFUSED = "gone", "account", "later", "busy", "refused"
GOOGLE_MISMATCH = (
    b"the VAPID credentials in the authorization header do not correspond to the credentials used to create the "
    b"subscriptions."
)
ANSWERS = {
    "gone": (problem(410, 106, "Subscription has expired"), GONE),
    "unknown": (problem(404, 102, "Invalid URL endpoint"), GONE),
    "another key, Mozilla": (problem(401, 109, "VAPID public key mismatch"), GONE),
    "another key, Google": (Reply(403, GOOGLE_MISMATCH), GONE),
    "another key, Apple": (json_reply(400, {"reason": "VapidPkHashMismatch"}), GONE),
    "a bad signature, Mozilla": (problem(401, 109, "Invalid bearer token: invalid JWT"), WAITS),
    "a bad signature, Google": (Reply(403, b"invalid JWT provided"), WAITS),
    "a bad signature, Apple": (json_reply(403, {"reason": "BadJwtToken"}), WAITS),
    "no authorization, Apple": (json_reply(400, {"reason": "BadAuthorizationHeader"}), WAITS),
    "forbidden": (Reply(403), WAITS),
    "bad request": (problem(400, 111, "Missing TTL Header"), REFUSED),
    "too large": (problem(413, 104, "Request payload is too large"), REFUSED),
    "moved": (Reply(301, b"", {"Location": "http://127.0.0.1/"}), REFUSED),
    "too many": (Reply(429, b"", {"Retry-After": "30"}), BUSY),
    "throttled, Windows": (Reply(406), BUSY),
    "timeout": (Reply(408), LATER),
    "error": (Reply(500), LATER),
    "unavailable": (problem(503, 201, "Use exponential back-off"), LATER),
}


def ending(error: Exception) -> str:
    match error:
        case AccountError():
            return WAITS
        case NotSentError(throttled=False, provider_failed=False):
            return BUSY
        case NotSentError():
            return LATER
        case RefusedError(fate=Fate.DEACTIVATE, provider_failed=False):
            return GONE
        case RefusedError(fate=Fate.NONE, provider_failed=False):
            return REFUSED
    return repr(error)


@pytest.mark.mission("E-18")
@pytest.mark.parametrize(
    "host", ["fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", "a.notify.windows.com"]
)
@pytest.mark.parametrize(("reply", "follows"), ANSWERS.values(), ids=ANSWERS)
def test_every_answer_of_a_push_service_has_its_consequence(reply, follows, host):
    error = failure(Answer(reply.status, CIMultiDictProxy(CIMultiDict(reply.headers)), reply.body), host)
    assert ending(error) == follows
    assert str(reply.status) in error.detail
    assert follows != BUSY or error.retry_after == (30 if reply.headers else None)


@pytest.mark.parametrize(("reply", "follows"), ANSWERS.values(), ids=ANSWERS)
def test_an_endpoint_of_anybody_says_nothing_about_our_account(reply, follows, lab, send):
    lab.script("someone", reply)
    with pytest.raises((NotSentError, RefusedError)) as caught:
        send()
    assert ending(caught.value) == (REFUSED if follows == WAITS else follows)


@pytest.mark.parametrize("host", ["evilgoogleapis.com", "googleapis.com.example.org", "push.apple.com.", ""])
def test_a_name_that_only_looks_like_a_push_service_is_anybodys(host):
    assert ending(failure(Answer(403, CIMultiDictProxy(CIMultiDict()), b""), host)) == REFUSED


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_may_have_passed_it_on(status, lab, send):
    lab.script("someone", Reply(status))
    with pytest.raises(OutcomeUnknownError):
        send()


def test_a_browser_that_subscribed_with_another_key_is_given_up(send, subscribe, make_settings):
    other = base64.urlsafe_b64encode(b"another key of another server..!").decode().rstrip("=")
    given = make_settings(vapid_private_key=other, webhook_allow_networks="127.0.0.0/8")
    with pytest.raises(RefusedError, match="subscribed with another VAPID key") as caught:
        send(where=subscribe(), given=given)
    assert caught.value.fate is Fate.DEACTIVATE


@pytest.mark.parametrize("value", ["", "{}", "a" * 10_240, '{"endpoint": "https://example.org", "keys": {}}'])
def test_what_is_no_subscription_is_given_up(value, send):
    with pytest.raises(RefusedError, match="not a subscription") as caught:
        send(where=Address(value))
    assert caught.value.fate is Fate.DEACTIVATE


def test_a_key_that_is_no_point_on_the_curve_is_given_up(subscribe, send):
    value = json.loads(subscribe().value)
    value["keys"]["p256dh"] = base64.urlsafe_b64encode(b"\x04" + b"\x01" * 64).decode()
    with pytest.raises(RefusedError, match="not a subscription"):
        send(where=Address(json.dumps(value)))


@pytest.mark.parametrize(
    "endpoint", ["https://127.0.0.1:9/a", "https://[::1]:9/a", "https://169.254.169.254/a", "https://localhost:9/a"]
)
def test_an_endpoint_in_a_private_network_is_never_called(endpoint, subscribe, send, make_settings, lab):
    value = {**json.loads(subscribe().value), "endpoint": endpoint}
    with pytest.raises(RefusedError, match=r"not allowed|no origin"):
        send(where=Address(json.dumps(value)), given=make_settings(vapid_private_key=KEY))
    assert lab.connections == 0


def test_an_endpoint_without_encryption_is_never_called(subscribe, send, make_settings, lab):
    with pytest.raises(RefusedError, match="not https"):
        send(where=subscribe(), given=make_settings(vapid_private_key=KEY))
    assert lab.connections == 0


def test_each_push_service_has_a_breaker_of_its_own(settings, subscribe):
    provider = WebPushProvider.from_settings(settings)
    elsewhere = Address(subscribe().value.replace("127.0.0.1", "push.example.org"))
    assert provider.breaker_key(subscribe()) == "web_push:127.0.0.1"
    assert provider.breaker_key(elsewhere) == "web_push:push.example.org"
    assert provider.breaker_key(Address("nonsense")) == "web_push"


def test_a_hundred_at_once_share_the_connections(lab, using, subscribe):
    where = subscribe()

    async def scenario(provider: WebPushProvider) -> None:
        for start in (0, 100):
            await asyncio.gather(
                *(provider.send(message(f"d-{number}"), where) for number in range(start, start + 100))
            )

    using(scenario)
    assert set(lab.times_accepted().values()) == {1}
    assert len(lab.received) == 200
    assert lab.connections <= 100


def test_another_library_of_the_standards_is_served_as_by_a_push_service(lab, desk, subscribe):
    where = json.loads(subscribe("judge", "").value)
    answer = pywebpush.webpush(where, "hello", KEY, {"sub": "mailto:push@example.org"}, ttl=60, timeout=5)
    assert answer.status_code == 201
    assert list(desk.shown.values()) == ["hello"]
    with pytest.raises(pywebpush.WebPushException) as caught:
        pywebpush.webpush(where, "hello", timeout=5)
    assert caught.value.status_code == 401
    assert [one.accepted for one in lab.received] == [True, False]
