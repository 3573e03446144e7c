"""The bytes of an email, read back with the standard library as a mail program would."""

from __future__ import annotations

import email
import email.policy
import re
import unicodedata
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Attachment, Message
from channels.mime import clean, compose, mailbox, one_line, plain_text, sender

TAGS = [
    "<p>",
    "<table><tr><td>",
    "</table>",
    "<ul><li>",
    "<!--",
    "-->",
    "<![CDATA[",
    "<?xml?>",
    "<pre>",
    "<svg>",
    "&#0;",
]
FROM = sender("Bellwire <bellwire@example.org>")
TO = mailbox("ops@example.org", "Ops")


def message(**values) -> Message:
    given_values = {"title": "Certificate ends", "text": "In 7 days.", "html": "<p>In 7 days.</p>", **values}
    return Message("0193b1a2-delivery", "tenant", "event", "ssl_expiry", **given_values)


def read(content: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(parsed: EmailMessage, kind: str) -> str:
    found = parsed.get_body((kind,))
    assert found is not None
    return found.get_content().replace("\r\n", "\n")


@pytest.mark.mission("B-2")
def test_text_and_html_are_alternatives_of_one_mail():
    parsed = read(compose(message(), FROM, TO))
    assert parsed.get_content_type() == "multipart/alternative"
    assert part(parsed, "plain") == "In 7 days.\n"
    assert part(parsed, "html") == "<p>In 7 days.</p>\n"
    assert (parsed["From"], parsed["To"]) == ("Bellwire <bellwire@example.org>", "Ops <ops@example.org>")
    assert parsed["Subject"] == "Certificate ends"
    assert parsed["Auto-Submitted"] == "auto-generated"


@pytest.mark.mission("B-2")
def test_attachments_arrive_byte_for_byte():
    files = (
        Attachment("report.csv", "text/csv", b"a;b\r\n1;2\n"),
        Attachment("Übersicht ✓.pdf", "application/pdf", bytes(range(256)) * 40),
        Attachment("mail.eml", "message/rfc822", b"Subject: inner\r\n\r\n"),
    )
    parsed = read(compose(message(attachments=files), FROM, TO))
    found = list(parsed.iter_attachments())
    assert [one.get_filename() for one in found] == ["report.csv", "Übersicht ✓.pdf", "mail.eml"]
    assert [one.get_content_type() for one in found] == ["text/csv", "application/pdf", "application/octet-stream"]
    assert [one.get_payload(decode=True) for one in found] == [one.content for one in files]
    assert part(parsed, "plain") == "In 7 days.\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\b.txt", "b.txt"),
        ('a"; filename="b.exe', "a'; filename='b.exe"),
        ("line\r\nBcc: x@example.org", "line Bcc: x@example.org"),
        ("", "attachment"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_the_name_of_a_file_is_only_a_name(name, shown):
    parsed = read(compose(message(attachments=(Attachment(name, "text/plain", b"x"),)), FROM, TO))
    assert [one.get_filename() for one in parsed.iter_attachments()] == [shown]
    assert parsed["Bcc"] is None


@pytest.mark.parametrize(
    "kind", ["", "nonsense", "text/plain; charset=x\r\nBcc: a@b", "multipart/mixed", "a/b/c", "é/x"]
)
def test_an_odd_content_type_becomes_plain_bytes(kind):
    parsed = read(compose(message(attachments=(Attachment("x", kind, b"x"),)), FROM, TO))
    assert [one.get_content_type() for one in parsed.iter_attachments()] == ["application/octet-stream"]


@pytest.mark.mission("B-2")
@pytest.mark.parametrize(
    ("text", "html", "kind"), [("x", None, "text/plain"), ("", "<img src=x>", "text/html"), ("", None, "text/plain")]
)
def test_one_face_alone_is_a_mail_too(text, html, kind):
    assert read(compose(message(text=text, html=html), FROM, TO)).get_content_type() == kind


@pytest.mark.mission("E-25")
def test_a_text_that_nobody_wrote_is_taken_from_the_html():
    parsed = read(compose(message(text="", html="<h1>Ends</h1><p>In 7&nbsp;days.</p><script>x()</script>"), FROM, TO))
    assert parsed.get_content_type() == "multipart/alternative"
    assert part(parsed, "plain").split() == ["Ends", "In", "7", "days."]


@given(html=st.lists(st.sampled_from(TAGS) | st.text()).map("".join))
def test_the_text_of_any_html_can_be_sent(html):
    text = plain_text(message(text="", html=html))
    assert text == clean(text)
    assert compose(message(text="", html=html), FROM, TO).isascii()


@pytest.mark.parametrize("length", [1, 100, 900])
def test_the_address_of_one_click_is_neither_cut_nor_encoded(length):
    link = f"https://bellwire.example.org/u/{'t' * length}"
    content = compose(message(unsubscribe=link), FROM, TO)
    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content


@pytest.mark.parametrize(
    "link", ["https://x.org/" + "t" * 2000, "https://x.org/ä", "https://x.org/ x", "mailto:a@b.c", "x"]
)
def test_an_address_that_fits_into_no_header_is_left_out(link):
    assert b"List-Unsubscribe" not in compose(message(unsubscribe=link), FROM, TO)


@pytest.mark.parametrize(
    "value", ["", "nobody", "a@example.org, b@example.org", "A <a@example.org>, B <b@example.org>", "a@b@c.org"]
)
def test_a_sender_is_exactly_one(value):
    with pytest.raises(ValueError, match=r"^not an email address$"):
        sender(value)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("", "ops@example.org"), ("Ops", "Ops <ops@example.org>"), ("Ops, Night", '"Ops, Night" <ops@example.org>')],
)
def test_a_mailbox_is_written_for_an_api_with_its_name_quoted(name, shown):
    assert str(mailbox("ops@example.org", name)) == shown


