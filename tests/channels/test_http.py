"""How the ending of an HTTP exchange is read."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from channels.base import NotSentError, OutcomeUnknownError, RefusedError
from channels.guard import AddressRefusedError
from channels.http import (
    UnreachableError,
    ending,
    exchange,
    open_session,
    retry_after,
    timeout_of,
)
from workers.receivers.script import Fault, Reply

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NOT_ALLOWED = "address not allowed; see BELLWIRE_WEBHOOK_ALLOW_NETWORKS"
KEY = ConnectionKey("example.org", 443, True, True, None, None, None)


@pytest.mark.mission("E-45")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("999999999", 999999999.0),
        ("Fri, 20 Nov 2026 09:01:30 GMT", 90.0),
        ("Friday, 20-Nov-26 09:01:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 09:01:30", 90.0),
        ("Fri, 20 Nov 2026 08:59:00 GMT", None),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 400, None),
        ("٣", None),
        ("Fri, 99 Nov 9999999 99:99:99 GMT", None),
        ("NaN", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nonsense_is_ignored(value, seconds):
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "refused")), UnreachableError, "refused"),
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "unknown")), UnreachableError, "host not found"),
        (aiohttp.ClientConnectorError(KEY, OSError(113, "no route")), NotSentError, "EHOSTUNREACH"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "handshake")), NotSentError, "TLS"),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("other")), NotSentError, "certificate"),
        (aiohttp.ConnectionTimeoutError("example.org"), NotSentError, "in time"),
        (aiohttp.ClientConnectorError(KEY, AddressRefusedError()), RefusedError, NOT_ALLOWED),
        (aiohttp.ClientConnectorDNSError(KEY, AddressRefusedError()), RefusedError, NOT_ALLOWED),
        (aiohttp.InvalidURL("http://x"), RefusedError, "URL"),
        (TimeoutError(), OutcomeUnknownError, "no answer"),
        (aiohttp.SocketTimeoutError(), OutcomeUnknownError, "no answer"),
        (aiohttp.ServerDisconnectedError(), OutcomeUnknownError, "lost"),
        (aiohttp.ClientOSError(104, "reset"), OutcomeUnknownError, "lost"),
        (aiohttp.ClientResponseError(None, (), status=400), OutcomeUnknownError, "not HTTP"),
    ],
)
def test_the_ending_is_decided_by_whether_bytes_can_have_left(error, kind, words):
    found = ending(error, 10.0)
    assert type(found) is kind
    assert words in found.detail
    assert "example.org" not in found.detail


def exchange_with(hooks, run, body=b"{}"):
    async def scenario():
        timeout = timeout_of(1.0)
        session = open_session(timeout)
        try:
            return await exchange(session, hooks.url + "/", body, {}, timeout)
        finally:
            await session.close()

    return run(scenario())


def test_at_most_64_kib_of_an_answer_are_read(hooks, run):
    hooks.script("/", Reply(body=b"x" * 1_000_000))
    answer = exchange_with(hooks, run)
    assert answer.status == 200
    assert 0 < len(answer.body) <= 65536


def test_a_status_stands_although_the_body_never_ends(hooks, run):
    hooks.script("/", Reply(fault=Fault.TRICKLE_BODY))
    answer = exchange_with(hooks, run)
    assert answer.status == 200


def test_a_compressed_bomb_is_not_unpacked(hooks, run):
    hooks.script("/", Reply(body=b"\x1f\x8b" + b"\x00" * 50, headers={"Content-Encoding": "gzip"}))
    assert exchange_with(hooks, run).body.startswith(b"\x1f\x8b")
