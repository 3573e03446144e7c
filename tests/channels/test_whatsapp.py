"""WhatsApp at its desk in the lab: templates, sessions, pictures, every error, and a library against the same desk."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywa import WhatsApp
from pywa.errors import ExpiredAccessToken, InvalidParameter, TemplateNotExists
from pywa.types.templates import BodyText, TemplateLanguage

from channels.base import (
    AccountError,
    Address,
    Fate,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Receipt,
    RefusedError,
    Template,
)
from channels.characters import units
from channels.whatsapp import PARAMETERS_LENGTH, WhatsAppProvider, filled, free_form, parameters
from channels.whatsapp_problems import PROBLEMS
from config.settings import SettingsError
from workers.receivers.desks.whatsapp import PHONE_NUMBER_ID, TOKEN, problem
from workers.receivers.script import Fault, Reply

NUMBER = "+4915112345678"
PLAIN = Message("delivery-1", "t", "e", "ssl_failure", title="Certificate failed", text="on a.example.org")
SESSION_OVER = problem(400, 131047, "Re-engagement message")


@pytest.fixture
def account(lab):
    return {
        "whatsapp_url": lab.url_of("whatsapp"),
        "whatsapp_token": TOKEN,
        "whatsapp_phone_number_id": PHONE_NUMBER_ID,
    }


@pytest.fixture
def make(account, make_settings):
    def making(**values) -> WhatsAppProvider:
        provider = WhatsAppProvider.from_settings(make_settings(**{**account, **values}))
        assert provider is not None
        return provider

    return making


@pytest.fixture
def send(make, run):
    def sending(number: str = NUMBER, message: Message = PLAIN, settings=None, **changes) -> Receipt:
        async def scenario() -> Receipt:
            provider = make(**(settings or {}))
            try:
                return await provider.send(replace(message, **changes), Address(number))
            finally:
                await provider.close()

        return run(scenario())

    return sending


def said(lab, index: int = -1):
    return json.loads(lab.received[index].body)


@pytest.mark.mission("B-4")
def test_outside_the_session_the_approved_template_is_filled(lab, send):
    receipt = send(template=Template("", "", ("Certificate failed", "on a.example.org")))
    assert receipt.message_id.startswith("wamid.")
    assert receipt.detail == "HTTP 200, template"
    assert said(lab) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": NUMBER,
        "biz_opaque_callback_data": "delivery-1",
        "type": "template",
        "template": {
            "name": "bellwire_notification",
            "language": {"code": "en"},
            "components": [
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "text": "Certificate failed"},
                        {"type": "text", "text": "on a.example.org"},
                    ],
                }
            ],
        },
    }
    assert [(one.key, one.target) for one in lab.received] == [("delivery-1", NUMBER)]


def test_a_message_without_a_template_fills_ours_with_its_title_and_text(lab, send):
    send()
    places = said(lab)["template"]["components"][0]["parameters"]
    assert [place["text"] for place in places] == ["Certificate failed", "on a.example.org"]


def test_a_message_may_name_another_template(lab, send):
    with pytest.raises(RefusedError, match="WhatsApp 132001"):
        send(template=Template("other", "de", ("x",)))
    assert said(lab)["template"]["name"] == "other"
    assert said(lab)["template"]["language"] == {"code": "de"}


def test_a_template_without_places_has_no_components():
    assert filled(Template("hello_world", "en_US")) == {
        "type": "template",
        "template": {"name": "hello_world", "language": {"code": "en_US"}},
    }


@pytest.mark.mission("B-4")
def test_within_the_session_the_text_itself_is_sent_without_a_preview_of_links(lab, send):
    assert send(in_session=True, text="*Certificate failed*\nhttps://example.org").detail == "HTTP 200, text"
    assert said(lab)["text"] == {"body": "*Certificate failed*\nhttps://example.org", "preview_url": False}


@pytest.mark.mission("B-4")
def test_within_the_session_a_picture_carries_the_text_below_it(lab, send):
    send(in_session=True, image="https://example.org/graph.png", text="x" * 2000)
    assert said(lab)["type"] == "image"
    assert said(lab)["image"] == {"link": "https://example.org/graph.png", "caption": "x" * 1023 + "…"}


def test_a_text_of_the_session_is_cut_to_4096_characters():
    body = free_form(replace(PLAIN, text="x" * 4094 + "👩‍👩‍👧" * 9))["text"]["body"]
    assert body == "x" * 4094 + "…"


@pytest.mark.parametrize(("title", "body"), [("Failed", "Failed"), (None, "ssl_failure"), (" \x00", "ssl_failure")])
def test_without_a_text_the_title_is_said_and_without_both_the_type_of_the_event(title, body):
    assert free_form(replace(PLAIN, title=title, text="\n"))["text"]["body"] == body


@pytest.mark.mission("B-4")
def test_when_the_session_is_over_after_all_the_template_follows_within_the_same_attempt(lab, send):
    lab.script(NUMBER, SESSION_OVER, Reply())
    assert send(in_session=True).detail == "HTTP 200, template"
    assert [said(lab, index)["type"] for index in (0, 1)] == ["text", "template"]
    assert lab.times_accepted() == {"delivery-1": 1}


def test_the_template_follows_once_only(lab, send):
    lab.script(NUMBER, SESSION_OVER)
    with pytest.raises(RefusedError, match="WhatsApp 131047"):
        send(in_session=True)
    assert len(lab.received) == 2


def test_both_tries_together_keep_the_deadline(lab, account, make_settings, within, run):
    lab.script(NUMBER, replace(SESSION_OVER, wait=0.6), Reply(fault=Fault.HANG))
    provider = within(WhatsAppProvider, 0.7).from_settings(make_settings(**account))

    async def scenario() -> None:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknownError):
            await provider.send(replace(PLAIN, in_session=True), Address(NUMBER))
        assert time.monotonic() - began < 1.2  # a deadline for each of them would make 1.3
        await provider.close()

    run(scenario())
    assert len(lab.received) == 2


FILLED = {
    "line breaks": (("a\r\n\nb", "c\nd"), ["a b", "c d"]),
    "tabs and runs of spaces": (("a\tb", "c      d"), ["a b", "c d"]),
    "nothing": (("", " \n"), ["-", "-"]),
    "control characters": (("a\x00b\u2028c", "half \ud800"), ["ab c", "half ?"]),
    "a long text": (("Title", "x" * 2000), ["Title", "x" * 894 + "…"]),
    "a long title": (("x" * 2000, "Text"), ["x" * 449 + "…", "Text"]),
    "one place": (("x" * 2000,), ["x" * 899 + "…"]),
    "none": ((), []),
}


@pytest.mark.mission("B-4")
@pytest.mark.parametrize(("given_texts", "sent"), FILLED.values(), ids=FILLED)
def test_what_fills_a_place_is_one_line_and_not_empty(given_texts, sent):
    assert parameters(given_texts) == sent


def test_line_breaks_never_reach_the_api(lab, send):
    send(title="Two\nlines", text="a\n\n\tb      c")
    assert lab.received[-1].accepted
    places = said(lab)["template"]["components"][0]["parameters"]
    assert [place["text"] for place in places] == ["Two lines", "a b c"]


@given(st.lists(st.text(max_size=2000), min_size=1, max_size=5))
def test_whatever_fills_the_places_is_acceptable(texts):
    sent = parameters(texts)
    assert len(sent) == len(texts)
    assert sum(map(units, sent)) <= PARAMETERS_LENGTH
    for text in sent:
        assert text.strip() == text != ""
        assert text.split() == text.split(" ")


@pytest.mark.parametrize("number", ["", "015112345678", "someone", "+49"])
def test_what_is_no_number_is_refused_before_anything_is_sent(number, lab, send):
    with pytest.raises(RefusedError) as caught:
        send(number)
    assert caught.value.fate is Fate.NONE
    assert lab.connections == 0


WRONG = {
    "token": ({"whatsapp_token": "wrong"}, "WhatsApp 190: the token"),
    "number": ({"whatsapp_phone_number_id": "1"}, "WhatsApp 100: the number that sends is gone"),
}


@pytest.mark.parametrize(("settings", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_the_account_is_no_fault_of_the_message(settings, words, send):
    with pytest.raises(AccountError, match=words):
        send(settings=settings)


# The error, what follows for the address, seconds to wait, whether the whole account waits, whether it counts against
# the provider.
ACCOUNT = (AccountError, None, None, False, True)
RETRY = (NotSentError, None, None, False, True)
REFUSED = (RefusedError, Fate.NONE, None, False, False)
THROTTLED = (NotSentError, None, None, True, False)
CODES = {
    0: (401, *ACCOUNT),
    3: (500, *ACCOUNT),
    10: (403, *ACCOUNT),
    190: (401, *ACCOUNT),
    200: (400, *ACCOUNT),
    299: (400, *ACCOUNT),
    368: (403, *ACCOUNT),
    131005: (403, *ACCOUNT),
    131031: (403, *ACCOUNT),
    131037: (400, *ACCOUNT),
    131042: (400, *ACCOUNT),
    131045: (500, *ACCOUNT),
    133010: (400, *ACCOUNT),
    4: (400, *THROTTLED),
    80007: (400, *THROTTLED),
    130429: (400, *THROTTLED),
    131048: (400, NotSentError, None, 3600, True, False),
    131056: (400, NotSentError, None, 6, False, False),
    1: (400, *RETRY),
    2: (503, *RETRY),
    131000: (500, *RETRY),
    131016: (500, *RETRY),
    131057: (500, NotSentError, None, 60, False, True),
    133004: (503, *RETRY),
    100: (400, *REFUSED),
    130472: (400, *REFUSED),
    131008: (400, *REFUSED),
    131009: (400, *REFUSED),
    131021: (400, *REFUSED),
    131026: (400, *REFUSED),
    131047: (400, RefusedError, Fate.NONE, None, False, False),
    131049: (400, *REFUSED),
    131050: (400, RefusedError, Fate.SUPPRESS, None, False, False),
    131051: (400, *REFUSED),
    131053: (400, *REFUSED),
    132000: (400, *REFUSED),
    132001: (404, *REFUSED),
    132005: (400, *REFUSED),
    132007: (400, *REFUSED),
    132012: (400, *REFUSED),
    132015: (400, *REFUSED),
    132016: (400, *REFUSED),
    132018: (400, *REFUSED),
    139999: (400, *REFUSED),
    139998: (503, *RETRY),
}


@pytest.mark.mission("E-45")
@pytest.mark.parametrize("code", CODES)
def test_the_code_decides(code, lab, send):
    status, kind, fate, wait, throttled, against = CODES[code]
    lab.script(NUMBER, problem(status, code, f"private-body {NUMBER}"))
    with pytest.raises(kind) as caught:
        send()
    error = caught.value
    assert isinstance(error, AccountError) == (kind is AccountError)
    assert (getattr(error, "fate", None), error.provider_failed) == (fate, against)
    assert (getattr(error, "retry_after", None), getattr(error, "throttled", False)) == (wait, throttled)
    assert error.detail.startswith(f"WhatsApp {code}: ")
    assert "private" not in error.detail
    assert NUMBER not in error.detail


ANSWERS = {
    "redirect": (Reply(302, b"x", headers={"Location": "http://127.0.0.1/"}), NotSentError),
    "not authorised": (Reply(401, b"[]"), AccountError),
    "too many": (Reply(429, b""), NotSentError),
    "busy": (Reply(503, b""), NotSentError),
    "a gateway": (Reply(502, b"<html>Bad Gateway</html>"), OutcomeUnknownError),
    "a slow gateway": (Reply(504), OutcomeUnknownError),
    "not JSON": (Reply(200, b"<html>private-body</html>"), OutcomeUnknownError),
    "no message": (Reply(200, b'{"messages": []}'), OutcomeUnknownError),
    "an odd id": (Reply(200, b'{"messages": [{"id": 1}]}'), OutcomeUnknownError),
    "an odd error": (Reply(400, b'{"error": "private-body"}'), RefusedError),
    "an odd code": (Reply(400, b'{"error": {"code": "private-body"}}'), RefusedError),
}


@pytest.mark.parametrize(("answer", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_metas_is_understood_by_its_status(answer, kind, lab, send):
    lab.script(NUMBER, answer)
    with pytest.raises(kind) as caught:
        send()
    assert type(caught.value) is kind
    assert "private" not in caught.value.detail


def test_every_code_of_the_table_says_what_is_wrong():
    assert all(known.words for known in PROBLEMS.values())


def test_one_message_in_six_seconds_to_one_person_is_a_limit_of_the_address():
    limits = {(limit.amount, limit.seconds, limit.scope) for limit in WhatsAppProvider.capabilities.limits}
    assert limits == {(80, 1, "account"), (1, 6, "address")}


INCOMPLETE = {
    "no token": ({"whatsapp_token": ""}, "BELLWIRE_WHATSAPP_TOKEN: must be"),
    "a token with a line break": ({"whatsapp_token": "a\nb"}, "BELLWIRE_WHATSAPP_TOKEN: must be"),
    "no number": ({"whatsapp_phone_number_id": None}, "BELLWIRE_WHATSAPP_PHONE_NUMBER_ID: must be"),
    "a number that leads elsewhere": ({"whatsapp_phone_number_id": "1/../2"}, "BELLWIRE_WHATSAPP_PHONE_NUMBER_ID: "),
    "a template that is none": ({"whatsapp_template": "My template"}, "BELLWIRE_WHATSAPP_TEMPLATE: must be"),
    "a language that is none": ({"whatsapp_language": "english!"}, "BELLWIRE_WHATSAPP_LANGUAGE: must be"),
}


@pytest.mark.parametrize(("settings", "words"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_settings_that_cannot_be_used_are_named(settings, words, make):
    with pytest.raises(SettingsError, match=words):
        make(**settings)


def test_sixty_four_at_once_and_sixty_four_again_use_the_same_connections(lab, make, run):
    async def scenario() -> None:
        provider = make()

        async def one(number: int) -> None:
            await provider.send(replace(PLAIN, delivery_id=f"delivery-{number}"), Address(NUMBER))

        await asyncio.gather(*(one(number) for number in range(64)))
        opened = lab.connections
        await asyncio.gather(*(one(number) for number in range(64, 128)))
        assert lab.connections == opened <= 64
        await provider.close()

    run(scenario())
    assert lab.times_accepted() == {f"delivery-{number}": 1 for number in range(128)}


class HereInstead(httpx.HTTPTransport):
    """For a library that knows no other host than Meta's."""

    def __init__(self, here: str) -> None:
        super().__init__()
        self.here = here

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = httpx.URL(str(request.url).replace("https://graph.facebook.com", self.here))
        request.headers["host"] = request.url.netloc.decode()
        return super().handle_request(request)


def test_a_library_for_the_cloud_api_works_against_the_desk(lab):
    with httpx.Client(transport=HereInstead(lab.url_of("whatsapp"))) as session:
        ours = WhatsApp(PHONE_NUMBER_ID, TOKEN, session=session)
        assert ours.send_message(NUMBER, "Disk full", tracker="delivery-1").id.startswith("wamid.")
        assert ours.send_image(NUMBER, "https://example.org/graph.png", caption="Disk full").id.startswith("wamid.")
        places = [BodyText.params("Disk full", "on a.example.org")]
        sent = ours.send_template(NUMBER, "bellwire_notification", TemplateLanguage.ENGLISH, places)
        assert sent.id.startswith("wamid.")
        with pytest.raises(TemplateNotExists):
            ours.send_template(NUMBER, "other", TemplateLanguage.GERMAN, [])
        with pytest.raises(InvalidParameter):
            ours.send_message("123", "x")
    assert lab.received[0].key == "delivery-1"
    with httpx.Client(transport=HereInstead(lab.url_of("whatsapp"))) as session, pytest.raises(ExpiredAccessToken):
        WhatsApp(PHONE_NUMBER_ID, "wrong", session=session).send_message(NUMBER, "x")
