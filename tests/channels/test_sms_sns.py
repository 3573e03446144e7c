"""Amazon SNS at its desk in the lab: signed requests, what every answer means, and boto3 against the same desk."""

from __future__ import annotations

import asyncio

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from channels.base import AccountError, Address, Fate, Message, NotSentError, OutcomeUnknownError, Receipt, RefusedError
from channels.sms_sns import PROBLEMS, SnsProvider
from config.settings import SettingsError
from workers.receivers.desks.sns import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, problem
from workers.receivers.lab import Request
from workers.receivers.script import Reply

NUMBER = "+4915112345678"


@pytest.fixture
def account(lab):
    return {
        "sns_enabled": True,
        "sns_url": lab.url_of("sns"),
        "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY,
        "aws_region": REGION,
    }


@pytest.fixture
def make(account, make_settings):
    def making(**values) -> SnsProvider:
        provider = SnsProvider.from_settings(make_settings(**{**account, **values}))
        assert provider is not None
        return provider

    return making


@pytest.fixture
def send(make, run):
    def sending(number: str = NUMBER, text: str = "Disk full", **values) -> Receipt:
        async def scenario() -> Receipt:
            provider = make(**values)
            try:
                return await provider.send(Message("delivery-1", "t", "e", "x", text=text), Address(number))
            finally:
                await provider.close()

        return run(scenario())

    return sending


def form(lab) -> dict[str, str]:
    return Request("", "", {}, {}, lab.received[-1].body).form()


@pytest.mark.mission("E-31", "E-35")
def test_a_signed_message_is_sent_as_transactional_with_its_sender(lab, send):
    receipt = send(text="Łódź: 98 % of “disk” & more", sns_sender_id="Bellwire")
    assert (len(receipt.message_id), receipt.segments, receipt.detail) == (36, 1, "HTTP 200")
    assert form(lab) == {
        "Action": "Publish",
        "Version": "2010-03-31",
        "PhoneNumber": NUMBER,
        "Message": "Łódź: 98 % of “disk” & more",
        "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SMSType",
        "MessageAttributes.entry.1.Value.DataType": "String",
        "MessageAttributes.entry.1.Value.StringValue": "Transactional",
        "MessageAttributes.entry.2.Name": "AWS.SNS.SMS.SenderID",
        "MessageAttributes.entry.2.Value.DataType": "String",
        "MessageAttributes.entry.2.Value.StringValue": "Bellwire",
    }
    assert [(one.key, one.target) for one in lab.received] == [("delivery-1", NUMBER)]


@pytest.mark.mission("E-33")
def test_a_long_text_is_cut_to_160_characters_unless_more_parts_are_set(lab, send):
    assert send(text="x" * 500).segments == 1
    assert len(form(lab)["Message"]) == 160
    assert send(text="x" * 500, sms_segments=2).segments == 2
    assert len(form(lab)["Message"]) == 306


@pytest.mark.parametrize("number", ["", "015112345678", "someone", "+49"])
def test_what_is_no_number_is_refused_before_anything_is_sent(number, lab, send):
    with pytest.raises(RefusedError) as caught:
        send(number)
    assert caught.value.fate is Fate.NONE
    assert lab.connections == 0


WRONG = {
    "key": ({"aws_access_key_id": "AKIAOTHER"}, "InvalidClientTokenId"),
    "secret": ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
    "region": ({"aws_region": "us-east-1"}, "SignatureDoesNotMatch"),
}


