"""Email over a real SMTP dialogue: what every answer and every break means, step by step."""

from __future__ import annotations

import asyncio
import contextlib
import email
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from channels.base import (
    AccountError,
    Address,
    Attachment,
    Fate,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Receipt,
    RefusedError,
    SendError,
)
from channels.email_smtp import SmtpProvider
from channels.smtp import Attempt, AttemptEndedError, Step
from channels.smtp_account import Account
from config.settings import SettingsError
from workers.receivers.mail import MailReceiver
from workers.receivers.script import Fault, Reply
from workers.receivers.together import Running

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

TO = Address("someone@example.org", "Some One")


def message(number: int = 1, text: str = "Hello", attachments: tuple[Attachment, ...] = ()) -> Message:
    return Message(
        f"delivery-{number}", "tenant", "event", "type", title="Hi", text=text, html="<p>x</p>", attachments=attachments
    )


@pytest.fixture
def provider_of(make_settings, within):
    def make(url: str, deadline: float = 20.0, **values) -> SmtpProvider:
        return within(SmtpProvider, deadline).from_settings(make_settings(smtp_url=url, **values))

    return make


@pytest.fixture
def send(run):
    """Sends messages one after the other; returns the last receipt or raises the last error."""

    def sending(provider: SmtpProvider, *messages: Message, to: Address = TO) -> Receipt:
        async def scenario() -> Receipt:
            try:
                for early in messages[:-1]:
                    with contextlib.suppress(NotSentError, RefusedError, OutcomeUnknownError):
                        await provider.send(early, to)
                return await provider.send(messages[-1] if messages else message(), to)
            finally:
                await provider.close()

        return run(scenario())

    return sending


@pytest.mark.mission("B-2")
def test_a_mail_arrives_whole(mail, provider_of, send):
    receipt = send(provider_of(mail.url), message(text=".\n..\n.leading dot\nend"))
    assert receipt == Receipt(message_id="<delivery-1@example.org>", detail="SMTP 250 2.0.0")
    received = mail.received[0]
    assert (received.key, received.target) == ("delivery-1", "someone@example.org")
    parsed = email.message_from_bytes(received.body)
    assert parsed.get_payload(0).get_payload(decode=True) == b".\r\n..\r\n.leading dot\r\nend\r\n"


# At which step, what is answered, and what it means: the error, and whether it speaks against the server.
ANSWERS = [
    ("greeting", 421, NotSentError, True),
    ("greeting", 554, NotSentError, True),
    ("mail", 421, NotSentError, True),
    ("mail", 451, NotSentError, True),
    ("mail", 530, AccountError, True),
    ("mail", 550, AccountError, True),
    ("mail", 553, AccountError, True),
    ("mail", 552, RefusedError, False),
    ("rcpt", 421, NotSentError, True),
    ("rcpt", 450, NotSentError, False),
    ("rcpt", 452, NotSentError, False),
    ("rcpt", 550, RefusedError, False),
    ("rcpt", 553, RefusedError, False),
    ("data", 451, NotSentError, True),
    ("data", 554, RefusedError, False),
    ("end", 421, NotSentError, True),
    ("end", 451, NotSentError, True),
    ("end", 452, NotSentError, True),
    ("end", 550, RefusedError, False),
    ("end", 554, RefusedError, False),
]


@pytest.mark.parametrize(("step", "code", "kind", "against"), ANSWERS)
def test_the_servers_answer_decides(step, code, kind, against, mail, provider_of, send):
    mail.script(step, Reply(code, b"5.7.1 no, someone@example.org, private-words"))
    with pytest.raises(kind) as caught:
        send(provider_of(mail.url))
    assert caught.value.provider_failed == against
    assert str(code) in caught.value.detail
    assert "someone" not in caught.value.detail
    assert "private" not in caught.value.detail
    assert not mail.times_accepted()


# What the server says of a recipient, and what follows for the address.
FATES = [
    ("550 5.1.1", Fate.SUPPRESS),
    ("550 5.1.2", Fate.SUPPRESS),
    ("553 5.1.3", Fate.SUPPRESS),
    ("551 5.1.6", Fate.SUPPRESS),
    ("556 5.1.10", Fate.SUPPRESS),
    ("550 5.2.1", Fate.SUPPRESS),
    ("550 5.7.1", Fate.NONE),
    ("552 5.2.2", Fate.NONE),
    ("550 5.1.11", Fate.NONE),
    ("550 no", Fate.NONE),
]


