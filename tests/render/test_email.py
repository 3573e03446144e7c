"""The faces of emails: one line of subject, HTML that nobody can break out of, the same in plain text."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import template_names
from pipeline.render import Content, Context, render

Make = Callable[..., Context]
VOID = {"meta", "br", "img", "hr", "link"}
SHOWN = {*VOID, "html", "head", "title", "style", "body", "div", "table", "tr", "td", "span", "h1", "p", "a"}
SHOWN |= {"strong", "em", "code", "pre", "ul", "ol", "li", "blockquote"}


class Page(HTMLParser):
    """What a browser would see: tags, the addresses of links, the text outside of style and title."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """The visible text with single blanks."""
        return " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)
        self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends something else"

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)


def html_of(content: Content) -> Page:
    assert content.html is not None
    page = Page(content.html)
    assert page.open == []
    return page


@pytest.mark.mission("B-2")
def test_a_sample_says_the_same_in_html_and_in_plain_text(sample_context: Context, template: str) -> None:
    content = render("email", template, sample_context)
    page = html_of(content)
    assert content.title
    assert content.title in page.text
    assert content.text.startswith(content.title)
    assert sample_context.tenant in page.text
    assert sample_context.tenant in content.text
    assert content.link_url in page.links
    assert str(content.link_url) in content.text


def test_a_page_uses_only_what_mail_programs_show(sample_context: Context, template: str) -> None:
    page = html_of(render("email", template, sample_context))
    assert page.tags <= SHOWN - {"img", "hr", "link"}
    assert page.attributes.isdisjoint({"onload", "onclick", "onerror", "src"})


def test_a_page_stays_below_what_gmail_clips(sample_context: Context, template: str) -> None:
    assert len((render("email", template, sample_context).html or "").encode()) < 102_000


@pytest.mark.mission("A-13")
def test_a_new_order_is_broken_down_into_its_items(context: Make) -> None:
    data = {
        "order_number": "SO-1",
        "items": [{"name": "Disk", "quantity": 2, "amount": "10.00"}, {"name": "Core", "quantity": 1, "amount": 5}],
        "total": "15.00",
        "currency": "EUR",
    }
    content = render("email", "order.created", context("order.created", data))
    assert "Disk 2 €10.00 Core 1 €5.00" in html_of(content).text
    assert "* 2 × Disk: €10.00\n* 1 × Core: €5.00" in content.text
    assert "Total: €15.00" in content.text


@pytest.mark.mission("A-13")
def test_a_rollback_lists_the_affected_resources(context: Make) -> None:
    resources = [{"name": "vm-1", "kind": "Machine", "state": "deleted"}, {"name": "ip-2", "state": "kept"}]
    data = {"service": "web", "resources": resources}
    content = render("email", "provisioning.rolled-back", context("provisioning.rolled-back", data))
    assert "2 affected resources vm-1 Machine deleted ip-2 kept" in html_of(content).text
    assert "* vm-1, Machine, deleted\n* ip-2, kept" in content.text


@pytest.mark.mission("A-14")
def test_the_password_of_a_new_service_is_in_the_email(context: Make) -> None:
    data = {"service": "db", "username": "root", "password": "kV7-ruhig<42"}
    content = render("email", "provisioning.completed", context("provisioning.completed", data))
    assert "kV7-ruhig<42" in html_of(content).text
    assert "Password: kV7-ruhig<42" in content.text


def test_a_secret_is_never_in_the_subject(context: Make) -> None:
    made = context("made.up", {"password": "hunter2"}, title="It is {password}", secret=("password",))
    assert "hunter2" not in str(render("email", "default", made).title)


@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</table></body>"])
@pytest.mark.parametrize("name", sorted(template_names()))
def test_markup_in_data_stays_text(context: Make, name: str, attack: str) -> None:
    fields = "host error text title sender obligation note task result message subject amount customer reason topic"
    nested = [{"name": attack, "title": attack, "state": attack, "quantity": attack, "amount": attack}]
    data = {**dict.fromkeys(fields.split(), attack), "items": nested, "resources": nested, attack: attack}
    page = html_of(render("email", name, context("made.up", data, tenant=attack, branch=attack)))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "onerror" not in page.attributes
    assert " ".join(attack.split()) in page.text


@given(words=st.text(max_size=80), name=st.sampled_from(sorted(template_names())))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_a_page(context: Make, words: str, name: str) -> None:
    data = dict.fromkeys(["host", "error", "text", "message", "reason", "items", "note", words], words)
    html_of(render("email", name, context("made.up", data)))


@pytest.mark.parametrize(
    "host", ["a\r\nBcc: everybody@example.org", "a\nb", "a\u2028b", "a\x0bb", "a\x85b", "a\x00b", "x" * 100_000]
)
@pytest.mark.mission("B-2")
def test_a_subject_is_one_line_of_at_most_200_characters(context: Make, host: str) -> None:
    title = str(render("email", "default", context("made.up", {"host": host}, title="Check {host}")).title)
    assert title.startswith("Check ")
    assert title.isprintable()
    assert len(title) <= 200


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://shop.example.org/orders/1", "https://shop.example.org/orders/1"),
        ("javascript:alert(1)", "https://bellwire.example.org/inbox"),
        ("https://a.org/ onclick=x", "https://bellwire.example.org/inbox"),
        ("/chat/room/1", "https://bellwire.example.org/inbox"),
        ("//evil.example.org", "https://bellwire.example.org/inbox"),
        (7, "https://bellwire.example.org/inbox"),
    ],
)
def test_the_button_leads_to_a_web_address_or_to_the_inbox(context: Make, given: object, taken: str) -> None:
    page = html_of(render("email", "default", context("made.up", {"link_url": given})))
    assert page.links == [taken]


@pytest.mark.parametrize(
    ("severity", "badge"), [("low", None), ("medium", None), ("high", "High"), ("critical", "Critical")]
)
def test_only_what_is_urgent_carries_a_badge(context: Make, severity: str, badge: str | None) -> None:
    made = context("made.up", {"a": "b"}, severity=severity)
    first = html_of(render("email", "default", made)).text.split("Nordwind Cloud", 1)[1].split("Made up", 1)[0]
    assert first.strip() == (badge or "")


def test_what_is_resolved_says_so(context: Make) -> None:
    content = render("email", "ssl_failure", context("ssl_failure", {"host": "a.org"}, status="resolved"))
    assert content.title == "Resolved: The SSL check of a.org failed"
    assert "The host answers with a valid certificate again." in html_of(content).text