def test_a_long_ascii_header_stays_on_one_line_and_is_not_encoded():
    title = "https://example.org/unsubscribe/" + "a" * 300
    assert f"\r\nSubject: {title}\r\n".encode() in compose(message(title=title), FROM, TO)


def test_encoded_words_keep_to_their_75_characters():
    content = compose(message(title="Zertifikat läuft ab, und zwar für ✓ " * 10), FROM, TO)
    words = re.findall(rb"=\?utf-8\?[bq]\?[^?]*\?=", content)
    assert words
    assert max(map(len, words)) <= 75


def test_the_message_id_is_that_of_the_delivery_over_all_attempts():
    ids = {read(compose(message(), FROM, TO))["Message-ID"] for _ in range(2)}
    assert ids == {"<0193b1a2-delivery@example.org>"}


@pytest.mark.parametrize(
    ("address", "local", "domain"),
    [
        ("a@example.org", "a", "example.org"),
        ("a+b.c@example.org", "a+b.c", "example.org"),
        ("root@localhost", "root", "localhost"),
        ("a@bücher.example", "a", "xn--bcher-kva.example"),
        ("用户@例え.jp", "用户", "xn--r8jz45g.jp"),
        ("o'neil@example.org", "o'neil", "example.org"),
    ],
)
def test_an_address_is_taken_apart_and_its_domain_made_ascii(address, local, domain):
    found = mailbox(address)
    assert (found.local, found.domain) == (local, domain)
    assert found.international == (not local.isascii())


BAD = [
    *("", "a", "@", "a@", "@b", "a b@c.org", "a@b c.org", "a@b\r\nBcc: x@y.org", "a\n@b.org", "<a@b.org>", "a@b.org>"),
    *("a@b..org", "a@-b.org", "a@b_.org-", "a,b@c.org", "a@[127.0.0.1]", "a@b@c.org", "a\x00@b.org", "a;b@c.org"),
    *("\ud800@b.org", "a@xn--a-\ud800.org", "\u202ea@b.org", "x" * 65 + "@b.org", "a@" + "b" * 64 + ".org"),
    *("a@" + "b." * 130 + "org", "a@" + "b" * 60 + "." + "b-" * 30, "=?utf-8?q?a=0AB=3A_c?=@b.org"),
]


@pytest.mark.parametrize("address", BAD)
def test_what_cannot_be_an_address_is_refused_without_repeating_it(address):
    with pytest.raises(ValueError, match=r"^not an email address$"):
        mailbox(address)


HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}


@given(title=st.text(), name=st.text(), text=st.text(), html=st.text(min_size=1))
def test_no_text_adds_a_header_or_tears_the_mail(title, name, text, html):
    content = compose(message(title=title, text=text + "x", html=html), FROM, mailbox("ops@example.org", name))
    assert content.isascii()
    assert re.search(rb"[^\r]\n|\r[^\n]", content) is None  # a bare line end is how mails are smuggled
    assert max(map(len, content.split(b"\r\n"))) <= 998
    parsed = read(content)
    assert set(parsed.keys()) == HEADERS
    assert [address.addr_spec for address in parsed["To"].addresses] == ["ops@example.org"]
    assert parsed.get_content_type() == "multipart/alternative"


@pytest.mark.parametrize(
    "words",
    [
        "=?utf-8?q?a=0D=0ABcc:_victim@example.org?=",
        "ü =?utf-8?q?a=0ABcc:_victim@example.org?= x",
        "=?utf-8?b?YQ0KQmNjOiB2aWN0aW1AZXhhbXBsZS5vcmc=?=",
        "=?utf-8?q?a=0D=0A=0D=0AA_body?=",
        "=\u202e?utf-8?q?a=0ABcc:_b@c.org?=",
        "=?utf-8?q?service=40paypal=2Ecom?=",
    ],
)
def test_words_that_look_encoded_are_no_code(words):
    """The library decodes what stands in a header, line ends too; a reader is shown what was written."""
    content = compose(message(title=words), FROM, mailbox("ops@example.org", words))
    assert re.search(rb"[^\r]\n|\r[^\n]", content) is None
    parsed = read(content)
    assert set(parsed.keys()) == HEADERS
    assert parsed["Subject"] == parsed["To"].addresses[0].display_name == one_line(words)
    assert "?utf-8?" in one_line(words)


@given(local=st.text(min_size=1), domain=st.sampled_from(["example.org", "bücher.example", "localhost"]))
def test_an_address_that_is_taken_can_be_written_and_one_that_cannot_is_refused(local, domain):
    try:
        to = mailbox(f"{local}@{domain}")
    except ValueError:
        return
    assert to.international == (not compose(message(), FROM, to).isascii())


@given(text=st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"))))
def test_every_character_of_a_text_arrives(text):
    assert part(read(compose(message(text=text + ".", html=None), FROM, TO)), "plain") == text + ".\n"


@given(st.text(st.characters()))
def test_a_header_text_is_one_printable_line(text):
    line = one_line(text)
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in line)


def test_control_characters_become_spaces_and_joined_emoji_stay_joined():
    assert one_line("Ana \u202efdp.exe\u202c\u2028\u2066b\u2069") == "Ana fdp.exe b"
    assert one_line(" a\r\n\x00\x1b[31mb\u2028c\x7f\ud800 👩‍👧 ") == "a [31mb c 👩‍👧"
