"""SES's receipts through SNS: the topic, the certificate and the signature, and what each event says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from requests.exceptions import SSLError

from channels.receipts.amazon import FETCHES_A_MINUTE, LARGEST, Amazon
from channels.receipts.base import ForgedError, MalformedError, NotNowError
from channels.receipts.ses import SesReceiver
from domain.vocabulary import ReceiptKind
from tests.support.amazon import CERTIFICATE, HOST, PAGE, REGION, SUBSCRIBE, TOPIC, AmazonServer, amazon, issue
from tests.support.receipts import SECRETS, call

DELIVERY = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
MESSAGE = "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8a-000000"
K = ReceiptKind


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmazonServer]:
    with amazon(tmp_path_factory.mktemp("amazon")) as made:
        yield made


@pytest.fixture
def sns(site: AmazonServer) -> Iterator[AmazonServer]:
    """Amazon, with nothing but its certificate."""
    site.pages = {PAGE: (200, site.signer.pem, {})}
    site.asked.clear()
    return site


@pytest.fixture
def receiver(sns: AmazonServer) -> SesReceiver:
    return SesReceiver(Amazon(sns.open_session))


def event(name: str, about: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """As the documentation of SES shows it."""
    mail = {
        "timestamp": "2026-11-20T08:00:00.000Z",
        "messageId": MESSAGE,
        "destination": ["recipient@example.com"],
        "tags": {"ses:configuration-set": ["main"], "delivery_id": [DELIVERY], "tenant": ["acme"]},
    }
    return {"eventType": name, "mail": mail, name.lower(): about or {}} | more


def bounce(kind: str, subtype: str = "General") -> dict[str, Any]:
    recipient = {"emailAddress": "recipient@example.com", "diagnosticCode": "smtp; 550 <recipient@example.com> unknown"}
    return event("Bounce", {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": [recipient]})


def hear(receiver: SesReceiver, body: bytes) -> Any:
    return receiver.hear(call("ses", body), SECRETS["ses"])


# Who speaks


@pytest.mark.mission("E-26")
@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "", "Amazon SES Email Event Notification"])
def test_both_versions_of_the_signature_are_understood(
    receiver: SesReceiver, sns: AmazonServer, version: str, subject: str | None
) -> None:
    assert hear(receiver, sns.message(event("Delivery"), version=version, Subject=subject)).events == 1


def test_a_certificate_is_fetched_once(receiver: SesReceiver, sns: AmazonServer) -> None:
    for _ in range(5):
        hear(receiver, sns.message(event("Delivery")))
    assert sns.asked == [PAGE]


@pytest.mark.parametrize(
    "changes",
    [
        {"TopicArn": f"arn:aws:sns:{REGION}:999999999999:ses-events"},
        {"TopicArn": TOPIC + "x"},
        {"TopicArn": ""},
        {"TopicArn": None},
        {"Timestamp": timedelta(hours=-1, minutes=-1)},
        {"Timestamp": timedelta(minutes=6)},
        {"Timestamp": "2026-11-20T08:00:00"},
        {"Timestamp": "0001-01-01T00:00:00+14:00"},
        {"Timestamp": "now"},
        {"Timestamp": None},
        {"SignatureVersion": "3"},
        {"SignatureVersion": None},
        {"Type": "Surprise"},
        {"Type": None},
        {"MessageId": None},
        {"SigningCertURL": None},
    ],
    ids=lambda changes: f"{next(iter(changes))}",
)
def test_what_is_foreign_aged_or_malformed_is_refused_without_a_request(
    receiver: SesReceiver, sns: AmazonServer, changes: dict[str, Any]
) -> None:
    for name, value in changes.items():
        if isinstance(value, timedelta):
            changes = {**changes, name: (datetime.now(UTC) + value).isoformat()}
    with pytest.raises(ForgedError):
        hear(receiver, sns.message(event("Delivery"), **changes))
    assert sns.asked == []


@pytest.mark.mission("F-11")
@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE.replace("https:", "http:"),
        CERTIFICATE.replace("https:", "HTTPS:"),
        CERTIFICATE.replace(HOST, "sns.us-east-1.amazonaws.com"),
        CERTIFICATE.replace(HOST, f"{HOST}.evil.example"),
        CERTIFICATE.replace(HOST, f"evil.example#{HOST}"),
        CERTIFICATE.replace(HOST, f"evil.example/{HOST}"),
        CERTIFICATE.replace(HOST, f"evil.example\\{HOST}"),
        CERTIFICATE.replace(HOST, f"{HOST}@evil.example"),
        CERTIFICATE.replace(HOST, f"user:password@{HOST}"),
        CERTIFICATE.replace(HOST, f"{HOST}:8443"),
        CERTIFICATE.replace(HOST, f"{HOST}."),
        CERTIFICATE.replace(HOST, f"x.{HOST}"),
        CERTIFICATE.replace(HOST, f"s3.{REGION}.amazonaws.com"),
        CERTIFICATE.replace(HOST, "127.0.0.1"),
        CERTIFICATE.replace(HOST, HOST.replace("a", "\N{CYRILLIC SMALL LETTER A}")),
        CERTIFICATE.replace(".pem", ".txt"),
        f"{CERTIFICATE}?x=1",
        f"{CERTIFICATE}#x",
        f"{CERTIFICATE}\n",
        f" {CERTIFICATE}",
        f"https://{HOST}/../x.pem",
        f"https://{HOST}/folder/SimpleNotificationService-0a.pem",
        f"https://{HOST}",
        f"https://{HOST}/?Action=Publish&x=.pem",
        "https://[",
        "",
    ],
    ids=ascii,
)
def test_a_certificate_from_anywhere_else_is_not_fetched(receiver: SesReceiver, sns: AmazonServer, url: str) -> None:
    with pytest.raises(ForgedError):
        hear(receiver, sns.message(event("Delivery"), SigningCertURL=url))
    assert sns.asked == []


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "Subject", "Type"])
def test_every_field_that_is_signed_is_protected(receiver: SesReceiver, sns: AmazonServer, name: str) -> None:
    message = json.loads(sns.message(event("Delivery"), Subject="x"))
    message[name] = {"Timestamp": datetime.now(UTC).isoformat(), "Type": "UnsubscribeConfirmation"}.get(name, "changed")
    with pytest.raises(ForgedError):
        hear(receiver, json.dumps(message | {"Token": "t", "SubscribeURL": SUBSCRIBE}).encode())


@pytest.mark.parametrize("signature", ["", "%%%", "AAAA", None, 7], ids=str)
def test_a_signature_that_is_none_is_forged(receiver: SesReceiver, sns: AmazonServer, signature: Any) -> None:
    message = json.loads(sns.message(event("Delivery")))
    with pytest.raises(ForgedError):
        hear(receiver, json.dumps(message | {"Signature": signature}).encode())


def test_what_another_key_signed_is_forged(receiver: SesReceiver, sns: AmazonServer) -> None:
    with pytest.raises(ForgedError):
        hear(receiver, sns.message(event("Delivery"), by=issue("sns.amazonaws.com")))


@pytest.mark.parametrize(
    ("name", "ended", "taken"),
    [
        ("sns.amazonaws.com", False, True),
        (f"sns-signing.{REGION}.amazonaws.com", False, True),
        (HOST, False, True),
        ("sns.amazonaws.com", True, False),
        ("sns.us-east-1.amazonaws.com", False, False),
        ("sns.amazonaws.com.evil.example", False, False),
        ("amazonaws.com", False, False),
    ],
)
def test_a_certificate_must_be_valid_and_issued_to_sns(
    receiver: SesReceiver, sns: AmazonServer, name: str, ended: bool, taken: bool
) -> None:
    signer = issue(name, ended=ended)
    sns.pages[PAGE] = (200, signer.pem, {})
    body = sns.message(event("Delivery"), by=signer)
    if taken:
        assert hear(receiver, body).events == 1
    else:
        with pytest.raises(ForgedError, match="certificate"):
            hear(receiver, body)


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ((404, b"", {}), ForgedError),
        ((403, b"", {}), ForgedError),
        ((200, b"no certificate", {}), ForgedError),
        ((200, b"x" * (LARGEST + 10_000), {}), NotNowError),
        ((500, b"", {}), NotNowError),
        ((429, b"", {}), NotNowError),
        ((302, b"", {"Location": "https://127.0.0.1:1/"}), NotNowError),
    ],
    ids=["missing", "forbidden", "no-certificate", "endless", "failing", "throttled", "leads-elsewhere"],
)
def test_what_does_not_come_as_a_certificate_proves_nothing(
    receiver: SesReceiver, sns: AmazonServer, page: Any, error: type[Exception]
) -> None:
    sns.pages[PAGE] = page
    with pytest.raises(error):
        hear(receiver, sns.message(event("Delivery")))
    assert sns.asked == [PAGE]
    sns.pages[PAGE] = (200, sns.signer.pem, {})
    assert hear(receiver, sns.message(event("Delivery"))).events == 1  # and nothing wrong is remembered


def test_a_server_that_is_not_amazons_is_not_believed(sns: AmazonServer, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(issue(HOST, san=True).pem)
    stranger = AmazonServer(sns.port, other, sns.signer)
    with pytest.raises(SSLError), stranger.open_session() as session:
        session.get(CERTIFICATE)
    with pytest.raises(NotNowError):
        hear(SesReceiver(Amazon(stranger.open_session)), sns.message(event("Delivery")))


def test_nobody_makes_us_fetch_without_end(receiver: SesReceiver, sns: AmazonServer) -> None:
    for number in range(FETCHES_A_MINUTE):
        with pytest.raises(ForgedError):
            hear(receiver, sns.message(event("Delivery"), SigningCertURL=CERTIFICATE.replace("0a1b", f"{number:04}")))
    with pytest.raises(NotNowError):
        hear(receiver, sns.message(event("Delivery")))
    assert len(sns.asked) == FETCHES_A_MINUTE


# Subscriptions


def confirmation(sns: AmazonServer, **changes: Any) -> bytes:
    given = {"Type": "SubscriptionConfirmation", "Token": "t0ken", "SubscribeURL": SUBSCRIBE} | changes
    return sns.message("You have chosen to subscribe", **given)


@pytest.mark.mission("E-26")
def test_a_subscription_to_a_topic_of_ours_is_confirmed(receiver: SesReceiver, sns: AmazonServer) -> None:
    path = SUBSCRIBE.removeprefix(f"https://{HOST}")
    sns.pages[path] = (200, b"<ConfirmSubscriptionResponse/>", {})
    heard = hear(receiver, confirmation(sns))
    assert (sns.asked, heard.receipts) == ([PAGE, path], ())


@pytest.mark.parametrize(
    "changes",
    [
        {"TopicArn": f"arn:aws:sns:{REGION}:999999999999:ses-events"},
        {"SubscribeURL": "https://evil.example/?Action=ConfirmSubscription"},
        {"SubscribeURL": f"https://{HOST}@evil.example/"},
        {"SubscribeURL": SUBSCRIBE.replace(REGION, "us-east-1")},
        {"SubscribeURL": None},
        {"Token": None},
    ],
    ids=str,
)
def test_no_other_subscription_is_confirmed(receiver: SesReceiver, sns: AmazonServer, changes: dict[str, Any]) -> None:
    with pytest.raises(ForgedError):
        hear(receiver, confirmation(sns, **changes))
    assert set(sns.asked) <= {PAGE}


def test_a_confirmation_that_does_not_succeed_is_asked_for_again(receiver: SesReceiver, sns: AmazonServer) -> None:
    sns.pages[SUBSCRIBE.removeprefix(f"https://{HOST}")] = (503, b"", {})
    with pytest.raises(NotNowError):
        hear(receiver, confirmation(sns))


def test_the_end_of_a_subscription_is_noted_and_asks_for_nothing(receiver: SesReceiver, sns: AmazonServer) -> None:
    assert hear(receiver, confirmation(sns, Type="UnsubscribeConfirmation")).receipts == ()
    assert sns.asked == [PAGE]


# What is said


@pytest.mark.mission("E-27", "E-28")
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (event("Delivery"), [(K.DELIVERED, False)]),
        (bounce("Permanent"), [(K.BOUNCED, True)]),
        (bounce("Permanent", "OnAccountSuppressionList"), [(K.BOUNCED, True)]),
        (bounce("Transient", "MailboxFull"), [(K.BOUNCED, False)]),
        (bounce("Undetermined"), [(K.BOUNCED, False)]),
        (event("Complaint", {"complaintFeedbackType": "abuse"}), [(K.COMPLAINED, False)]),
        (event("Complaint", {"complaintFeedbackType": "not-spam"}), []),
        (
            event("Complaint", {"complaintSubType": "OnAccountSuppressionList"}),
            [(K.BOUNCED, False), (K.COMPLAINED, False)],
        ),
        (event("Open"), [(K.OPENED, False)]),
        (event("Click"), [(K.CLICKED, False)]),
        (event("Reject", {"reason": "Bad content"}), [(K.BOUNCED, False)]),
        (event("Rendering Failure"), [(K.BOUNCED, False)]),
        (event("Subscription", {"newTopicPreferences": {"unsubscribeAll": True}}), [(K.UNSUBSCRIBED, False)]),
        (event("Subscription", {"newTopicPreferences": {"unsubscribeAll": False}}), []),
        (event("Send"), []),
        (event("DeliveryDelay"), []),
        ({"notificationType": "AmazonSnsSubscriptionSucceeded"}, []),
        ({}, []),
    ],
    ids=lambda value: "",
)
def test_an_event_says_what_became_of_the_message(
    receiver: SesReceiver, sns: AmazonServer, said: dict[str, Any], expected: list[Any]
) -> None:
    heard = hear(receiver, sns.message(said))
    assert [(one.kind, one.permanent) for one in heard.receipts] == expected
    assert heard.events == bool(expected)
    assert len({one.key for one in heard.receipts}) == len(expected)
    for one in heard.receipts:
        assert (one.delivery_id, one.tenant, one.message_id) == (DELIVERY, "acme", MESSAGE)
        assert not re.search("@", one.detail)


def test_notifications_of_an_identity_are_understood_as_well(receiver: SesReceiver, sns: AmazonServer) -> None:
    said = bounce("Permanent")
    said["notificationType"] = said.pop("eventType")
    assert hear(receiver, sns.message(said)).receipts[0].kind is K.BOUNCED


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        (bounce("Transient", "MailboxFull"), True),
        (bounce("Transient", "ContentRejected"), False),
        (bounce("Transient", "MessageTooLarge"), False),
        (event("Reject"), False),
    ],
    ids=["full", "content", "too-large", "virus"],
)
def test_only_what_the_address_is_to_blame_for_counts_against_it(
    receiver: SesReceiver, sns: AmazonServer, said: dict[str, Any], blamed: bool
) -> None:
    assert (hear(receiver, sns.message(said)).receipts[0].address != "") is blamed


def test_the_same_bounce_by_two_topics_counts_once(receiver: SesReceiver, sns: AmazonServer) -> None:
    said = event("Bounce", {"bounceType": "Permanent", "feedbackId": "0100-f"})
    assert len({hear(receiver, sns.message(said)).receipts[0].key for _ in range(2)}) == 1


def test_the_word_that_ses_says_at_first_means_nothing(receiver: SesReceiver, sns: AmazonServer) -> None:
    said = "Successfully validated SNS topic for Amazon SES event publishing."
    assert hear(receiver, sns.message(said)).events == 0


@pytest.mark.parametrize("message", ["[]", "7", "{", "Hello"])
def test_an_authentic_message_that_is_no_event_is_malformed(
    receiver: SesReceiver, sns: AmazonServer, message: str
) -> None:
    with pytest.raises(MalformedError):
        hear(receiver, sns.message(message))
