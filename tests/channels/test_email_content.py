"""What the email providers with an API are told of a mail, read from what arrived at their desks."""

from __future__ import annotations

import email
import email.policy
import json
from base64 import b64decode
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.base import AccountError, Address, Attachment, Message, RefusedError
from channels.letter import letter
from channels.mime import mailbox
from channels.mime import sender as sender_from

NAMES = ("resend", "sendgrid", "ses", "postmark")
each = pytest.mark.parametrize("name", NAMES)

TO = Address("someone@example.org", "Some One")
LINK = f"https://bellwire.example.org/u/{'t' * 300}"
HEADERS = {
    "Auto-Submitted": "auto-generated",
    "List-Unsubscribe": f"<{LINK}>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}


def message(**values) -> Message:
    given_values = {
        "title": "Certificate ends",
        "text": "In 7 days.",
        "html": "<p>In 7 days.</p>",
        "user_id": "u-1",
        "notification_id": "n-1",
    }
    return Message("delivery-1", "acme", "event-1", "ssl_expiry", **{**given_values, **values})


@dataclass
class Told:
    """What every provider was told, in one form."""

    sender: str
    to: str
    subject: str
    text: str
    html: str | None
    headers: dict[str, str]
    files: list[tuple[str, str, bytes]]
    labels: dict[str, str]  # metadata, and tags where they have names
    tags: list[str]  # tags without names


def read(name: str, body: bytes) -> Told:
    return {"resend": of_resend, "sendgrid": of_sendgrid, "ses": of_ses, "postmark": of_postmark}[name](
        json.loads(body)
    )


def of_resend(body) -> Told:
    files = [(one["filename"], one["content_type"], b64decode(one["content"])) for one in body.get("attachments", ())]
    labels = {one["name"]: one["value"] for one in body["tags"]}
    (to,) = body["to"]
    return Told(body["from"], to, body["subject"], body["text"], body.get("html"), body["headers"], files, labels, [])


def of_sendgrid(body) -> Told:
    texts = {one["type"]: one["value"] for one in body["content"]}
    files = [(one["filename"], one["type"], b64decode(one["content"])) for one in body.get("attachments", ())]
    (block,) = body["personalizations"]
    (to,) = block["to"]
    return Told(
        person(body["from"]),
        person(to),
        body["subject"],
        texts["text/plain"],
        texts.get("text/html"),
        body["headers"],
        files,
        body["custom_args"],
        body["categories"],
    )


def person(told) -> str:
    return f"{told['name']} <{told['email']}>" if "name" in told else told["email"]


def of_ses(body) -> Told:
    mail = email.message_from_bytes(b64decode(body["Content"]["Raw"]["Data"]), policy=email.policy.default)
    texts = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
    said = {kind: part and part.get_content().replace("\r\n", "\n").removesuffix("\n") for kind, part in texts.items()}
    ours = (*HEADERS, "Message-ID")
    assert body["Destination"] == {"ToAddresses": [mail["To"].addresses[0].addr_spec]}
    return Told(
        str(mail["From"]),
        str(mail["To"]),
        mail["Subject"],
        said["plain"],
        said["html"],
        {header: mail[header] for header in ours if mail[header]},
        [(one.get_filename(), one.get_content_type(), one.get_payload(decode=True)) for one in mail.iter_attachments()],
        {one["Name"]: one["Value"] for one in body["EmailTags"]},
        [],
    )


def of_postmark(body) -> Told:
    assert body["MessageStream"] == "outbound"
    files = [(one["Name"], one["ContentType"], b64decode(one["Content"])) for one in body.get("Attachments", ())]
    headers = {one["Name"]: one["Value"] for one in body["Headers"]}
    return Told(
        body["From"],
        body["To"],
        body["Subject"],
        body["TextBody"],
        body.get("HtmlBody"),
        headers,
        files,
        body["Metadata"],
        [body["Tag"]],
    )


@pytest.fixture
def told(lab, email_provider, run):
    """Sends one message through a provider, and says what its desk was told."""

    def sending(name: str, said: Message, to: Address = TO, **values) -> Told:
        async def scenario() -> None:
            provider = email_provider(name, **values)
            try:
                await provider.send(said, to)
            finally:
                await provider.close()

        run(scenario())
        return read(name, lab.received[-1].body)

    return sending


@pytest.mark.mission("A-3", "E-20")
@each
def test_a_mail_arrives_with_both_its_faces(name, told):
    found = told(name, message())
    assert (found.sender, found.to) == ("Bellwire <bellwire@example.org>", "Some One <someone@example.org>")
    assert (found.subject, found.text, found.html) == ("Certificate ends", "In 7 days.", "<p>In 7 days.</p>")


@pytest.mark.mission("E-22")
@each
def test_a_message_chooses_its_sender(name, told):
    assert told(name, message(sender="Billing <billing@example.org>")).sender == "Billing <billing@example.org>"


@pytest.mark.mission("A-21")
@each
def test_answers_go_where_the_brand_wants_them_and_the_sender_bears_its_name(name, told, lab):
    found = told(name, message(reply_to="help@acme.example", sender_name="Acme Hosting"))
    assert found.sender.replace('"', "") == "Acme Hosting <bellwire@example.org>"
    assert answers_to(name, json.loads(lab.received[-1].body)) == "help@acme.example"


@each
@pytest.mark.parametrize("wrong", ["nobody", "a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org"])
def test_a_mail_is_not_lost_for_a_place_where_no_answer_can_go(name, told, lab, wrong):
    told(name, message(reply_to=wrong))
    assert answers_to(name, json.loads(lab.received[-1].body)) is None


def answers_to(name: str, body) -> str | None:
    match name:
        case "ses":
            mail = email.message_from_bytes(b64decode(body["Content"]["Raw"]["Data"]), policy=email.policy.default)
            return mail["Reply-To"] and str(mail["Reply-To"])
        case "sendgrid":
            return body.get("reply_to", {}).get("email")
        case "postmark":
            return body.get("ReplyTo")
        case _:
            return body.get("reply_to")


@each
@pytest.mark.parametrize("sender", ["nobody", "a@example.org, b@example.org", "A <a@example.org> b@example.org", ""])
def test_a_sender_that_is_no_address_stops_before_anything_is_sent(name, sender, lab, told):
    with pytest.raises(AccountError, match="the sender is not an email address"):
        told(name, message(sender=sender))
    assert lab.connections == 0


BAD = [
    *("", "nobody", "@", "a@b@c.org", "a b@example.org", "<a@example.org>", "Some One <a@example.org>"),
    *("a@example.org,b@example.org", "a@example.org;b@example.org", "a@example.org\r\nBcc: b@example.org", "a@b\n.org"),
    *("a@example.org\x00", "a,b@example.org", '"a b"@example.org', "a@[127.0.0.1]", "\ud800@example.org"),
]


@each
@pytest.mark.parametrize("address", BAD)
def test_an_address_that_is_not_exactly_one_is_refused_before_anything_is_sent(name, address, lab, told):
    with pytest.raises(RefusedError):
        told(name, message(), Address(address))
    assert lab.connections == 0


@each
def test_an_international_local_part_is_not_for_an_api(name, lab, told, email_provider):
    with pytest.raises(RefusedError, match="SMTPUTF8"):
        told(name, message(), Address("用户@example.org"))
    assert not email_provider(name).carries(Address("用户@example.org"))
    assert email_provider(name).carries(TO)
    assert lab.connections == 0


@each
def test_an_international_domain_travels_in_ascii(name, told):
    assert told(name, message(), Address("ops@bücher.example")).to == "ops@xn--bcher-kva.example"


@pytest.mark.mission("E-25")
@each
def test_where_nobody_wrote_a_text_the_html_says_it(name, told):
    html = "<style>p{}</style><h1>Invoice</h1><ul><li>one</li><li>two</li></ul><script>x()</script>"
    found = told(name, message(text="", html=html))
    assert [line.strip() for line in found.text.splitlines() if line.strip()] == ["Invoice", "* one", "* two"]
    assert found.html == html


@each
def test_a_mail_without_html_has_none(name, told):
    assert told(name, message(html=None)).html is None


@each
def test_a_mail_without_words_is_carried(name, told):
    found = told(name, message(title=None, text="", html=None))
    assert found.text.strip() == ""


@each
def test_attachments_arrive_byte_for_byte_under_a_plain_name(name, told):
    files = (
        Attachment("../../Übersicht ✓.pdf", "application/pdf", bytes(range(256)) * 40),
        Attachment('a"\r\nBcc: x@example.org.exe', "nonsense\r\nX: y", b""),
    )
    assert told(name, message(attachments=files)).files == [
        ("Übersicht ✓.pdf", "application/pdf", bytes(range(256)) * 40),
        ("a' Bcc: x@example.org.exe", "application/octet-stream", b""),
    ]


@each
def test_one_click_unsubscribes_by_a_header_that_is_neither_cut_nor_encoded(name, told):
    found = told(name, message(unsubscribe=LINK))
    assert {header: found.headers[header] for header in HEADERS} == HEADERS


@each
@pytest.mark.parametrize(
    "link", [None, "", "javascript:x", "https://x.org/>, <mailto:a@b.c", "https://x\r\nBcc: a@b.c"]
)
def test_what_cannot_be_clicked_is_not_offered(name, link, told):
    assert set(told(name, message(unsubscribe=link)).headers) <= {"Auto-Submitted", "Message-ID", "X-PM-KeepID"}


@pytest.mark.parametrize("name", ["sendgrid", "ses", "postmark"])
def test_the_message_id_is_that_of_the_delivery_at_the_senders_domain(name, told):
    found = told(name, message(sender="billing@invoices.example"))
    assert found.headers["Message-ID"] == "<delivery-1@invoices.example>"
    assert (found.headers.get("X-PM-KeepID") == "true") == (name == "postmark")  # it replaces ours unless it is told so


@pytest.mark.mission("E-22")
@each
def test_our_ids_travel_along_so_that_receipts_can_name_them(name, told):
    labels = told(name, message()).labels
    expected = {
        "delivery_id": "delivery-1",
        "tenant": "acme",
        "userId": "u-1",
        "notificationId": "n-1",
        "notificationType": "ssl_expiry",
    }
    assert labels == expected


@pytest.mark.mission("E-22")
def test_tags_are_the_type_and_the_user(told):
    assert told("sendgrid", message()).tags == ["ssl_expiry", "user:u-1"]
    assert told("postmark", message()).tags == ["ssl_expiry"]  # it has room for one
    for name in ("resend", "ses"):  # theirs are pairs, and so the metadata: nothing is said twice
        labels = told(name, message()).labels
        assert sorted(labels.values()) == sorted({"delivery-1", "acme", "u-1", "n-1", "ssl_expiry"})


@each
def test_without_a_user_there_is_no_tag_of_one(name, told):
    found = told(name, message(user_id=None, notification_id=None))
    assert not {"userId", "notificationId", "user"} & found.labels.keys()
    assert found.tags in ([], ["ssl_expiry"])


@each
@pytest.mark.parametrize("user", ["a\r\nBcc: x@example.org", "ünï/✓ #1", "x" * 255, "\ud800", ",;", "\x00"])
def test_a_users_id_of_any_kind_fits_where_the_provider_wants_it(name, user, told):
    assert told(name, message(user_id=user)).labels["delivery_id"] == "delivery-1"


@each
@pytest.mark.parametrize(
    ("person_name", "shown"),
    [
        ("Doe, John", {'"Doe, John"', "Doe John"}),
        ("Ann O'Neil-Müller", {"Ann O'Neil-Müller"}),
        ("Evil <x@y.org>", {'"Evil x@y.org"', '"Evil <x@y.org>"', "Evil <x@y.org>"}),
        ("Bob\r\nBcc: x@y.org", {'"Bob Bcc: x@y.org"', "Bob Bcc: x@y.org"}),
    ],
)
def test_a_name_is_only_a_name(name, person_name, shown, told):
    found = told(name, message(), Address("someone@example.org", person_name)).to
    assert found in {f"{one} <someone@example.org>" for one in shown}


@given(
    title=st.text(),
    name=st.text(),
    user=st.text(),
    kind=st.text(),
    file=st.text(),
    html=st.text(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_no_text_is_more_than_one_line_of_a_header(title, name, user, kind, file, html):
    said = Message(
        "d", "t", "e", "type", title=title, html=html, user_id=user, attachments=(Attachment(file, kind, b"x"),)
    )
    made = letter(said, Address("someone@example.org", name), sender_from("Bellwire <bellwire@example.org>"))
    one_line = [made.subject, str(made.to), *made.headers.values(), *made.metadata.values(), *made.tags]
    one_line += [text for pair in made.name_tags for text in pair] + [
        text for one in made.attachments for text in one[:2]
    ]
    assert not [text for text in one_line if set(text) & set("\r\n\x00") or not text]
    assert json.dumps(made.text).isascii()
    assert made.text.encode() and (made.html or "").encode() is not None
    assert made.to.address == mailbox("someone@example.org").address
