"""Apple's push service on loopback: HTTP/2 with provider tokens, in the clear or over TLS. Misbehaves on request.

Checks what Apple checks and words its refusals alike: developer.apple.com/documentation/usernotifications.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from workers.receivers.http2 import Http2Connection
from workers.receivers.script import Fault, Ledger, Received, Reply, reset

KEY_ID: Final = "BELLWIRE01"
TEAM_ID: Final = "TEAM000001"
TOPIC: Final = "org.example.bellwire"
STREAMS: Final = 1000  # at once, after the first valid provider token; one until then
PAYLOAD_LIMIT: Final = 4096

_PUSH_TYPES: Final = frozenset(
    {"alert", "background", "voip", "complication", "fileprovider", "mdm", "liveactivity", "pushtotalk", "location"}
)
_TOKEN: Final = re.compile(r"/3/device/((?:[0-9a-fA-F]{2}){32,100})")


class ApnsReceiver(Ledger):
    """The target of a script is the device token, the key the apns-id.

    Attributes:
        key: the private key (PEM) whose public half it knows, under `KEY_ID` of `TEAM_ID`.
        goodbyes: device tokens at whose next request it says goodbye without having processed it.
        refusals: device tokens whose next request it refuses without having processed it.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, window: int = 65_535) -> None:
        super().__init__()
        self._tls = tls
        self._window = window  # bytes of a body that may be under way
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._server: asyncio.Server | None = None
        self._connections: set[Http2Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.goodbyes: set[str] = set()
        self.refusals: set[str] = set()
        self.port = 0
        self._is_valid = lru_cache(maxsize=64)(self._signed_by_us)

    @property
    def key(self) -> str:
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        return self._private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen on 127.0.0.1, on `port` or on a free one."""
        self._loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._tls.set_alpn_protocols(["h2"])
        self._server = await self._loop.create_server(
            lambda: Http2Connection(self._opened, self._closed, self._take, self._window),
            "127.0.0.1",
            self.port,
            ssl=self._tls,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.transport.abort()

    def drop(self) -> None:
        """Close every connection at once, from any thread; new ones are welcome."""
        for connection in list(self._connections):
            self._loop.call_soon_threadsafe(connection.transport.abort)

    def say_goodbye(self) -> None:
        """Take nothing more on the connections that are open, but answer what was taken; from any thread."""
        for connection in list(self._connections):
            self._loop.call_soon_threadsafe(connection.say_goodbye)

    def fall_silent(self) -> None:
        """Hear nothing more on the connections that are open, as behind a router that forgot them; from any thread."""
        for connection in list(self._connections):
            self._loop.call_soon_threadsafe(connection.transport.pause_reading)

    def _opened(self, connection: Http2Connection) -> None:
        connection.number = self.connected()
        self._connections.add(connection)

    def _closed(self, connection: Http2Connection) -> None:
        self.disconnected()
        self._connections.discard(connection)

    def _take(self, connection: Http2Connection, stream: int, headers: dict[str, str], body: bytes) -> None:
        """A whole request. Answered at once if nothing else was scripted."""
        target = headers.get(":path", "").removeprefix("/3/device/").lower()
        if target in self.goodbyes:
            self.goodbyes.discard(target)
            connection.say_goodbye(stream - 2)
            return
        if target in self.refusals:
            self.refusals.discard(target)
            connection.refuse(stream)
            return
        key = headers.get("apns-id", "")
        scripted = self._scripts.get(target) or self._scripts.get("*")
        reply = scripted.next(key) if scripted else Reply()
        if reply.fault is None and reply.status == 200:
            reason = self.refusal(headers, body)
            reply = problem(*reason, wait=reply.wait) if reason else reply
        if reply.fault is not Fault.RESET_EARLY:
            accepted = reply.fault is None and reply.status == 200
            self.record(Received(key, target, body, accepted, connection.number, headers))
        if reply.fault is None and not reply.wait:
            _answer(connection, stream, headers, reply)
            return
        task = self._loop.create_task(_answer_oddly(connection, stream, headers, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def refusal(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str] | None:
        """The status and the reason with which Apple would refuse it; None for a request that is right."""
        checks: tuple[Callable[[Mapping[str, str], bytes], tuple[int, str] | None], ...] = (
            _wrong_path,
            self._wrong_account,
            _wrong_header,
            _wrong_payload,
        )
        return next((found for check in checks if (found := check(headers, body))), None)

    def _wrong_account(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str] | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return 403, "MissingProviderToken"
        issued = self._is_valid(token)
        if issued is None:
            return 403, "InvalidProviderToken"
        if not -60 < time.time() - issued < 3600:
            return 403, "ExpiredProviderToken"
        topic = headers.get("apns-topic")
        if not topic:
            return 400, "MissingTopic"
        return None if topic == TOPIC else (400, "TopicDisallowed")

    def _signed_by_us(self, token: str) -> int | None:
        """When a provider token was issued, if it is one."""
        try:
            claims = jwt.decode(
                token, self._private.public_key(), ["ES256"], issuer=TEAM_ID, options={"verify_iat": False}
            )
            return int(claims["iat"]) if jwt.get_unverified_header(token).get("kid") == KEY_ID else None
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            return None


def problem(status: int, reason: str, wait: float = 0.0, **more: Any) -> Reply:
    """A refusal as Apple words it: ``problem(410, "Unregistered", timestamp=1700000000000)``."""
    return Reply(status, json.dumps({"reason": reason, **more}).encode(), wait=wait)


def _wrong_path(headers: Mapping[str, str], body: bytes) -> tuple[int, str] | None:
    if headers.get(":method") != "POST":
        return 405, "MethodNotAllowed"
    path = headers.get(":path", "")
    if not path.startswith("/3/device/"):
        return 404, "BadPath"
    if path == "/3/device/":
        return 400, "MissingDeviceToken"
    return None if _TOKEN.fullmatch(path) else (400, "BadDeviceToken")


def _wrong_header(headers: Mapping[str, str], body: bytes) -> tuple[int, str] | None:
    if headers.get("apns-priority", "10") not in {"1", "5", "10"}:
        return 400, "BadPriority"
    if headers.get("apns-push-type", "alert") not in _PUSH_TYPES:
        return 400, "InvalidPushType"
    if not headers.get("apns-expiration", "0").isdigit():
        return 400, "BadExpirationDate"
    if len(headers.get("apns-collapse-id", "").encode()) > 64:
        return 400, "BadCollapseId"
    try:
        UUID(headers.get("apns-id", str(UUID(int=0))))
    except ValueError:
        return 400, "BadMessageId"
    return None


def _wrong_payload(headers: Mapping[str, str], body: bytes) -> tuple[int, str] | None:
    if not body:
        return 400, "PayloadEmpty"
    if len(body) > PAYLOAD_LIMIT:
        return 413, "PayloadTooLarge"
    try:
        return None if isinstance(json.loads(body)["aps"], dict) else (400, "PayloadEmpty")
    except (ValueError, KeyError, TypeError):
        return 400, "PayloadEmpty"


def _answer(connection: Http2Connection, stream: int, headers: Mapping[str, str], reply: Reply) -> None:
    if reply.status == 200:
        connection.allow(STREAMS)
    named = {"apns-id": headers["apns-id"]} if headers.get("apns-id") else {}
    connection.respond(stream, reply.status, {**named, **reply.headers}, reply.body)


async def _answer_oddly(connection: Http2Connection, stream: int, headers: Mapping[str, str], reply: Reply) -> None:
    with contextlib.suppress(OSError):
        await asyncio.sleep(reply.wait)
        match reply.fault:
            case None:
                _answer(connection, stream, headers, reply)
            case Fault.RESET_EARLY | Fault.RESET:
                reset(connection.transport)
            case Fault.HANG_UP:
                connection.transport.close()
            case Fault.NONSENSE:
                connection.transport.write(b"\x00\x01 220 this is not what you think\r\n\r\n" * 8)
            case Fault.TRICKLE:
                await connection.trickle(stream, {":status": "200"}, b"late")
            case Fault.TRICKLE_BODY | Fault.ENDLESS_BODY:
                await connection.never_end(stream, slowly=reply.fault is Fault.TRICKLE_BODY)
            case Fault.HANG:
                pass