@pytest.mark.parametrize(("said", "fate"), FATES)
def test_only_an_address_that_is_no_more_is_suppressed(said, fate, mail, provider_of, send):
    code, _, words = said.partition(" ")
    mail.script("rcpt", Reply(int(code), f"{words} someone@example.org".encode()))
    with pytest.raises(RefusedError) as caught:
        send(provider_of(mail.url))
    assert caught.value.fate is fate


def test_the_same_words_about_the_content_suppress_nobody(mail, provider_of, send):
    mail.script("end", Reply(550, b"5.1.1 no"))
    with pytest.raises(RefusedError) as caught:
        send(provider_of(mail.url))
    assert caught.value.fate is Fate.NONE


BREAKS = [Fault.HANG, Fault.HANG_UP, Fault.RESET, Fault.TRICKLE, Fault.NONSENSE]


@pytest.fixture
def breaking(serve, provider_of, run):
    """Sends one mail to each of several servers, all at once: each misbehaves at another step. What is raised, by step;
    `afterwards`: what is to be seen at a server before its provider is closed."""

    async def error_of(url: str, deadline: float, seen: Callable[[], bool]) -> SendError | None:
        provider = provider_of(url, deadline=deadline)
        try:
            await provider.send(message(), TO)
        except SendError as error:
            return error
        finally:
            assert await asyncio.to_thread(seen)
            await provider.close()
        return None

    def sending(fault, steps, deadline=1.0, afterwards=lambda mail: True):
        mails = {step: serve(MailReceiver()) for step in steps}
        for step, mail in mails.items():
            mail.script(step, Reply(fault=fault))

        async def all_at_once() -> list[SendError | None]:
            return await asyncio.gather(
                *(error_of(mail.url, deadline, partial(afterwards, mail)) for mail in mails.values())
            )

        return dict(zip(steps, run(all_at_once()), strict=True)), mails

    return sending


@pytest.mark.parametrize("fault", BREAKS)
def test_a_break_before_the_last_line_is_certainly_not_sent(fault, breaking):
    steps = ("greeting", "ehlo", "mail", "rcpt", "data")
    began = time.monotonic()
    errors, mails = breaking(fault, steps)
    assert time.monotonic() - began < 1.9  # a second attempt would take a second more
    assert {step: type(error) for step, error in errors.items()} == dict.fromkeys(steps, NotSentError)
    assert [step for step, error in errors.items() if not error.provider_failed] == []
    assert [step for step, mail in mails.items() if mail.received] == []


def test_a_server_that_stops_reading_in_the_middle_means_not_sent(run, provider_of, send):
    """It takes everything up to DATA, then reads no more; the end of a large mail cannot have left."""

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 hello\r\n")
            for line in lines:
                connection.sendall(b"354 go on\r\n" if line.startswith(b"DATA") else b"250 fine\r\n")
                if line.startswith(b"DATA"):
                    ended.wait(10)
                    return

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        url = f"smtp://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(NotSentError, match="BODY"):
            send(provider_of(url, deadline=4.0), message(attachments=(Attachment("a", "a/b", bytes(8_000_000)),)))
        ended.set()
        thread.join()


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.TRICKLE])
def test_at_the_deadline_the_connection_is_broken_and_its_thread_is_free(fault, breaking):
    raised = {"greeting": NotSentError, "rcpt": NotSentError, "end": OutcomeUnknownError}
    errors, _ = breaking(
        fault, tuple(raised), afterwards=lambda mail: mail.wait_for(lambda seen: seen.open_connections == 0, 3)
    )
    assert {step: type(error) for step, error in errors.items()} == raised


def test_after_the_deadline_nothing_leaves_any_more():
    attempt = Attempt()
    attempt.enter(Step.DATA)
    attempt.end()
    with pytest.raises(AttemptEndedError):
        attempt.enter(Step.BODY)
    assert isinstance(attempt.lost("x"), NotSentError)


def test_a_connection_that_the_server_gave_up_is_replaced_within_the_attempt(mail, provider_of, run):
    async def scenario() -> None:
        provider = provider_of(mail.url)
        await provider.send(message(1), TO)
        await asyncio.to_thread(mail.drop)
        assert await asyncio.to_thread(mail.wait_for, lambda seen: seen.open_connections == 0)
        await provider.send(message(2), TO)
        await provider.close()

    run(scenario())
    assert mail.times_accepted() == {"delivery-1": 1, "delivery-2": 1}
    assert mail.connections == 2


def test_a_server_that_takes_only_so_many_mails_on_a_connection_gets_the_next_on_a_new_one(mail, provider_of, send):
    mail.script("mail", Reply(), Reply(421, b"4.7.0 enough"), Reply())
    send(provider_of(mail.url), message(1), message(2))
    assert mail.times_accepted() == {"delivery-1": 1, "delivery-2": 1}


