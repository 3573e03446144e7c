"""An SMTP server that takes mail for anybody, and misbehaves at the step it is told."""

from __future__ import annotations

import asyncio
import contextlib
import email
import logging
import ssl
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from workers.receivers.http import trickle
from workers.receivers.script import Fault, Ledger, Received, Reply, reset

STEPS: Final = ("greeting", "ehlo", "auth", "mail", "rcpt", "data", "end")


class MailReceiver(Ledger):
    """The key is the part of the Message-ID before the @ (a delivery's id), the target a recipient.

    Scripts are set per step (``script("rcpt", Reply(450))``) and count per server; statuses are SMTP codes, 200 means
    the usual one.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, login: tuple[str, str] | None = None, utf8: bool = True
    ) -> None:
        super().__init__()
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self.tls = tls
        self.login = login
        self.utf8 = utf8
        self.commands: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._sessions: set[_Conversation] = set()

    @property
    def url(self) -> str:
        """As the settings want it, with the login if there is one."""
        login = f"{self.login[0]}:{self.login[1]}@" if self.login else ""
        return f"smtp://{login}127.0.0.1:{self.port}?starttls={'true' if self.tls else 'false'}"

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._loop = loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Conversation(self, loop), "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.drop()

    def drop(self) -> None:
        """Close every connection at once, from any thread; new ones are welcome."""
        for session in list(self._sessions):
            self._loop.call_soon_threadsafe(session.drop)

    def opened(self, session: _Conversation) -> int:
        """Count a connection."""
        self._sessions.add(session)
        return self.connected()

    def closed(self, session: _Conversation) -> None:
        """A connection is gone."""
        self._sessions.discard(session)
        self.disconnected()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by the library with a whole mail."""
        content = bytes(envelope.original_content or b"")
        identifier = str(email.message_from_bytes(content)["Message-ID"] or "")
        key = identifier.strip("<>").partition("@")[0]
        reply = self.reply("end", key)
        if reply.fault is not Fault.RESET_EARLY:
            accepted = reply.fault is None and reply.status in {200, 250}
            for recipient in envelope.rcpt_tos:
                self.record(Received(key, recipient, content, accepted, getattr(server, "number", 0)))
        assert isinstance(server, _Conversation)
        return await server.obey(reply) or "250 2.0.0 Ok: taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Accept the one login."""
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self.login, handled=False)


class _Conversation(SMTP):  # type: ignore[misc]  # the library has no types
    """One connection; every step first asks the script."""

    def __init__(self, receiver: MailReceiver, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            receiver,
            hostname="receiver.localhost",
            enable_SMTPUTF8=receiver.utf8,
            tls_context=receiver.tls,
            authenticator=receiver.authenticate if receiver.login else None,
            auth_required=receiver.login is not None,
            auth_require_tls=receiver.tls is not None,
            loop=loop,
        )
        self._receiver = receiver
        self._greeted = False
        self.number = receiver.opened(self)

    def eof_received(self) -> bool | None:
        super().eof_received()
        return False  # the library would keep the connection when the other side goes before the greeting

    def connection_lost(self, error: Exception | None) -> None:
        self._receiver.closed(self)
        super().connection_lost(error)

    def drop(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    async def obey(self, reply: Reply) -> str | None:
        """What to say instead of the usual answer; does not return while it hangs."""
        await asyncio.sleep(reply.wait)
        if reply.fault is not None:
            await self._misbehave(reply.fault)
        if reply.status == 200:
            return None
        return f"{reply.status} {reply.body.decode() or 'scripted'}"

    async def _misbehave(self, fault: Fault) -> None:
        writer = self._writer
        assert writer is not None
        with contextlib.suppress(OSError):
            match fault:
                case Fault.RESET_EARLY | Fault.RESET:
                    reset(self.transport)
                case Fault.HANG_UP:
                    writer.close()
                case Fault.TRICKLE | Fault.TRICKLE_BODY:
                    await trickle(writer, b"250-" + b"." * 400)
                case Fault.ENDLESS_BODY:
                    while True:
                        writer.write(b"250-more\r\n" * 4096)
                        await writer.drain()
                case Fault.NONSENSE:
                    writer.write(b"\x00\x01 HTTP/1.1 200 OK\r\n\r\n")
                    await writer.drain()
        await asyncio.Event().wait()

    async def _step(self, name: str) -> bool:
        """Whether the script has answered already."""
        self._receiver.commands.append(name)
        words = await self.obey(self._receiver.reply(name, ""))
        if words:
            await super().push(words)
        return words is not None

    async def push(self, status: Any) -> None:
        if not self._greeted:
            self._greeted = True
            if await self._step("greeting"):
                return
        await super().push(status)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self._step("ehlo"):
            await super().smtp_EHLO(hostname)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        if not await self._step("auth"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        if not await self._step("mail"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if not await self._step("rcpt"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if not await self._step("data"):
            await super().smtp_DATA(arg)
