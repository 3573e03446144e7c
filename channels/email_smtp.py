"""Email over SMTP (B-2): any server, connections kept, at most five sends at a time over all workers (A-25)."""

from __future__ import annotations

import asyncio
import smtplib
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple, Self

from channels.base import AccountError, Address, Capabilities, Message, NotSentError, Provider, Receipt, RefusedError
from channels.email import BULKHEAD, PARTS
from channels.guard import AddressRefusedError, Guard
from channels.letter import default_sender, recipient, sender_of
from channels.mime import Mailbox, compose, message_id
from channels.smtp import Attempt, AttemptEndedError, ClosingError, Connection, Step, is_refused_login, words
from channels.smtp_account import Account
from config.settings import Settings, SettingsError

DEADLINE: Final = 20.0  # seconds
GRACE: Final = 0.25  # seconds at the end of the deadline, in which a broken connection's thread may still report


class Mail(NamedTuple):
    """What goes over the line, with its envelope."""

    sender: Mailbox
    to: Mailbox
    content: bytes


class SmtpProvider(Provider):
    """One account on one server. The dialogue runs in threads of its own, for `smtplib` blocks."""

    channel = "email"
    name = "smtp"
    capabilities = Capabilities(
        parts=PARTS,
        bulkhead=BULKHEAD,
        deadline=DEADLINE,
    )
    credentials = MappingProxyType({"url": "smtp_url"})

    def __init__(self, account: Account, from_: Mailbox) -> None:
        self._account = account
        self._from = from_
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        # Twice as many threads as sends: one that hangs in a name server's silence takes none of the next one's time.
        self._threads = ThreadPoolExecutor(2 * BULKHEAD.concurrent, thread_name_prefix="smtp")

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the server's URL.

        Raises:
            SettingsError: the URL or the sender cannot be used.
        """
        if settings.smtp_url is None or not settings.smtp_url.get_secret_value():
            return None
        try:
            account = Account.from_url(settings.smtp_url.get_secret_value())
        except ValueError as error:
            raise SettingsError(f"BELLWIRE_SMTP_URL: {error}") from None
        return cls(account, default_sender(settings))

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """A tenant's own server, which every connection checks: it must not lead into our networks."""
        provider = super().from_account(settings, credentials)
        if provider is not None:
            provider._account = replace(provider._account, guard=Guard(settings.webhook_allow_networks))
        return provider

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send one mail; see `Provider.send`. The receipt's id is the mail's Message-ID."""
        from_, to = sender_of(message, self._from), recipient(address)
        attempt = Attempt()
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._attempt, attempt, message, from_, to)
        work.add_done_callback(_retrieve)
        try:
            await asyncio.wait({work}, timeout=self.capabilities.deadline - GRACE)
        finally:
            if not work.done():
                attempt.end()
        if not work.done():
            await asyncio.wait({work}, timeout=GRACE)
        if not work.done():
            raise attempt.lost("no answer in time")
        return Receipt(message_id=message_id(message, from_), detail=f"SMTP {work.result()}")

    def _attempt(self, attempt: Attempt, message: Message, from_: Mailbox, to: Mailbox) -> str:
        """The whole of one attempt, in a thread."""
        try:
            return self._deliver(attempt, Mail(from_, to, compose(message, from_, to)))
        except AddressRefusedError as error:
            raise AccountError(str(error)) from None
        except (AttemptEndedError, smtplib.SMTPException, OSError) as error:
            raise AccountError(words(error)) if is_refused_login(error) else attempt.lost(words(error)) from None
        finally:
            attempt.use(None)

    def _deliver(self, attempt: Attempt, mail: Mail) -> str:
        """Over a connection that rests, if there is one; should the server have given it up, over a new one."""
        connection = self._take(attempt)
        if connection is not None:
            try:
                return self._use(connection, attempt, mail)
            except (ClosingError, smtplib.SMTPServerDisconnected, OSError):
                if attempt.step >= Step.BODY:
                    raise
        return self._use(Connection(self._account, attempt), attempt, mail)

    def _use(self, connection: Connection, attempt: Attempt, mail: Mail) -> str:
        international = mail.to.international or mail.sender.international
        try:
            if international and not connection.takes_utf8:
                raise RefusedError("the server does not take international addresses (SMTPUTF8)")
            answer = connection.deliver(attempt, mail.sender.address, mail.to.address, mail.content, international)
        except ClosingError:
            connection.close()
            raise
        except (RefusedError, NotSentError):
            self._rest(connection, attempt)
            raise
        except BaseException:
            connection.close()
            raise
        self._rest(connection, attempt)
        return answer

    def _take(self, attempt: Attempt) -> Connection | None:
        """The connection that rested shortest and still lives."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or connection.is_usable(attempt):
                return connection
            connection.close()

    def _rest(self, connection: Connection, attempt: Attempt) -> None:
        attempt.use(None)
        with self._lock:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close the connections that rest; those in use close with the process."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _retrieve(work: asyncio.Future[str]) -> None:
    """Take notice of an error that nobody waits for any more."""
    if not work.cancelled():
        work.exception()
