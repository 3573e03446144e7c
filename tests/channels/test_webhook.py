"""Webhooks on the wire: what is sent, how it is signed, and what every answer means."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest
from standardwebhooks.webhooks import Webhook

from channels.base import Address, Message, NotSentError, OutcomeUnknownError, Receipt, RefusedError
from channels.guard import Guard
from channels.webhook import WebhookProvider, check_headers
from domain.errors import InvalidInputError
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Fault, Reply

LOOPBACK = Guard([ip_network("127.0.0.0/8")])
BODY = b'{"id":"n1","type":"ssl_expiry","userId":null,"data":{"host":"\xc3\xbc"},"timestamp":"2026-11-20T09:00:00Z"}'
NEW, OLD = b"n" * 24, b"o" * 24


def message(body: bytes = BODY) -> Message:
    return Message("0193b1a2-delivery", "tenant", "event", "ssl_expiry", body=body)


@pytest.fixture
def send(run):
    def sending(*addresses: Address, body: bytes = BODY, provider: WebhookProvider | None = None) -> Receipt:
        async def scenario() -> Receipt:
            using = provider or WebhookProvider(LOOPBACK)
            try:
                for address in addresses:
                    receipt = await using.send(message(body), address)
                return receipt
            finally:
                await using.close()

        return run(scenario())

    return sending


@pytest.mark.mission("E-38")
def test_the_rendered_bytes_travel_untouched_with_the_promised_headers(hooks, send):
    receipt = send(Address(hooks.url + "/hook?a=b", secrets=(NEW,)))
    received = hooks.received[0]
    assert received.body == BODY
    assert received.target == "/hook?a=b"
    assert received.headers["user-agent"] == "NotificationSystem/1.0"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == "0193b1a2-delivery"
    assert receipt == Receipt(detail="HTTP 200")


@pytest.mark.mission("B-5")
@pytest.mark.mission("E-38")
def test_the_signature_is_that_of_standard_webhooks(hooks, send):
    send(Address(hooks.url, secrets=(NEW,)))
    received = hooks.received[0]
    given = Webhook("whsec_" + base64.b64encode(NEW).decode())
    given.verify(received.body, received.headers)
    stamp = datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), UTC)
    assert received.headers["webhook-signature"] == given.sign("0193b1a2-delivery", stamp, BODY.decode())


@pytest.mark.mission("E-38")
def test_the_plain_signature_is_the_hmac_of_the_body_with_the_newest_secret(hooks, send):
    send(Address(hooks.url, secrets=(NEW, OLD)))
    expected = hmac.new(NEW, BODY, hashlib.sha256).hexdigest()
    assert hooks.received[0].headers["x-webhook-signature"] == f"sha256={expected}"


@pytest.mark.mission("B-5")
def test_while_a_secret_rotates_both_verify_and_a_third_does_not(hooks, send):
    send(Address(hooks.url, secrets=(NEW, OLD)))
    received = hooks.received[0]
    for secret in (NEW, OLD):
        Webhook(base64.b64encode(secret).decode()).verify(received.body, received.headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(base64.b64encode(b"x" * 24).decode()).verify(received.body, received.headers)


@pytest.mark.parametrize("length", [1, 24, 64, 65, 200])
def test_secrets_of_any_length_sign_as_the_rfc_says(length, hooks, send):
    secret = bytes(range(256))[:length]
    send(Address(hooks.url, secrets=(secret,)))
    expected = hmac.new(secret, BODY, hashlib.sha256).hexdigest()
    assert hooks.received[0].headers["x-webhook-signature"] == f"sha256={expected}"


def test_without_a_secret_nothing_is_signed(hooks, send):
    send(Address(hooks.url))
    assert not {"webhook-signature", "x-webhook-signature"} & set(hooks.received[0].headers)


@pytest.mark.mission("B-5")
def test_custom_headers_are_sent(hooks, send):
    send(Address(hooks.url, headers={"Authorization": "Bearer abc", "X-Team": "ops ü"}))
    headers = hooks.received[0].headers
    assert headers["authorization"] == "Bearer abc"
    assert headers["x-team"].encode("latin-1").decode() == "ops ü"


RESERVED = ["Host", "content-length", "Content-Type", "User-Agent", "Webhook-Id", "webhook-signature", "Connection",
            "X-Webhook-Signature", "Transfer-Encoding", "Content-Encoding", "Expect", "Upgrade", "Proxy-Authorization",
            "Keep-Alive", "TE", "Trailer"]  # fmt: skip
MALFORMED = {
    "X-A": "b\r\nX-Evil: 1",
    "X-B": "\x00",
    "X C": "d",
    "X-D\r\nX-Evil": "1",
    "": "x",
    "X-E:": "x",
    "X-F": "\ud800",
}


@pytest.mark.parametrize("name", RESERVED)
def test_a_custom_header_cannot_replace_one_of_ours(name, hooks, send):
    send(Address(hooks.url, secrets=(NEW,), headers={name: "evil"}))
    assert "evil" not in hooks.received[0].headers.values()


def test_malformed_headers_are_left_out_rather_than_sent(hooks, send):
    send(Address(hooks.url, headers=MALFORMED))
    assert not {"x-a", "x-b", "x c", "x-evil", "x-f"} & set(hooks.received[0].headers)


@pytest.mark.parametrize("headers", [{name: "x"} for name in RESERVED] + [{key: MALFORMED[key]} for key in MALFORMED])
def test_such_headers_are_refused_at_registration(headers):
    with pytest.raises(InvalidInputError) as caught:
        check_headers({"X-Fine": "yes", **headers})
    assert caught.value.field == "headers"
    assert "evil" not in str(caught.value).lower()


@pytest.mark.mission("E-38")
@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_sent(status, hooks, send):
    hooks.script("/", Reply(status))
    assert send(Address(hooks.url + "/")).detail == f"HTTP {status}"


@pytest.mark.mission("E-38")
@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 422, 451])
def test_other_answers_below_500_are_for_good_and_not_held_against_the_endpoint(status, hooks, send):
    hooks.script("/", Reply(status))
    with pytest.raises(RefusedError) as caught:
        send(Address(hooks.url + "/"))
    assert f"HTTP {status}" in caught.value.detail
    assert not caught.value.provider_failed


IN_TWO_HOURS = "a date in two hours"


@pytest.mark.mission("E-45")
@pytest.mark.parametrize(
    ("status", "header", "low", "high", "failed"),
    [
        (500, None, None, None, True),
        (502, "7", 7, 7, True),
        (503, "30", 30, 30, True),
        (503, IN_TWO_HOURS, 7100, 7200, True),
        (504, "nonsense", None, None, True),
        (599, "-3", None, None, True),
        (408, None, None, None, True),
        (425, None, None, None, True),
        (429, None, None, None, True),
        (429, "5", 5, 5, False),
        (429, "-5", None, None, True),
    ],
)
def test_answers_that_may_pass_are_tried_again_when_the_endpoint_says(status, header, low, high, failed, hooks, send):
    if header == IN_TWO_HOURS:
        header = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    hooks.script("/", Reply(status, headers={"Retry-After": header} if header else {}))
    with pytest.raises(NotSentError) as caught:
        send(Address(hooks.url + "/"))
    wait = caught.value.retry_after
    assert wait is None if low is None else low <= wait <= high
    assert caught.value.provider_failed == failed


def test_a_redirect_is_not_followed(hooks, send):
    hooks.script("/", Reply(302, headers={"Location": hooks.url + "/inside"}))
    with pytest.raises(RefusedError, match="redirects"):
        send(Address(hooks.url + "/"))
    assert [one.target for one in hooks.received] == ["/"]


def test_proxies_of_the_environment_are_ignored(hooks, send, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    send(Address(hooks.url))
    assert len(hooks.received) == 1


def test_cookies_are_not_kept(hooks, send):
    hooks.script("/", Reply(headers={"Set-Cookie": "a=b"}))
    send(Address(hooks.url + "/"), Address(hooks.url + "/"))
    assert "cookie" not in hooks.received[1].headers


@pytest.mark.mission("E-36")
def test_nobody_there_is_asked_three_more_times_a_second_apart_and_then_not_sent(send):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = Address(f"http://127.0.0.1:{reserved.getsockname()[1]}/")
        began = time.monotonic()
        with pytest.raises(NotSentError, match="connection refused"):
            send(address)
    assert 3.0 <= time.monotonic() - began < 4.0


@pytest.mark.mission("E-36")
def test_an_endpoint_that_comes_up_within_the_quick_tries_gets_it_in_one_attempt(run, serve):
    receiver = HttpReceiver()
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        receiver.port = reserved.getsockname()[1]

    async def scenario() -> Receipt:
        provider = WebhookProvider(LOOPBACK)
        sending = asyncio.ensure_future(provider.send(message(), Address(receiver.url)))
        done, _ = await asyncio.wait({sending}, timeout=0.3)
        assert not done
        await asyncio.to_thread(serve, receiver)
        try:
            return await sending
        finally:
            await provider.close()

    assert run(scenario()).detail == "HTTP 200"
    assert receiver.times_accepted() == {"0193b1a2-delivery": 1}


def test_an_answer_that_is_lost_is_not_tried_again_within_the_attempt(hooks, send):
    hooks.script("/", Reply(fault=Fault.RESET), Reply())
    with pytest.raises(OutcomeUnknownError):
        send(Address(hooks.url + "/"))
    assert len(hooks.received) == 1


@pytest.mark.mission("E-36")
def test_no_connection_in_time_is_certainly_not_sent(send, within):
    with contextlib.ExitStack() as held, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # the queue is full: further connections get no answer at all
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        provider = within(WebhookProvider, 1.0)(LOOPBACK)
        with pytest.raises(NotSentError, match="in time"):
            send(Address(f"http://127.0.0.1:{full.getsockname()[1]}/"), provider=provider)


def test_a_certificate_that_nobody_vouches_for_means_not_sent(certificate, serve, send):
    receiver = serve(HttpReceiver(certificate.server))
    with pytest.raises(NotSentError, match="certificate"):
        send(Address(receiver.url))
    assert not receiver.received


def test_a_connection_that_the_endpoint_closed_meanwhile_is_not_used_again(hooks, run):
    async def scenario() -> None:
        provider = WebhookProvider(LOOPBACK)
        await provider.send(message(), Address(hooks.url))
        await asyncio.to_thread(hooks.drop)
        assert await asyncio.to_thread(hooks.wait_for, lambda seen: seen.open_connections == 0)
        await provider.send(message(), Address(hooks.url))
        await provider.close()

    run(scenario())
    assert [one.connection for one in hooks.received] == [1, 2]


def test_an_answer_before_a_large_body_was_read_counts(run):
    async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async def scenario() -> None:
        server = await asyncio.start_server(answer_early, "127.0.0.1", 0)
        provider = WebhookProvider(LOOPBACK)
        try:
            port = server.sockets[0].getsockname()[1]
            await provider.send(message(b"x" * 20_000_000), Address(f"http://127.0.0.1:{port}/"))
        finally:
            await provider.close()
            server.close()

    began = time.monotonic()
    with pytest.raises(RefusedError, match="413"):
        run(scenario())
    assert time.monotonic() - began < 5


@pytest.mark.mission("A-23")
@pytest.mark.parametrize(
    ("address", "key"),
    [
        (Address("https://example.org/a", endpoint="e1"), "webhook:e1"),
        (Address("https://example.org/b"), "webhook:example.org"),
    ],
)
def test_the_breaker_counts_by_endpoint(address, key):
    assert WebhookProvider(Guard()).breaker_key(address) == key
