"""Apprise: which addresses are let in, where its plugins then connect to, and what each ending means."""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from channels.apprise import OPTIONS, AppriseProvider, check_apprise, masked_address
from channels.apprise_services import SCHEMES
from channels.base import Address, Message, NotSentError, OutcomeUnknownError, Receipt, RefusedError
from domain.errors import InvalidInputError
from domain.vocabulary import Priority
from tests.support.services import Services
from workers.receivers.script import Fault, Reply
from workers.receivers.together import Running

DISCORD = f"discord://{'1' * 18}/{'top-secret' * 6}"

# One address of a service, and where its plugin says that it goes.
SERVICES = {
    DISCORD: "discord.com",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general": "hooks.slack.com",
    f"pover://{'u' * 30}@{'a' * 30}": "api.pushover.net",
    f"pbul://{'a' * 32}": "api.pushbullet.com",
    "ntfy://a-topic": "ntfy.sh",
    "ntfys://a-topic": "ntfy.sh",
    f"prowl://{'a' * 40}": "api.prowlapp.com",
    f"pagerduty://{'a' * 32}@{'b' * 32}": "events.pagerduty.com",
    f"opsgenie://{'a' * 36}": "api.opsgenie.com",
    f"tgram://123456789:{'a' * 35}/4711": "api.telegram.org",
    f"gchat://workspace/{'a' * 20}/{'b' * 20}": "chat.googleapis.com",
    f"ifttt://{'a' * 20}/an-event": "maker.ifttt.com",
}
# What they answer when all is well, where a plugin reads it.
ANSWERS = {
    "hooks.slack.com": b"ok",
    "api.pushover.net": b'{"status": 1, "devices": []}',
    "api.opsgenie.com": b'{"requestId": "r1"}',
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    made = Services(tmp_path_factory.mktemp("services"), tuple(sorted(set(SERVICES.values()))))
    with Running(made), pytest.MonkeyPatch.context() as environment:
        for name, value in made.environment().items():
            environment.setenv(name, value)
        yield made


@pytest.fixture
def internet(services: Services) -> Services:
    """Every service there is, with nothing said to it yet."""
    services.received.clear()
    services.hosts.clear()
    services.script("*", Reply(200, b"{}"))
    return services


@pytest.fixture
def send(run: Any, within: Any) -> Any:
    def sending(url: str = DISCORD, deadline: float = 10.0, **said: Any) -> Receipt:
        async def scenario() -> Receipt:
            provider = within(AppriseProvider, deadline)()
            try:
                message = Message("delivery-1", "t", "e", "x", **{"title": "Hello", "text": "private-body", **said})
                receipt: Receipt = await provider.send(message, Address(url))
                return receipt
            finally:
                await provider.close()

        done: Receipt = run(scenario())
        return done

    return sending


def plugins() -> dict[str, Any]:
    """The library's plugins by their schemes."""
    from apprise.manager_plugins import NotificationManager

    manager = NotificationManager()
    manager.load_modules()
    found: dict[str, Any] = {}
    for plugin in manager.plugins():
        for names in (plugin.protocol, plugin.secure_protocol):
            found |= dict.fromkeys([names] if isinstance(names, str) else names or (), plugin)
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_address_of_a_service_that_is_let_in_can_name_a_host(scheme: str) -> None:
    plugin = plugins()[scheme]
    source = inspect.getsource(sys.modules[plugin.__module__])
    if scheme not in ("ntfy", "ntfys"):  # whose own servers are told apart by the form of the address
        assert [one for one in plugin.templates if re.search(r"{(?:host|hostname|domain|server|port)}", one)] == []
        assert not plugin.template_tokens.keys() & {"host", "hostname", "domain", "server", "port"}
        assert re.findall(r"""["'](?:https?|wss?)://[^/"'\s]*[{%]""", source) == []
        assert re.findall(r"""["'](?:https?|wss?)://["']""", source) == []
    assert not re.search(r"^\s*(?:import|from) (?:subprocess|socket|smtplib|websocket|paho|slixmpp)", source, re.M)


NEVER = (
    *("json", "jsons", "xml", "form", "forms", "mailto", "mailtos", "syslog", "rsyslog", "dbus", "gnome", "windows"),
    *("macosx", "exec", "file", "config", "apprise", "apprises", "gotify", "matrix", "mqtt", "mqtts", "xmpp", "irc"),
    *("rocket", "mmost", "hassio", "kodi", "ncloud", "signal", "workflow", "vapid", "nostr", "http", "https", "ftp"),
)


@pytest.mark.parametrize("scheme", NEVER)
def test_a_scheme_whose_address_names_a_host_a_file_or_a_program_is_refused(scheme: str) -> None:
    assert scheme not in SCHEMES
    with pytest.raises(InvalidInputError, match="not among the services"):
        check_apprise(f"{scheme}://127.0.0.1/a/b")


@pytest.mark.parametrize("url", SERVICES)
def test_every_message_goes_to_the_services_own_host(url: str, internet: Services, send: Any) -> None:
    check_apprise(url)
    internet.script("*", Reply(200, ANSWERS.get(SERVICES[url], b"{}")))
    send(url)
    assert set(internet.hosts) == {f"{SERVICES[url]}:443"}
    assert any("private-body" in one.key for one in internet.received)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "discord",
        "discord:/",
        "discord://",
        "discord://only-one",
        f"{DISCORD}, json://127.0.0.1/",
        f"{DISCORD} json://127.0.0.1/",
        f"{DISCORD}\njson://127.0.0.1/",
        f" {DISCORD}",
        f"{DISCORD}?template=/etc/passwd",
        f"{DISCORD}?format=text;TEMPLATE=/etc/passwd",
        f"{DISCORD}?form%61t=text&%74emplate=/etc/passwd",
        f"{DISCORD}?redirect=yes",
        f"{DISCORD}?verify=no",
        f"{DISCORD}?retry=9&wait=60",
        f"{DISCORD}?optional=yes",
        f"{DISCORD}?+X-Header=a",
        "ntfy://localhost/topic",
        "ntfy://user:pass@topic",
        "ntfy://10.0.0.1",
        "ntfy://topic?mode=private",
        "discord://" + "1" * 1000,
        "discord://\ud800/x",
        "data:discord://a/b",
        7,
        {"schema": "discord"},
        None,
    ],
)
def test_what_is_no_address_of_a_known_service_is_refused_and_not_repeated(wrong: Any) -> None:
    with pytest.raises(InvalidInputError) as raised:
        check_apprise(wrong)
    assert raised.value.field == "apprise"
    assert "top-secret" not in str(raised.value)
    assert "passwd" not in str(raised.value)


