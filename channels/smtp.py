"""The SMTP dialogue, step by step, so that after any failure it is known whether the mail can have left."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import threading
import time
from enum import IntEnum
from functools import cache
from typing import Final

from channels.base import AccountError, Fate, NotSentError, OutcomeUnknownError, RefusedError, SendError
from channels.smtp_account import Account, connect, tls_context

CONNECT_TIMEOUT: Final = 8.0  # seconds for one address of the server, and for its greeting
STEP_TIMEOUT: Final = 15.0  # seconds for a single reply; the deadline of the attempt is enforced from outside
FRESH: Final = 5.0  # seconds a connection may rest without being asked whether it still lives

_ENHANCED: Final = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\b")
_LOGIN_CODES: Final = frozenset({530, 534, 535, 538})  # about our account, not about the recipient
_SENDER_CODES: Final = frozenset({550, 553})  # after MAIL: the sender is not ours to use
# No such mailbox, host or address, or one that takes no mail any more (RFC 3463, sections 3.2 and 3.3; RFC 7505). A 550
# without one of these may be about our reputation or about the content, and says nothing of the address.
_GONE: Final = frozenset({b"5.1.1", b"5.1.2", b"5.1.3", b"5.1.6", b"5.1.10", b"5.2.1"})
_LEADING_DOT: Final = re.compile(rb"^\.", re.MULTILINE)


class Step(IntEnum):
    """How far an attempt got. Up to BODY nothing was sent: the server takes a mail with its last line only."""

    WAIT = 0
    CONNECT = 1
    LOGIN = 2
    MAIL = 3
    RCPT = 4
    DATA = 5
    BODY = 6
    END = 7


class AttemptEndedError(Exception):
    """The deadline passed; the thread of the attempt must not go on."""


class ClosingError(NotSentError):
    """The server said 421: it closes the connection, which is no verdict on the mail."""


class Attempt:
    """What one attempt has done so far. A thread moves it on; the event loop may end it at any moment."""

    def __init__(self) -> None:
        self.step = Step.WAIT
        self._lock = threading.Lock()
        self._ended = False
        self._client: smtplib.SMTP | None = None

    def enter(self, step: Step) -> None:
        """Begin a step.

        Raises:
            AttemptEndedError: after `end`, so that nothing leaves any more.
        """
        with self._lock:
            if self._ended:
                raise AttemptEndedError
            self.step = step

    def use(self, client: smtplib.SMTP | None) -> None:
        """Name the connection that `end` has to break; None once it belongs to nobody or to another attempt."""
        with self._lock:
            self._client = client

    def end(self) -> None:
        """Stop it: the thread's blocked read or write fails at once, even against one byte a second."""
        with self._lock:
            self._ended = True
            connection = getattr(self._client, "sock", None)
            if connection is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def lost(self, detail: str) -> SendError:
        """The error for a connection that broke in the current step."""
        detail = "no answer in time" if self._ended else detail
        if self.step is Step.END:
            return OutcomeUnknownError(f"{detail}, after the mail had left")
        return NotSentError(f"{detail} ({self.step.name})")


class _Client(smtplib.SMTP):
    """Known to its attempt before it connects."""

    def __init__(self, account: Account, attempt: Attempt) -> None:
        attempt.use(self)
        self._account = account
        super().__init__(account.host, account.port, local_hostname=_own_name(), timeout=CONNECT_TIMEOUT)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return connect(self._account, timeout)


class _TlsClient(smtplib.SMTP_SSL):
    def __init__(self, account: Account, attempt: Attempt) -> None:
        attempt.use(self)
        self._account = account
        super().__init__(
            account.host, account.port, local_hostname=_own_name(), timeout=CONNECT_TIMEOUT, context=tls_context()
        )

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return tls_context().wrap_socket(connect(self._account, timeout), server_hostname=host)