def test_after_a_refused_recipient_the_connection_is_used_again(mail, provider_of, send):
    mail.script("rcpt", Reply(550), Reply())
    send(provider_of(mail.url), message(1), message(2))
    assert mail.times_accepted() == {"delivery-2": 1}
    assert mail.connections == 1


@pytest.mark.mission("A-25")
def test_five_sends_at_a_time_and_twenty_waiting_over_all_workers():
    bulkhead = SmtpProvider.capabilities.bulkhead
    assert (bulkhead.concurrent, bulkhead.waiting, bulkhead.shared) == (5, 20, True)


def test_an_international_address_goes_out_where_the_server_takes_it(mail, provider_of, send):
    send(provider_of(mail.url), to=Address("用户@例え.jp", "用户"))
    assert mail.received[0].target == "用户@xn--r8jz45g.jp"


def test_an_international_address_is_refused_where_the_server_does_not_take_it(serve, provider_of, send):
    receiver = serve(MailReceiver(utf8=False))
    with pytest.raises(RefusedError, match="SMTPUTF8"):
        send(provider_of(receiver.url), to=Address("用户@example.org"))
    assert "rcpt" not in receiver.commands


def test_an_international_domain_needs_nothing_of_the_server(serve, provider_of, send):
    receiver = serve(MailReceiver(utf8=False))
    send(provider_of(receiver.url), to=Address("ops@bücher.example"))
    assert receiver.received[0].target == "ops@xn--bcher-kva.example"


@pytest.mark.parametrize("address", ["", "nobody", "a@b\r\nRCPT TO:<x@y.org>", "a b@c.org", "<a@b.org>"])
def test_what_is_no_address_is_refused_before_anything_is_said(address, mail, provider_of, send):
    with pytest.raises(RefusedError, match="not an email address"):
        send(provider_of(mail.url), to=Address(address))
    assert mail.connections == 0


@pytest.mark.parametrize("name", ["Evil\r\nBcc: x@y.org", "a\x00b", '"', "<x@y.org>", "=?utf-8?q?=0A?="])
def test_a_hostile_name_reaches_nobody_else(name, mail, provider_of, send):
    send(provider_of(mail.url), to=Address("someone@example.org", name))
    assert [one.target for one in mail.received] == ["someone@example.org"]
    assert "Bcc" not in email.message_from_bytes(mail.received[0].body)


# --- accounts and TLS


def test_a_login_is_made_once_a_connection(serve, provider_of, send):
    receiver = serve(MailReceiver(login=("user", "secret")))
    send(provider_of(receiver.url), message(1), message(2))
    assert receiver.commands.count("auth") == 1
    assert len(receiver.received) == 2


def test_a_refused_login_is_the_servers_failure_and_tells_no_name(serve, provider_of, send):
    receiver = serve(MailReceiver(login=("user", "secret")))
    with pytest.raises(AccountError, match="login refused \\(535\\)") as caught:
        send(provider_of(receiver.url.replace("user:secret", "root:guessed")))
    assert caught.value.provider_failed
    assert "root" not in caught.value.detail
    assert "guessed" not in caught.value.detail


def test_a_password_is_not_sent_in_clear_unless_the_settings_insist(serve, provider_of, send):
    receiver = serve(MailReceiver(login=("user", "secret")))
    with pytest.raises(NotSentError, match="does not offer"):
        send(provider_of(receiver.url.partition("?")[0]))
    assert "auth" not in receiver.commands


def test_a_certificate_that_nobody_vouches_for_stops_the_login(certificate, serve, provider_of, send):
    receiver = serve(MailReceiver(certificate.server, login=("user", "secret")))
    with pytest.raises(NotSentError, match="TLS"):
        send(provider_of(receiver.url.replace("127.0.0.1", "localhost")))
    assert "auth" not in receiver.commands