@pytest.mark.parametrize("url", [DISCORD, DISCORD.replace("discord", "DISCORD"), f"{DISCORD}?avatar=no&footer=yes"])
def test_an_address_is_kept_as_it_was_written(url: str) -> None:
    assert check_apprise(url) == url


def test_options_name_no_file_no_host_and_nothing_that_repeats() -> None:
    assert not OPTIONS & {"template", "mode", "redirect", "retry", "wait", "verify", "optional", "rto", "cto", "store"}


@pytest.mark.parametrize("url", ["json://127.0.0.1/", f"{DISCORD}?redirect=yes", "ntfy://10.0.0.1/x", "", "x"])
def test_what_was_stored_before_the_list_became_shorter_is_refused_unsent(
    url: str, internet: Services, send: Any
) -> None:
    with pytest.raises(RefusedError):
        send(url)
    assert internet.hosts == []


def test_a_masked_address_shows_the_service_and_tells_its_addresses_apart() -> None:
    masked = masked_address(DISCORD)
    assert re.fullmatch(r"discord://•••[0-9a-f]{8}", masked)
    assert masked != masked_address(f"{DISCORD}x")
    assert masked_address("\ud800") == masked_address("\ud800")


@pytest.mark.parametrize("priority", Priority)
def test_an_alert_is_never_taken_for_the_end_of_one(priority: Priority, internet: Services, send: Any) -> None:
    send(f"pagerduty://{'a' * 32}@{'b' * 32}", priority=priority)
    sent = json.loads(internet.received[0].body)
    urgent = priority in (Priority.HIGH, Priority.CRITICAL)
    assert (sent["event_action"], sent["payload"]["severity"]) == ("trigger", "critical" if urgent else "warning")


