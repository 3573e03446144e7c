"""The lab speaks the providers' APIs well enough for their own libraries, and refuses what they refuse."""

from __future__ import annotations

import boto3
import pytest
import resend as resend_library
from botocore.config import Config
from botocore.exceptions import ClientError
from postmarker.core import PostmarkClient
from postmarker.exceptions import ClientError as PostmarkError
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Mail

from workers.receivers.desks import postmark, resend, sendgrid, ses
from workers.receivers.lab import Lab

SENDER, TO = "Bellwire <bellwire@example.org>", "someone@example.org"


@pytest.fixture
def resend_at(lab):
    """Resend's library, which keeps its address and its key in the module."""
    before = resend_library.api_url, resend_library.api_key
    resend_library.api_url, resend_library.api_key = lab.url_of("resend"), resend.KEY
    yield resend_library
    resend_library.api_url, resend_library.api_key = before


RESEND_MAIL = {"from": SENDER, "to": [TO], "subject": "Hi", "html": "<p>x</p>", "tags": [{"name": "a", "value": "b"}]}


def test_resends_library_sends(lab, resend_at):
    assert resend_at.Emails.send(RESEND_MAIL)["id"]
    assert [(one.target, one.accepted) for one in lab.received] == [(TO, True)]


def test_resends_library_sends_once_with_one_key(lab, resend_at):
    first = resend_at.Emails.send(RESEND_MAIL, {"idempotency_key": "delivery-1"})
    again = resend_at.Emails.send(RESEND_MAIL, {"idempotency_key": "delivery-1"})
    assert first["id"] == again["id"]
    assert list(lab.desks["resend"].sent) == ["delivery-1"]
    with pytest.raises(resend_at.exceptions.ResendError) as caught:
        resend_at.Emails.send({**RESEND_MAIL, "subject": "Other"}, {"idempotency_key": "delivery-1"})
    assert (caught.value.code, caught.value.error_type) == (409, "invalid_idempotent_request")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"to": ["nobody"]}, "validation_error"),
        ({"to": ["a@example.org, b@example.org"]}, "validation_error"),
        ({"from": f"a@{resend.UNVERIFIED}"}, "validation_error"),
        ({"subject": ""}, "missing_required_field"),
        ({"html": ""}, "validation_error"),
        ({"tags": [{"name": "type", "value": "a b"}]}, "validation_error"),
        ({"attachments": [{"filename": "a", "content": "!"}]}, "invalid_attachment"),
    ],
)
def test_resends_desk_refuses_what_resend_refuses(wrong, error, resend_at):
    with pytest.raises(resend_at.exceptions.ResendError) as caught:
        resend_at.Emails.send({**RESEND_MAIL, **wrong})
    assert caught.value.error_type == error


def test_resends_desk_knows_its_key(resend_at):
    resend_at.api_key = "re_guessed"
    with pytest.raises(resend_at.exceptions.InvalidApiKeyError):
        resend_at.Emails.send(RESEND_MAIL)


def sendgrid_mail(sender: str = "bellwire@example.org", to: str = TO, subject: str = "Hi") -> Mail:
    return Mail(from_email=sender, to_emails=to, subject=subject, html_content="<p>x</p>", plain_text_content="x")


def test_sendgrids_library_sends(lab):
    answer = SendGridAPIClient(sendgrid.KEY, host=lab.url_of("sendgrid")).send(sendgrid_mail())
    assert answer.status_code == 202
    assert answer.headers["X-Message-Id"]
    assert [(one.target, one.accepted) for one in lab.received] == [(TO, True)]


