"""Twilio at its desk in the lab: what is sent, what every answer means, and its own library against the same desk."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from channels.base import AccountError, Address, Fate, Message, NotSentError, OutcomeUnknownError, Receipt, RefusedError
from channels.sms_twilio import PROBLEMS, TwilioProvider
from config.settings import SettingsError
from workers.receivers.desks.twilio import ACCOUNT_SID, AUTH_TOKEN, FROM, SERVICE, problem
from workers.receivers.lab import Request
from workers.receivers.script import Reply

NUMBER = "+4915112345678"


@pytest.fixture
def account(lab):
    return {
        "twilio_url": lab.url_of("twilio"),
        "twilio_account_sid": ACCOUNT_SID,
        "twilio_auth_token": AUTH_TOKEN,
        "twilio_from": FROM,
        "public_url": "https://bellwire.example.org",
    }


@pytest.fixture
def make(account, make_settings):
    def making(**values) -> TwilioProvider:
        provider = TwilioProvider.from_settings(make_settings(**{**account, **values}))
        assert provider is not None
        return provider

    return making


@pytest.fixture
def send(make, run):
    def sending(number: str = NUMBER, text: str = "Disk full", **values) -> Receipt:
        said = {key: values.pop(key) for key in ("expires_in",) if key in values}

        async def scenario() -> Receipt:
            provider = make(**values)
            try:
                return await provider.send(Message("delivery-1", "t", "e", "x", text=text, **said), Address(number))
            finally:
                await provider.close()

        return run(scenario())

    return sending


def form(lab, index: int = 0) -> dict[str, str]:
    return Request("", "", {}, {}, lab.received[index].body).form()


@pytest.mark.mission("E-31", "E-35")
def test_a_message_is_sent_and_its_id_and_parts_are_the_receipt(lab, send):
    receipt = send(text="Disk full")
    assert (receipt.message_id[:2], receipt.segments, receipt.detail) == ("SM", 1, "HTTP 201")
    assert form(lab) == {
        "To": NUMBER,
        "From": FROM,
        "Body": "Disk full",
        "StatusCallback": "https://bellwire.example.org/v1/receipts/twilio?delivery=delivery-1",
    }
    assert [(one.key, one.target) for one in lab.received] == [("delivery-1", NUMBER)]


@pytest.mark.mission("E-33")
def test_a_long_text_is_cut_to_160_characters_unless_more_parts_are_set(lab, send):
    assert send(text="x" * 500).segments == 1
    assert send(text="x" * 500, sms_segments=3).segments == 3
    assert [len(form(lab, index)["Body"]) for index in (0, 1)] == [160, 459]


def test_a_messaging_service_sends_and_the_parts_are_counted_by_us(lab, send):
    assert send(twilio_from=SERVICE, text="ą" * 134, sms_segments=2).segments == 2
    assert form(lab)["MessagingServiceSid"] == SERVICE
    assert "From" not in form(lab)


def test_without_a_public_https_address_no_receipts_are_asked_for(lab, send):
    send(public_url="http://127.0.0.1:8080")
    assert "StatusCallback" not in form(lab)


def test_the_receipts_of_a_tenants_own_account_name_the_tenant(lab, account, make_settings, run):
    ours = make_settings(twilio_url=account["twilio_url"], public_url="https://bellwire.example.org")
    own = {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN, "from": FROM}

    async def scenario() -> None:
        provider = TwilioProvider.from_account(ours, own)
        await provider.send(Message("delivery-1", "a & b", "e", "x", text="x"), Address(NUMBER))
        await provider.close()

    run(scenario())
    query = parse_qs(urlsplit(form(lab)["StatusCallback"]).query)
    assert query == {"delivery": ["delivery-1"], "tenant": ["a & b"]}


@pytest.mark.parametrize(
    ("expires_in", "validity"), [(None, None), (90.7, "90"), (0.2, "1"), (35_999, "35999"), (36_000, None), (1e9, None)]
)
def test_twilio_keeps_a_message_no_longer_than_somebody_wants_it(expires_in, validity, lab, send):
    send(expires_in=expires_in)
    assert form(lab).get("ValidityPeriod") == validity


@pytest.mark.parametrize("number", ["", "015112345678", "someone", "+49"])
def test_what_is_no_number_is_refused_before_anything_is_sent(number, lab, send):
    with pytest.raises(RefusedError) as caught:
        send(number)
    assert caught.value.fate is Fate.NONE
    assert lab.connections == 0


WRONG = {
    "account_sid": ({"twilio_account_sid": "AC" + "f" * 32}, "20003"),
    "auth_token": ({"twilio_auth_token": "wrong"}, "20003"),
    "from": ({"twilio_from": "+15005550007"}, "21659"),
    "service": ({"twilio_from": "MG" + "f" * 32}, "21705"),
    "public_url": ({"public_url": "https://my_server"}, "21609"),
}


@pytest.mark.parametrize(("values", "code"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_the_account_is_no_fault_of_the_message(values, code, send):
    with pytest.raises(AccountError, match=f"Twilio {code}: "):
        send(**values)


# Of every documented code that can come back: the error, what follows for the address, seconds to wait, whether the
# whole account waits, whether it counts against the provider.
CODES = {
    20003: (401, AccountError, None, None, False, True),
    20005: (403, AccountError, None, None, False, True),
    20429: (429, NotSentError, None, None, True, False),
    20500: (500, NotSentError, None, None, False, True),
    20503: (503, NotSentError, None, None, False, True),
    14107: (400, NotSentError, None, 30, False, False),
    21211: (400, RefusedError, Fate.SUPPRESS, None, False, False),
    21408: (400, RefusedError, Fate.NONE, None, False, False),
    21602: (400, RefusedError, Fate.NONE, None, False, False),
    21603: (400, AccountError, None, None, False, True),
    21606: (400, AccountError, None, None, False, True),
    21608: (400, RefusedError, Fate.NONE, None, False, False),
    21609: (400, AccountError, None, None, False, True),
    21610: (400, RefusedError, Fate.SUPPRESS, None, False, False),
    21611: (429, NotSentError, None, 600, True, False),
    21612: (400, RefusedError, Fate.NONE, None, False, False),
    21614: (400, RefusedError, Fate.SUPPRESS, None, False, False),
    21617: (400, RefusedError, Fate.NONE, None, False, False),
    21635: (400, RefusedError, Fate.SUPPRESS, None, False, False),
    21659: (400, AccountError, None, None, False, True),
    21703: (400, AccountError, None, None, False, True),
    30001: (400, NotSentError, None, 600, True, False),
    30002: (403, AccountError, None, None, False, True),
    30003: (400, NotSentError, None, None, False, False),
    30005: (400, RefusedError, Fate.SUPPRESS, None, False, False),
    30007: (400, RefusedError, Fate.NONE, None, False, False),
    63038: (429, NotSentError, None, 3600, True, False),
    29999: (400, RefusedError, Fate.NONE, None, False, False),
}


@pytest.mark.mission("E-45")
@pytest.mark.parametrize("code", CODES)
def test_the_code_decides(code, lab, send):
    status, kind, fate, wait, throttled, against = CODES[code]
    lab.script(NUMBER, problem(status, code, f"private-body {NUMBER}"))
    with pytest.raises(kind) as caught:
        send()
    error = caught.value
    assert type(error) is kind
    assert (getattr(error, "fate", None), error.provider_failed) == (fate, against)
    assert (getattr(error, "retry_after", None), getattr(error, "throttled", False)) == (wait, throttled)
    assert error.detail.startswith(f"Twilio {code}: ")
    assert "private" not in error.detail
    assert NUMBER not in error.detail


def test_twilio_may_say_how_long_to_wait(lab, send):
    lab.script(NUMBER, problem(429, 20429, "Too Many Requests", **{"Retry-After": "7"}))
    with pytest.raises(NotSentError) as caught:
        send()
    assert (caught.value.retry_after, caught.value.throttled) == (7, True)


ANSWERS = {
    "redirect": (Reply(302, b"x", headers={"Location": "http://127.0.0.1/"}), NotSentError),
    "not found": (Reply(404, b"<html>private-body</html>"), AccountError),
    "not authorised": (Reply(401, b"[]"), AccountError),
    "busy": (Reply(503, b""), NotSentError),
    "a gateway": (Reply(502, b"<html>Bad Gateway</html>"), OutcomeUnknownError),
    "a slow gateway": (Reply(504), OutcomeUnknownError),
    "not JSON": (Reply(200, b"<html>private-body</html>"), OutcomeUnknownError),
    "no id": (Reply(200, b'{"sid": null}'), OutcomeUnknownError),
    "an odd code": (Reply(400, b'{"code": "private-body"}'), RefusedError),
    "a code that is true": (Reply(400, b'{"code": true}'), RefusedError),
}


@pytest.mark.parametrize(("answer", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_twilios_is_understood_by_its_status(answer, kind, lab, send):
    lab.script(NUMBER, answer)
    with pytest.raises(kind) as caught:
        send()
    assert type(caught.value) is kind
    assert "private" not in caught.value.detail
    assert not caught.value.detail.startswith("Twilio")


def test_what_was_created_is_sent_even_if_its_description_is_lost(lab, send):
    lab.script(NUMBER, Reply(201, b'{"sid": "SM'))
    assert send() == Receipt(None, "HTTP 201", segments=1)


def test_every_code_of_the_table_says_what_is_wrong_without_a_number():
    for code, known in PROBLEMS.items():
        assert known.words, code
        assert not any(letter.isdigit() for letter in known.words.replace("A2P 10DLC", "")), code


INCOMPLETE = {
    "no token": ({"twilio_auth_token": None}, "BELLWIRE_TWILIO_AUTH_TOKEN: must be set"),
    "no sender": ({"twilio_from": ""}, "BELLWIRE_TWILIO_FROM: must be set"),
    "a sid that leads elsewhere": ({"twilio_account_sid": "AC/../../x"}, "BELLWIRE_TWILIO_ACCOUNT_SID: must be AC"),
    "a sender that is none": ({"twilio_from": "+49 151"}, "BELLWIRE_TWILIO_FROM: must be a number"),
}


@pytest.mark.parametrize(("values", "words"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_settings_that_cannot_be_used_are_named(values, words, make):
    with pytest.raises(SettingsError, match=words):
        make(**values)


def test_a_tenants_own_account_is_not_mixed_with_the_installations(account, make_settings):
    with pytest.raises(SettingsError, match=r"^auth_token: must be set"):
        TwilioProvider.from_account(make_settings(**account), {"account_sid": ACCOUNT_SID, "from": FROM})
    assert TwilioProvider.from_account(make_settings(**account), {}) is None


def test_sixty_four_at_once_and_sixty_four_again_use_the_same_connections(lab, make, run):
    async def scenario() -> None:
        provider = make()

        async def one(number: int) -> None:
            await provider.send(Message(f"delivery-{number}", "t", "e", "x", text=f"{number}"), Address(NUMBER))

        await asyncio.gather(*(one(number) for number in range(64)))
        opened = lab.connections
        await asyncio.gather(*(one(number) for number in range(64, 128)))
        assert lab.connections == opened <= 64
        await provider.close()

    run(scenario())
    assert lab.times_accepted() == {f"delivery-{number}": 1 for number in range(128)}


class HereInstead(TwilioHttpClient):
    """Twilio's own client, which knows no other host than Twilio's."""

    def __init__(self, here: str) -> None:
        super().__init__()
        self.here = here

    def request(self, method, url, *arguments, **named):
        return super().request(method, url.replace("https://api.twilio.com", self.here), *arguments, **named)


def test_twilios_own_library_works_against_the_desk(lab):
    client = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=HereInstead(lab.url_of("twilio")))
    sent = client.messages.create(to=NUMBER, from_=FROM, body="€" * 81)
    assert (sent.sid[:2], sent.num_segments, sent.status) == ("SM", "2", "queued")
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(to="+49", from_=FROM, body="x")
    assert (caught.value.status, caught.value.code) == (400, 21211)
    with pytest.raises(TwilioRestException) as caught:
        Client(ACCOUNT_SID, "wrong", http_client=HereInstead(lab.url_of("twilio"))).messages.create(to=NUMBER, body="x")
    assert (caught.value.status, caught.value.code) == (401, 20003)