def test_title_and_text_arrive(internet: Services, send: Any) -> None:
    send(title="Certificate *expires*", text="in 7 days\n<b>really</b>")
    assert json.loads(internet.received[0].body)["content"] == "Certificate *expires*\r\nin 7 days\n<b>really</b>"


HOSTILE = {
    "line breaks": "a\r\nX-Header: b\r\n\r\n",
    "control characters": "a\x00b\x07c\x1b[31m\x7f\x85",
    "half a pair": "lone \ud800 surrogate",
    "long": "word " * 3000,
    "nothing": "",
    "templates": "{{app_id}} %s {0} ${HOME} :smile:",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_carried_and_breaks_nothing(text: str, internet: Services, send: Any) -> None:
    assert isinstance(send(title=text, text=text), Receipt)
    assert "x-header" not in internet.received[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        Reply(400, b"private-body"),
        Reply(401),
        Reply(404),
        Reply(500, b"<html>private-body</html>"),
        Reply(302, headers={"Location": "https://127.0.0.1/"}),
        Reply(fault=Fault.RESET),
        Reply(fault=Fault.HANG_UP),
        Reply(fault=Fault.NONSENSE),
    ],
    ids=lambda reply: str(reply.fault or reply.status),
)
def test_a_failure_of_any_kind_counts_as_not_sent_and_shows_nothing(
    answer: Reply, internet: Services, send: Any
) -> None:
    internet.script("*", answer)
    with pytest.raises(NotSentError) as caught:
        send()
    assert caught.value.provider_failed
    assert not re.search("private|secret|127", f"{caught.value} {caught.value.detail}")
    assert set(internet.hosts) == {"discord.com:443"}


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.TRICKLE])
def test_no_answer_until_the_deadline_is_unknown(fault: Fault, internet: Services, send: Any) -> None:
    internet.script("*", Reply(fault=fault))
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        send(deadline=1.0)
    assert time.monotonic() - began < 1.6
    internet.drop()


def test_nobody_there_means_not_sent(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(NotSentError):
        send()


def test_what_finds_no_thread_in_time_was_certainly_not_sent(internet: Services, run: Any, within: Any) -> None:
    internet.script("*", Reply(fault=Fault.HANG))

    async def scenario() -> list[Any]:
        import asyncio

        provider = within(AppriseProvider, 1.0)()
        message = Message("delivery-1", "t", "e", "x", text="x")
        sends = (provider.send(message, Address(DISCORD)) for _ in range(6))
        done = await asyncio.gather(*sends, return_exceptions=True)
        await provider.close()
        return done

    endings = sorted(type(one).__name__ for one in run(scenario()))
    assert endings == ["NotSentError"] * 2 + ["OutcomeUnknownError"] * 4
    internet.drop()


def test_nothing_secret_is_logged_however_much_is_logged(
    internet: Services, send: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    send()
    internet.script("*", Reply(500, b"private-body"))
    with pytest.raises(NotSentError):
        send()
    assert not re.search("top-secret|private-body", caplog.text)


def test_each_address_has_a_breaker_of_its_own(make_settings: Any) -> None:
    provider = AppriseProvider.from_settings(make_settings())
    assert provider is not None
    keys = {provider.breaker_key(Address(url)) for url in (DISCORD, f"{DISCORD}x")}
    assert len(keys) == 2
    assert "top-secret" not in str(keys)


def test_the_library_is_loaded_when_it_is_needed_and_not_before(tmp_path: Path) -> None:
    import subprocess

    lines = "import sys, channels.registry; print(sorted({'apprise', 'telegram', 'requests'} & set(sys.modules)))"
    done = subprocess.run((sys.executable, "-c", lines), capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_threads_are_let_go(internet: Services, send: Any) -> None:
    send()
    waiting = [one for one in threading.enumerate() if one.name.startswith("apprise") and one.is_alive()]
    for one in waiting:
        one.join(10)
    assert not [one for one in waiting if one.is_alive()]