@pytest.mark.parametrize(
    ("key", "values", "status", "words"),
    [
        ("SG.guessed", {}, 401, "authorization grant is invalid"),
        (sendgrid.KEY, {"to": "ü@example.org"}, 400, "valid address"),
        (sendgrid.KEY, {"sender": f"a@{sendgrid.UNVERIFIED}"}, 403, "verified Sender Identity"),
        (sendgrid.KEY, {"subject": ""}, 400, "subject"),
    ],
)
def test_sendgrids_desk_refuses_what_sendgrid_refuses(key, values, status, words, lab):
    with pytest.raises(HTTPError) as caught:
        SendGridAPIClient(key, host=lab.url_of("sendgrid")).send(sendgrid_mail(**values))
    assert caught.value.status_code == status
    assert words in caught.value.to_dict["errors"][0]["message"]


class _AtTheRoot(postmark.PostmarkDesk):
    """Its library knows only addresses without a path, so here the desk is the first part of the path itself."""

    name = "email"
    path = "/"


@pytest.fixture
def postmark_at(serve):
    lab = serve(Lab(_AtTheRoot()))
    return lab, lambda token=postmark.TOKEN: PostmarkClient(server_token=token, root_api_url=lab.url)


def test_postmarks_library_sends(postmark_at):
    lab, client = postmark_at
    answer = client().emails.send(From=SENDER, To=TO, Subject="Hi", HtmlBody="x", Metadata={"delivery_id": "d-1"})
    assert (answer["ErrorCode"], answer["Message"]) == (0, "OK")
    assert [(one.key, one.target, one.accepted) for one in lab.received] == [("d-1", TO, True)]


@pytest.mark.parametrize(
    ("token", "values", "code"),
    [
        ("guessed", {}, 10),
        (postmark.TOKEN, {"To": "nobody"}, 300),
        (postmark.TOKEN, {"To": "inactive@example.org"}, 406),
        (postmark.TOKEN, {"From": f"a@{postmark.UNVERIFIED}"}, 400),
        (postmark.TOKEN, {"Metadata": {"x" * 21: "y"}}, 300),
    ],
)
def test_postmarks_desk_refuses_what_postmark_refuses(token, values, code, postmark_at):
    lab, client = postmark_at
    lab.desks["email"].inactive.add("inactive@example.org")
    with pytest.raises(PostmarkError) as caught:
        client(token).emails.send(**{"From": SENDER, "To": TO, "Subject": "Hi", "TextBody": "x", **values})
    assert caught.value.error_code == code


@pytest.fixture
def sesv2(lab):
    def client(secret: str = ses.SECRET, key: str = ses.KEY_ID, region: str = ses.REGION):
        return boto3.client(
            "sesv2",
            region_name=region,
            endpoint_url=lab.url_of("ses"),
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )

    return client


SES_MAIL = {
    "FromEmailAddress": SENDER,
    "Destination": {"ToAddresses": [TO]},
    "Content": {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "x"}}}},
    "EmailTags": [{"Name": "delivery_id", "Value": "d-1"}],
}


def test_amazons_library_sends(lab, sesv2):
    assert sesv2().send_email(**SES_MAIL)["MessageId"]
    assert [(one.key, one.target, one.accepted) for one in lab.received] == [("d-1", TO, True)]


@pytest.mark.parametrize(
    ("account", "values", "code"),
    [
        ({"secret": "guessed"}, {}, "InvalidSignatureException"),
        ({"key": "AKIAGUESSED"}, {}, "UnrecognizedClientException"),
        ({"region": "us-east-1"}, {}, "UnrecognizedClientException"),
        ({}, {"FromEmailAddress": f"a@{ses.UNVERIFIED}"}, "MessageRejected"),
        ({}, {"Destination": {"ToAddresses": ["nobody"]}}, "BadRequestException"),
        ({}, {"ConfigurationSetName": "nothing"}, "NotFoundException"),
        ({}, {"EmailTags": [{"Name": "type", "Value": "a b"}]}, "BadRequestException"),
    ],
)
def test_amazons_desk_refuses_what_amazon_refuses(account, values, code, sesv2):
    with pytest.raises(ClientError) as caught:
        sesv2(**account).send_email(**{**SES_MAIL, **values})
    assert caught.value.response["Error"]["Code"] == code
