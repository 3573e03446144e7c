"""FCM: what Google is sent, what every answer means, and that one access token serves everybody."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.service_account import Credentials

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
from channels.google import EARLY
from channels.push_fcm import SCOPE, FcmProvider
from config.settings import SettingsError
from domain.vocabulary import Priority
from workers.receivers.desks import fcm
from workers.receivers.desks.fcm import PROJECT, TOKEN, problem, unregistered
from workers.receivers.lab import Lab
from workers.receivers.script import Fault, Reply

DELIVERY = "1f0c0d6e-0a34-4d4c-9a55-0d2d4e8f6a11"


def message(delivery: str = DELIVERY, **values: Any) -> Message:
    given = {"title": "Certificate", "text": "a.example.org has expired", **values}
    return Message(delivery, "tenant", "event", "ssl_expiry", "n-1", **given)


@pytest.fixture
def google(receivers) -> Lab:
    return receivers.google


@pytest.fixture
def account(lab, google) -> dict[str, Any]:
    return {"fcm_url": lab.url_of("fcm"), "fcm_credentials": fcm.service_account(f"{google.url_of('google')}/token")}


@pytest.fixture
def using(account, make_settings, run) -> Callable[..., Any]:
    """Runs a scenario with a provider, which is closed afterwards."""

    def running(scenario: Any, kind: type[FcmProvider] = FcmProvider, **changed: Any) -> Any:
        async def whole() -> Any:
            provider = kind.from_settings(make_settings(**{**account, **changed}))
            assert provider is not None
            try:
                return await scenario(provider)
            finally:
                await provider.close()

        return run(whole())

    return running


@pytest.fixture
def send(using) -> Callable[..., Receipt]:
    def sending(said: Message | None = None, token: str = TOKEN, **changed: Any) -> Receipt:
        return using(lambda provider: provider.send(said or message(), Address(token, platform="android")), **changed)

    return sending


@pytest.mark.mission("C-7")
@pytest.mark.mission("E-13")
@pytest.mark.mission("E-14")
@pytest.mark.mission("E-15")
def test_a_device_is_told_in_googles_words(lab, send):
    receipt = send(
        message(
            priority=Priority.CRITICAL,
            badge=3,
            image="https://example.org/i.png",
            link="https://example.org/x",
            data={"days": 3, "from": "reserved"},
        )
    )
    (sent,) = lab.received
    assert sent.accepted
    assert json.loads(sent.body) == {
        "message": {
            "token": TOKEN,
            "data": {
                "link": "https://example.org/x",
                "image": "https://example.org/i.png",
                "days": "3",
                "type": "ssl_expiry",
                "deliveryId": DELIVERY,
                "notificationId": "n-1",
            },
            "android": {
                "priority": "HIGH",
                "ttl": "3600s",
                "collapse_key": "ssl_expiry",
                "notification": {
                    "title": "Certificate",
                    "body": "a.example.org has expired",
                    "icon": "ic_notification",
                    "color": "#007AFF",
                    "sound": "default",
                    "tag": DELIVERY,
                    "image": "https://example.org/i.png",
                    "notification_count": 3,
                },
            },
        }
    }
    assert receipt.message_id.startswith(f"projects/{PROJECT}/messages/")


def test_the_longest_token_leaves_the_message_its_room(lab, send):
    token = "a" * 4096
    send(message(text="x" * 9000), token)
    (sent,) = lab.received
    assert sent.accepted
    assert sent.target == token


def failing(status: int, name: str, words: str = "Said by Google", **more: Any) -> Reply:
    return problem(status, name, words, **more)


# Every error of firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, in the forms in which it comes.
GONE, WAITS, LATER, THROTTLED, BUSY, REFUSED = "gone", "account", "later", "throttled", "device busy", "refused"
ERRORS = {
    "unregistered": (unregistered(), GONE),
    "another sender's": (failing(403, "PERMISSION_DENIED", "SenderId mismatch", code="SENDER_ID_MISMATCH"), GONE),
    "no token": (
        failing(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"),
        GONE,
    ),
    "no token, by its field": (failing(400, "INVALID_ARGUMENT", field="message.token"), GONE),
    "a bad value": (failing(400, "INVALID_ARGUMENT", code=None, field="message.data[0].value"), REFUSED),
    "too big": (failing(400, "INVALID_ARGUMENT", "Android message is too big"), REFUSED),
    "not authenticated": (failing(401, "UNAUTHENTICATED", code=None), WAITS),
    "no right": (failing(403, "PERMISSION_DENIED", code=None), WAITS),
    "the third party's key": (failing(401, "UNAUTHENTICATED", code="THIRD_PARTY_AUTH_ERROR"), WAITS),
    "no such project": (failing(404, "NOT_FOUND", code=None), WAITS),
    "quota": (failing(429, "RESOURCE_EXHAUSTED", code="QUOTA_EXCEEDED"), THROTTLED),
    "quota of one device": (
        failing(429, "RESOURCE_EXHAUSTED", "Device message rate exceeded", code="QUOTA_EXCEEDED"),
        BUSY,
    ),
    "unavailable": (failing(503, "UNAVAILABLE"), LATER),
    "internal": (failing(500, "INTERNAL"), LATER),
    "unspecified": (failing(500, "UNKNOWN", code="UNSPECIFIED_ERROR"), LATER),
    "not JSON": (Reply(400, b"<html>private words"), REFUSED),
    "another JSON": (Reply(403, b'[{"error": "private words"}]'), WAITS),
    "details of another kind": (Reply(400, b'{"error": {"details": [7, {"fieldViolations": 7}]}}'), REFUSED),
    "a redirect": (Reply(302, b"", {"Location": "https://example.org"}), REFUSED),
}


def ending(error: Exception) -> str:
    match error:
        case AccountError():
            return WAITS
        case NotSentError(throttled=True, provider_failed=False):
            return THROTTLED
        case NotSentError(provider_failed=False):
            return BUSY
        case NotSentError():
            return LATER
        case RefusedError(fate=Fate.DEACTIVATE, provider_failed=False):
            return GONE
        case RefusedError(fate=Fate.NONE, provider_failed=False):
            return REFUSED
    return repr(error)


@pytest.mark.mission("E-18")
@pytest.mark.parametrize(("reply", "follows"), ERRORS.values(), ids=ERRORS)
def test_every_error_of_fcm_has_its_consequence(reply, follows, lab, send):
    lab.script(TOKEN, reply)
    with pytest.raises((NotSentError, RefusedError)) as caught:
        send()
    assert ending(caught.value) == follows
    assert "private" not in caught.value.detail
    assert "Said by" not in caught.value.detail


@pytest.mark.parametrize(
    ("reply", "wait"),
    [
        (failing(503, "UNAVAILABLE", **{"Retry-After": "120"}), 120),
        (failing(429, "RESOURCE_EXHAUSTED", code="QUOTA_EXCEEDED", **{"Retry-After": "7"}), 7),
        (failing(429, "RESOURCE_EXHAUSTED", code="QUOTA_EXCEEDED"), 60),
        (failing(500, "INTERNAL"), None),
    ],
)
def test_it_comes_back_when_google_says(reply, wait, lab, send):
    lab.script(TOKEN, reply)
    with pytest.raises(NotSentError) as caught:
        send()
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_may_have_passed_it_on(status, lab, send):
    lab.script(TOKEN, Reply(status, b"<html>"))
    with pytest.raises(OutcomeUnknownError):
        send()


def test_an_answer_that_cannot_be_read_after_a_good_status_is_a_good_answer(lab, send):
    lab.script(TOKEN, Reply(200, b"{"))
    assert send() == Receipt(message_id=None, detail="HTTP 200")


@pytest.mark.parametrize("token", ["", "short", "a" * 10_240, "a" * 40 + " b", "a" * 40 + '","x":"'])
def test_what_is_no_registration_token_is_given_up_before_anything_is_sent(token, lab, google, send):
    with pytest.raises(RefusedError, match="not a registration token") as caught:
        send(token=token)
    assert caught.value.fate is Fate.DEACTIVATE
    assert lab.connections == google.connections == 0


def test_a_hundred_at_once_fetch_one_access_token_and_share_the_connections(lab, google, using):
    async def scenario(provider: FcmProvider) -> None:
        for start in (0, 100):
            await asyncio.gather(
                *(provider.send(message(str(number)), Address(TOKEN)) for number in range(start, start + 100))
            )

    using(scenario)
    assert len(google.received) == 1
    assert set(lab.times_accepted().values()) == {1}
    assert len(lab.received) == 200
    assert lab.connections <= min(100, FcmProvider.capabilities.bulkhead.concurrent)


def test_an_access_token_that_google_no_longer_takes_is_fetched_anew_and_the_message_sent_once_more(lab, google, using):
    refused = problem(401, "UNAUTHENTICATED", "expired", code=None)
    lab.script(TOKEN, refused, Reply(), refused)

    async def scenario(provider: FcmProvider) -> None:
        await provider.send(message(), Address(TOKEN))
        with pytest.raises(AccountError):  # a second time within a minute is not the token's age
            await provider.send(message(), Address(TOKEN))

    using(scenario)
    assert [one.accepted for one in lab.received] == [False, True, False]
    assert len(google.received) == 2


def test_an_access_token_is_renewed_before_it_ends_without_holding_anything_up(lab, google, using):
    async def scenario(provider: FcmProvider) -> None:
        await provider.send(message("1"), Address(TOKEN))
        provider._access._until = time.monotonic() + EARLY - 1
        google.script("google", Reply(wait=0.3))
        began = time.monotonic()
        await provider.send(message("2"), Address(TOKEN))
        assert time.monotonic() - began < 0.3
        assert await asyncio.to_thread(google.wait_for, lambda seen: len(seen.received) == 2)

    using(scenario)
    assert len(lab.received) == 2


def test_a_send_that_is_cancelled_takes_the_access_token_from_no_other(lab, google, using):
    google.script("google", Reply(wait=0.3))

    async def scenario(provider: FcmProvider) -> None:
        first, second = (asyncio.create_task(provider.send(message(one), Address(TOKEN))) for one in "12")
        assert await asyncio.to_thread(google.wait_for, lambda seen: len(seen.received) == 1)
        first.cancel()
        assert (await second).detail == "HTTP 200"

    using(scenario)
    assert [one.key for one in lab.received] == ["2"]


@pytest.mark.parametrize(
    ("reply", "deadline", "error", "words"),
    [
        (Reply(400, b'{"error": "invalid_grant", "error_description": "private"}'), 10, AccountError, "not accept"),
        (Reply(401, b'{"error": "unauthorized_client"}'), 10, AccountError, "not accept"),
        (Reply(fault=Fault.RESET), 10, NotSentError, "was not reached"),
        (Reply(fault=Fault.HANG), 0.5, NotSentError, "no access token in time"),
    ],
    ids=["grant", "client", "reset", "hang"],
)
def test_without_an_access_token_nothing_is_sent(reply, deadline, error, words, lab, google, using, within):
    google.script("google", reply)
    with pytest.raises(error, match=words) as caught:
        using(lambda provider: provider.send(message(), Address(TOKEN)), within(FcmProvider, deadline))
    assert isinstance(caught.value, AccountError) == (error is AccountError)
    assert "private" not in caught.value.detail
    assert lab.connections == 0


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(fcm.service_account("https://oauth2.googleapis.com/token")), **values})


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ("/nowhere.json", "is neither a key nor the path"),
        ("{}", "must be the JSON of a service account"),
        ('{"type": "service_account"', "must be the JSON of a service account"),
        (changed(type="authorized_user"), "must be the JSON of a service account"),
        (changed(client_email=7), "must be the JSON of a service account"),
        (changed(private_key="-----BEGIN PRIVATE KEY-----"), "private_key cannot be read"),
        (changed(token_uri="http://169.254.169.254/token"), "token_uri must be"),
        (changed(token_uri="http://oauth2.googleapis.com/token"), "token_uri must be"),
        (changed(token_uri="https://oauth2.googleapis.com.example.org/token"), "token_uri must be"),
    ],
)
def test_an_account_that_cannot_work_is_named_at_the_start(credentials, words, make_settings):
    with pytest.raises(SettingsError, match=f"BELLWIRE_FCM_CREDENTIALS: .*{words}"):
        FcmProvider.from_settings(make_settings(fcm_credentials=credentials))


def test_the_credentials_may_be_a_file(lab, account, send, tmp_path):
    (tmp_path / "account.json").write_text(account["fcm_credentials"])
    send(fcm_credentials=str(tmp_path / "account.json"))
    assert lab.received[0].accepted


def test_googles_own_library_is_served_as_by_google(lab, account):
    credentials = Credentials.from_service_account_info(json.loads(account["fcm_credentials"]), scopes=[SCOPE])
    session = AuthorizedSession(credentials)
    url = f"{account['fcm_url']}/v1/projects/{PROJECT}/messages:send"

    def post(**said: Any) -> Any:
        return session.post(url, json={"message": said}, timeout=5)

    assert post(token=TOKEN, data={"a": "1"}).json()["name"].startswith(f"projects/{PROJECT}/messages/0:")
    number = post(token=TOKEN, data={"a": 1})
    assert (number.status_code, number.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert post(token="x").json()["error"]["details"][1]["fieldViolations"][0]["field"] == "message.token"
    session.close()