def test_with_a_certificate_that_is_vouched_for_login_and_mail_are_encrypted(certificate):
    """In a process of its own: the authorities are read from the environment once."""
    receiver = MailReceiver(certificate.server, login=("user", "secret"))
    program = """
import asyncio, sys
from channels.base import Address, Message
from channels.email_smtp import SmtpProvider
from config.settings import Settings
provider = SmtpProvider.from_settings(Settings(_env_file=None, smtp_url=sys.argv[1], email_from="a@example.org"))
print(asyncio.run(provider.send(Message("delivery-1", "t", "e", "x", text="x"), Address("someone@example.org"))).detail)
"""
    with Running(receiver):
        url = receiver.url.replace("127.0.0.1", "localhost")
        done = subprocess.run(
            (sys.executable, "-c", program, url),
            env={"SSL_CERT_FILE": str(certificate.authority), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert (done.stdout, done.stderr) == ("SMTP 250 2.0.0\n", "")
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("url", "account"),
    [
        ("smtp://h", Account("h", 25, False, False)),
        ("smtp://h:2525", Account("h", 2525, False, False)),
        ("smtp://u:p%40ss@h:587?starttls=true", Account("h", 587, False, True, "u", "p@ss")),
        ("smtp://u:p@h", Account("h", 587, False, True, "u", "p")),
        ("smtp://u:p@h?starttls=false", Account("h", 25, False, False, "u", "p")),
        ("smtps://u%40x:p@h", Account("h", 465, True, False, "u@x", "p")),
        ("smtp://[::1]:25", Account("::1", 25, False, False)),
    ],
)
@pytest.mark.mission("B-2")
def test_the_url_names_the_account(url, account):
    assert Account.from_url(url) == account


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "smtp://",
        "h:25",
        "smtp://u:secret@h:0",
        "smtp://u:secret@h:99999",
        "smtp://u:secret@h?starttls=maybe",
    ],
)
def test_a_url_that_cannot_be_used_is_explained_without_repeating_it(url, make_settings):
    with pytest.raises(SettingsError, match="BELLWIRE_SMTP_URL") as caught:
        SmtpProvider.from_settings(make_settings(smtp_url=url))
    assert "secret" not in str(caught.value)


def test_a_sender_that_cannot_be_used_is_explained(make_settings):
    with pytest.raises(SettingsError, match="BELLWIRE_EMAIL_FROM"):
        SmtpProvider.from_settings(make_settings(smtp_url="smtp://h", email_from="nobody"))


# --- senders and unsubscribing


@pytest.mark.mission("E-22")
def test_a_message_chooses_its_sender(mail, provider_of, send):
    send(provider_of(mail.url), replace(message(), sender='"Billing, Ltd" <billing@bücher.example>'))
    sent = email.message_from_bytes(mail.received[0].body)
    assert sent["From"] == '"Billing, Ltd" <billing@xn--bcher-kva.example>'
    assert sent["Message-ID"] == "<delivery-1@xn--bcher-kva.example>"


@pytest.mark.parametrize(
    "sender", ["nobody", "a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org", ""]
)
def test_a_sender_that_is_no_address_waits_for_a_person_and_loses_no_mail(sender, mail, provider_of, send):
    with pytest.raises(AccountError, match="the sender is not an email address"):
        send(provider_of(mail.url), replace(message(), sender=sender))
    assert mail.connections == 0


def test_a_click_unsubscribes(mail, provider_of, send):
    link = f"https://bellwire.example.org/u/{'t' * 400}"
    send(provider_of(mail.url), replace(message(), unsubscribe=link))
    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in mail.received[0].body
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in mail.received[0].body


# --- a tenant's own server


@pytest.mark.parametrize(
    "url", ["smtp://127.0.0.1:{}", "smtps://127.0.0.1:{}", "smtp://localhost:{}", "smtp://2130706433:{}"]
)
def test_a_tenants_server_must_not_lie_in_our_networks(url, mail, make_settings, send):
    provider = SmtpProvider.from_account(make_settings(), {"url": url.format(mail.port)})
    with pytest.raises(AccountError, match="address not allowed"):
        send(provider)
    assert mail.connections == 0


def test_a_tenants_server_may_lie_in_a_network_that_is_allowed(mail, make_settings, send):
    settings = make_settings(webhook_allow_networks="127.0.0.0/8")
    send(SmtpProvider.from_account(settings, {"url": mail.url.replace("127.0.0.1", "localhost")}))
    assert mail.times_accepted() == {"delivery-1": 1}


def test_a_tenants_server_that_is_not_there_is_no_fault_of_the_account(mail, make_settings, send):
    settings = make_settings(webhook_allow_networks="127.0.0.0/8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotSentError, match="connection refused") as caught:
        send(SmtpProvider.from_account(settings, {"url": f"smtp://127.0.0.1:{port}"}))
    assert not isinstance(caught.value, AccountError)


def test_a_tenants_address_that_cannot_be_used_is_explained_by_the_name_in_the_api(make_settings):
    with pytest.raises(SettingsError, match=r"^url: must look like") as caught:
        SmtpProvider.from_account(make_settings(), {"url": "http://u:secret@h"})
    assert "secret" not in str(caught.value)