@pytest.mark.parametrize(("values", "code"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_the_account_is_no_fault_of_the_message(values, code, send):
    with pytest.raises(AccountError, match=f"SNS {code}: the credentials are not accepted"):
        send(**values)


# The error, what follows for the address, whether the whole account waits, whether it counts against the provider.
CODES = {
    "Throttling": (400, "Rate exceeded", NotSentError, None, True, False),
    "ThrottlingException": (400, "Rate exceeded", NotSentError, None, True, False),
    "Throttled": (429, "Rate exceeded", NotSentError, None, True, False),
    "KMSThrottling": (400, "Rate exceeded", NotSentError, None, True, False),
    "OptedOut": (400, "gone", RefusedError, Fate.SUPPRESS, False, False),
    "InvalidParameter": (400, "Invalid parameter: PhoneNumber", RefusedError, Fate.NONE, False, False),
    "ParameterValueInvalid": (400, "x", RefusedError, Fate.NONE, False, False),
    "ValidationException": (400, "x", RefusedError, Fate.NONE, False, False),
    "EndpointDisabled": (400, "x", RefusedError, Fate.NONE, False, False),
    "NotFound": (404, "x", RefusedError, Fate.NONE, False, False),
    "AuthorizationError": (403, "not authorized to perform SNS:Publish", AccountError, None, False, True),
    "InvalidClientTokenId": (403, "x", AccountError, None, False, True),
    "SignatureDoesNotMatch": (403, "x", AccountError, None, False, True),
    "ExpiredToken": (403, "x", AccountError, None, False, True),
    "RequestExpired": (400, "x", AccountError, None, False, True),
    "InvalidSecurity": (403, "x", AccountError, None, False, True),
    "KMSDisabled": (400, "x", AccountError, None, False, True),
    "KMSAccessDenied": (400, "x", AccountError, None, False, True),
    "KMSOptInRequired": (403, "x", AccountError, None, False, True),
    "InternalError": (500, "x", NotSentError, None, False, True),
    "ServiceUnavailable": (503, "x", NotSentError, None, False, True),
    "NeverHeardOf": (400, "x", RefusedError, Fate.NONE, False, False),
    "NeverHeardOfEither": (403, "x", AccountError, None, False, True),
}


@pytest.mark.mission("E-45")
@pytest.mark.parametrize("code", CODES)
def test_the_code_decides(code, lab, send):
    status, words, kind, fate, throttled, against = CODES[code]
    lab.script(NUMBER, problem(status, code, f"{words} private-body {NUMBER}"))
    with pytest.raises(kind) as caught:
        send()
    error = caught.value
    assert type(error) is kind
    assert (getattr(error, "fate", None), error.provider_failed) == (fate, against)
    assert getattr(error, "throttled", False) == throttled
    assert error.detail.startswith(f"SNS {code}: ")
    assert "private" not in error.detail
    assert NUMBER not in error.detail


def test_an_opted_out_number_is_suppressed_under_whatever_code_it_is_told(lab, send):
    words = "Invalid parameter: PhoneNumber Reason: Phone number is opted out"
    lab.script(NUMBER, problem(400, "InvalidParameter", words))
    with pytest.raises(RefusedError, match="has opted out") as caught:
        send()
    assert caught.value.fate is Fate.SUPPRESS


@pytest.mark.parametrize("words", ["No quota left for account", "Monthly SMS spend limit exceeded"])
def test_a_spent_limit_is_the_accounts_even_when_it_is_told_as_throttling(words, lab, send):
    lab.script(NUMBER, problem(400, "Throttling", words))
    with pytest.raises(AccountError, match="the monthly spending limit is reached"):
        send()


ANSWERS = {
    "redirect": (Reply(302, b"x", headers={"Location": "http://127.0.0.1/"}), NotSentError),
    "not authorised": (Reply(403, b"{}"), AccountError),
    "busy": (Reply(503, b""), NotSentError),
    "a gateway": (Reply(502, b"<html>Bad Gateway</html>"), OutcomeUnknownError),
    "a slow gateway": (Reply(504), OutcomeUnknownError),
    "not XML": (Reply(200, b"<html>private-body</html>"), OutcomeUnknownError),
    "an odd code": (Reply(400, b"<Code>private-body</Code>"), RefusedError),
}


@pytest.mark.parametrize(("answer", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_amazons_is_understood_by_its_status(answer, kind, lab, send):
    lab.script(NUMBER, answer)
    with pytest.raises(kind) as caught:
        send()
    assert type(caught.value) is kind
    assert "private" not in caught.value.detail


def test_every_code_of_the_table_says_what_is_wrong():
    assert all(known.words for known in PROBLEMS.values())


INCOMPLETE = {
    "no key": ({"aws_access_key_id": ""}, "BELLWIRE_AWS_ACCESS_KEY_ID: must be set"),
    "no secret": ({"aws_secret_access_key": None}, "BELLWIRE_AWS_SECRET_ACCESS_KEY: must be set"),
    "no region": ({"aws_region": None}, "BELLWIRE_AWS_REGION: must be a region"),
    "a region that leads elsewhere": ({"aws_region": "eu-central-1.example.org/"}, "BELLWIRE_AWS_REGION: must be"),
    "a sender of digits": ({"sns_sender_id": "12345"}, "BELLWIRE_SNS_SENDER_ID: must be"),
    "a sender that is too long": ({"sns_sender_id": "x" * 12}, "BELLWIRE_SNS_SENDER_ID: must be"),
}


@pytest.mark.parametrize(("values", "words"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_settings_that_cannot_be_used_are_named(values, words, make):
    with pytest.raises(SettingsError, match=words):
        make(**values)


def test_a_tenants_keys_switch_it_on_and_no_session_token_of_ours_goes_with_them(account, lab, make_settings, run):
    ours = make_settings(
        sns_url=account["sns_url"], aws_session_token="ours", sns_enabled=False, aws_region="eu-west-1"
    )
    own = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY, "region": REGION}

    async def scenario() -> None:
        provider = SnsProvider.from_account(ours, own)
        await provider.send(Message("delivery-1", "t", "e", "x", text="x"), Address(NUMBER))
        await provider.close()

    run(scenario())
    assert lab.received[0].accepted
    assert "x-amz-security-token" not in lab.received[0].headers
    with pytest.raises(SettingsError, match=r"^region: must be"):
        SnsProvider.from_account(ours, {**own, "region": "nowhere"})


def test_a_session_token_of_ours_is_signed_and_sent(lab, send):
    send(aws_session_token="temporary")
    assert lab.received[0].accepted
    assert lab.received[0].headers["x-amz-security-token"] == "temporary"


def test_without_another_address_it_is_the_regions(make):
    assert make(sns_url=None)._url == "https://sns.eu-central-1.amazonaws.com/"
    assert make(sns_url=None, aws_region="cn-north-1")._url == "https://sns.cn-north-1.amazonaws.com.cn/"


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


def test_amazons_own_library_works_against_the_desk(lab):
    def client(secret: str):
        return boto3.client(
            "sns",
            endpoint_url=lab.url_of("sns"),
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 0}),
        )

    kind = {"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}}
    sent = client(SECRET_ACCESS_KEY).publish(PhoneNumber=NUMBER, Message="Disk full", MessageAttributes=kind)
    assert len(sent["MessageId"]) == 36
    with pytest.raises(ClientError) as caught:
        client("wrong").publish(PhoneNumber=NUMBER, Message="x")
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    lab.script(NUMBER, problem(400, "InvalidParameter", "Invalid parameter"))
    ours = client(SECRET_ACCESS_KEY)
    with pytest.raises(ours.exceptions.InvalidParameterException):
        ours.publish(PhoneNumber=NUMBER, Message="x")