@cache
def _own_name() -> str:
    """For EHLO, without asking a name server for our own full name."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9.-]+", name) else "localhost"


class Connection:
    """One connection to the server, logged in, for one mail after the other."""

    def __init__(self, account: Account, attempt: Attempt) -> None:
        attempt.enter(Step.CONNECT)
        self._client = (_TlsClient if account.implicit_tls else _Client)(account, attempt)
        try:
            self._open(account, attempt)
        except BaseException:
            self.close()
            raise
        self._used = time.monotonic()
        self._between_mails = True

    def _open(self, account: Account, attempt: Attempt) -> None:
        client = self._client
        if client.sock is not None:
            client.sock.settimeout(STEP_TIMEOUT)
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.ehlo_or_helo_if_needed()
        if account.starttls:
            client.starttls(context=tls_context())
            client.ehlo()
        if account.user:
            attempt.enter(Step.LOGIN)
            client.login(account.user, account.password)

    def is_usable(self, attempt: Attempt) -> bool:
        """Whether the server takes another mail; asked only after a rest or a mail that it did not take."""
        attempt.use(self._client)
        if self._between_mails and time.monotonic() - self._used < FRESH:
            return True
        try:
            return (self._client.noop() if self._between_mails else self._client.rset())[0] == 250
        except (smtplib.SMTPException, OSError):
            return False

    @property
    def takes_utf8(self) -> bool:
        """Whether international local parts may be used (RFC 6531)."""
        return self._client.has_extn("smtputf8")

    def deliver(self, attempt: Attempt, sender: str, recipient: str, mail: bytes, utf8: bool) -> str:
        """Send one mail, which ends in CRLF, and return the server's answer as it may be shown: ``250 2.0.0``.

        Raises:
            RefusedError, NotSentError: by the server's own words.
            smtplib.SMTPException, OSError: the connection broke; `Attempt.lost` knows what that means.
        """
        client = self._client
        options = ["SMTPUTF8"] if utf8 else []
        if client.has_extn("size"):
            options.append(f"size={len(mail)}")
        self._between_mails = False
        attempt.enter(Step.MAIL)
        _expect(2, attempt, client.mail(sender, options))
        attempt.enter(Step.RCPT)
        _expect(2, attempt, client.rcpt(recipient))
        attempt.enter(Step.DATA)
        _expect(3, attempt, client.docmd("DATA"))
        attempt.enter(Step.BODY)
        client.send(_LEADING_DOT.sub(b"..", mail))
        attempt.enter(Step.END)
        client.send(b".\r\n")
        answer = client.getreply()
        _expect(2, attempt, answer)
        self._used, self._between_mails = time.monotonic(), True
        return _shown(*answer)

    def close(self) -> None:
        """Hang up. QUIT would wait for an answer that changes nothing."""
        self._client.close()


def _expect(kind: int, attempt: Attempt, answer: tuple[int, bytes]) -> None:
    """Read the server's answer: 4xx may pass, 5xx is for good unless it is about our own account."""
    code, text = answer
    detail = f"{attempt.step.name}: {_shown(code, text)}"
    match code // 100:
        case found if found == kind:
            return
        case 5 if code in _LOGIN_CODES or (attempt.step is Step.MAIL and code in _SENDER_CODES):
            raise AccountError(detail)
        case 5:
            enhanced = _ENHANCED.match(text) if attempt.step is Step.RCPT else None
            raise RefusedError(detail, fate=Fate.SUPPRESS if enhanced and enhanced[0] in _GONE else Fate.NONE)
        case 4 if code == 421:
            raise ClosingError(detail)
        case 4 | 5:
            # Greylisting and full mailboxes are one recipient's; the rest says something about the server.
            raise NotSentError(detail, provider_failed=attempt.step is not Step.RCPT)
        case _:
            raise smtplib.SMTPServerDisconnected("not an SMTP answer")


def _shown(code: int, text: bytes) -> str:
    """The code and the enhanced code; the words after them name people."""
    enhanced = _ENHANCED.match(text)
    return f"{code} {enhanced[0].decode()}" if enhanced else str(code)


def is_refused_login(error: Exception) -> bool:
    """Whether the server does not know our account; a 4xx there is a server that cannot look it up just now."""
    return isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500


def words(error: Exception) -> str:
    """What broke a connection, in our own words: the library's may hold the account's name."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"login refused ({error.smtp_code})"
        case smtplib.SMTPNotSupportedError():
            return "the server does not offer what the settings ask for"
        case smtplib.SMTPResponseException():
            return f"the server answered {error.smtp_code}"
        case ssl.SSLCertVerificationError():
            return "TLS: the certificate is not valid for the host"
        case ssl.SSLError():
            return "TLS: the handshake failed"
        case socket.gaierror():
            return "host not found"
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return "no answer in time"
        case _:
            return "the connection was lost"
