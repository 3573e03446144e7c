"""What is common to all faces: any event renders, odd data is harmless, a wrong template says where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import TEMPLATES, shipped, template_names
from config.demo import sample, sample_events
from pipeline.faces import SHIPPED, Faces
from pipeline.render import IN_APP_LENGTH, Content, Context, RenderError, render

Make = Callable[..., Context]

CHANNELS = ("email", "telegram", "in_app", "sms", "push", "whatsapp", "apprise")
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    10**400,
    0.1,
    1e308,
    "",
    " ",
    "0",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "%s %(a)s {0} {a}",
    "x" * 100_000,
    "\x00\x01\x1b[31m\x7f\x9f",
    "\ud800 half",
    "\u202egnp.exe",
    "שלום עולם, مرحبا",
    "👩‍👩‍👧‍👦🇩🇪 é" * 40,
    "line\r\nline\rline\u2028line",
    [],
    {},
    [[[[[[[[[[1]]]]]]]]]],
    {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}},
    [{"name": {"deep": [1, 2]}}, None, "text", 7, {}],
    {str(number): number for number in range(3000)},
    list(range(3000)),
    {"items": "items", "keys": 1, "__class__": "x", "": "empty name", "\n": "odd name"},
    "2026-13-45",
    "9999-12-31T23:59:59+14:00",
    "-18446744073709551616",
    "NaN",
]
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def fields_of(template: str) -> set[str]:
    """The fields of `data` that the faces of a template name."""
    sources = [path.read_text(encoding="utf-8") for path in (TEMPLATES / template).iterdir()]
    return set(re.findall(r"data\.(\w+)", " ".join(sources)))


def parts(content: Content) -> Iterator[str]:
    yield from (part for part in (content.title, content.text, content.html, content.link_text) if part is not None)
    yield from content.parameters
    yield from (str(part) for pair in content.data.items() for part in pair)


def check_words(content: Content) -> None:
    """What holds when the data itself does not speak of Python."""
    check(content)
    assert "Undefined" not in content.text
    assert "built-in method" not in content.text


def check(content: Content) -> None:
    """What holds for every face of every event."""
    assert content.title
    assert "\n" not in content.title
    assert len(content.title) <= 200
    assert not any(CONTROLS.search(part) for part in parts(content))
    for part in parts(content):
        part.encode("utf-8")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.mission("C-2")
def test_a_sample_renders_on_every_channel(channel: str, sample_context: Context, template: str) -> None:
    content = render(channel, template, sample_context)
    check(content)
    assert content.text
    assert (content.html is not None) is (channel == "email")


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_sample_renders_respectably_without_a_template_of_its_own(channel: str, sample_context: Context) -> None:
    content = render(channel, "default", sample_context)
    check(content)
    assert content.text


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("name", sorted(template_names()))
def test_a_template_renders_an_event_without_data(context: Make, channel: str, name: str) -> None:
    event_types = [one.name for one in shipped().event_types.values() if one.template == name] or ["made.up"]
    for event_type in event_types:
        check(render(channel, name, context(event_type, {})))


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("name", sorted(template_names()))
def test_odd_data_in_any_field_renders_and_is_harmless(context: Make, channel: str, name: str) -> None:
    sample = next((one["data"] for one in sample_events() if shipped().event_types[one["type"]].template == name), {})
    fields = sorted(fields_of(name) | sample.keys() | {"message", "link_url", "link_text"})
    for shift, half in product(range(len(ODD)), (0, 1)):  # each value once in each field, beside what is as usual
        odd = {field: ODD[(at + shift) % len(ODD)] for at, field in enumerate(fields) if at % 2 == half}
        check_words(render(channel, name, context("made.up", {**sample, **odd})))


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("name", sorted(template_names()))
def test_odd_data_in_every_field_at_once_renders_and_is_harmless(context: Make, channel: str, name: str) -> None:
    for odd in ODD:
        nested = dict.fromkeys(("name", "title", "detail", "quantity", "amount", "state", "kind", "due_on"), odd)
        data = {**dict.fromkeys(fields_of(name), odd), "items": [nested, odd], "resources": [odd, nested]}
        check_words(render(channel, name, context("made.up", data)))
        check_words(render(channel, name, context("made.up", dict.fromkeys(fields_of(name), odd))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text(max_size=12), JSON, max_size=6), channel=st.sampled_from(CHANNELS))
@settings(max_examples=200, deadline=None)
def test_any_event_renders(context: Make, data: dict[str, Any], channel: str) -> None:
    check(render(channel, "default", context("made.up", data)))


class Counted(list[object]):
    """A list that counts how many of its entries were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[object]:
        for entry in super().__iter__():
            self.looked_at += 1
            yield entry


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("entry", [{}, {"a": 1}, [], 7, None], ids=repr)
def test_a_huge_list_is_not_read_to_its_end(context: Make, channel: str, entry: object) -> None:
    entries = Counted([entry] * 100_000)
    entries[0] = {"a": 1}
    check(render(channel, "default", context("made.up", {"entries": entries})))
    assert entries.looked_at <= 2000


@pytest.mark.mission("D-17")
def test_the_inbox_links_to_a_page_of_the_platform(context: Make) -> None:
    data = {"sender": "John", "text": "Hello", "link_url": "/chat/room/456", "link_text": "View Message"}
    content = render("in_app", "chat_message", context("message_received", data))
    assert content == Content("New message from John", "Hello", None, "/chat/room/456", "View Message")


@pytest.mark.parametrize("path", ["//evil.example.org", "/\\evil.example.org", "/a b", "javascript:alert(1)", "chat"])
def test_the_inbox_links_nowhere_else(context: Make, path: str) -> None:
    content = render("in_app", "default", context("made.up", {"link_url": path}))
    assert content.link_url == "https://bellwire.example.org/inbox"


def test_the_inbox_shows_at_most_a_thousand_characters(context: Make) -> None:
    content = render("in_app", "chat_message", context("message_received", {"text": "x" * 5000}))
    assert len(content.text) == IN_APP_LENGTH
    assert content.text.endswith("x…")


def test_the_inbox_says_the_same_to_everybody() -> None:
    faces = [
        path.read_text(encoding="utf-8") for name in ("in_app.txt", "title.txt") for path in TEMPLATES.glob(f"*/{name}")
    ]
    assert len(faces) > 10
    assert not [face for face in faces if "user" in re.findall(r"[{ (]user\b", face)]


@pytest.mark.parametrize("channel", [channel for channel in CHANNELS if channel != "email"])
@pytest.mark.parametrize("template", ["default", "provisioning.completed"])
def test_a_secret_is_masked_everywhere_but_in_the_email(context: Make, channel: str, template: str) -> None:
    data = {"service": "db", "password": "hunter2", "more": [{"password": "hunter2"}]}
    content = render(channel, template, context("provisioning.completed", data))
    assert not [part for part in parts(content) if "hunter2" in part]


@pytest.mark.mission("C-3")
@pytest.mark.parametrize(
    ("title", "data", "shown"),
    [
        ("Order {number} is here", {"number": 7}, "Order 7 is here"),
        ("{order.number}: {order.state}", {"order": {"number": "A", "state": "open"}}, "A: open"),
        ("Due on {on}", {"on": "2026-11-20"}, "Due on 20 November 2026"),
        ("Order {number} is here", {}, "Made up"),
        ("Order {number} is here", {"number": None}, "Made up"),
        ("Order {number} is here", {"number": ""}, "Made up"),
        ("Order {order.number}", {"order": "A"}, "Made up"),
        ("", {}, "Made up"),
        ("", {"title": "Look"}, "Look"),
        ("Order {number}", {"title": "Look"}, "Look"),
        ("", {"title": " "}, "Made up"),
        ("", {"title": {"a": 1}}, "Made up"),
        ("{name}", {"name": "{password}", "password": "x"}, "{password}"),
        ("{name}", {"name": "a\nb\tc"}, "a b c"),
    ],
)
def test_a_title_is_the_sentence_of_the_catalogue_or_what_comes_nearest(
    context: Make, title: str, data: dict[str, Any], shown: str
) -> None:
    assert render("in_app", "default", context("made.up", data, title=title)).title == shown


def test_an_unlisted_event_is_told_by_its_fields_with_ids_last_and_at_most_twenty(context: Make) -> None:
    data = {"order_id": 1, "itemCount": 3, "nested": {"ssl_host": "a", "on": "2026-11-20"}, "list": ["a", None, 2]}
    lines = render("email", "default", context("made.up", data)).text.split("\n")
    assert lines[2:7] == [
        "Item count: 3",
        "Nested SSL host: a",
        "Nested on: 20 November 2026",
        "List: a, 2",
        "Order ID: 1",
    ]
    many = render("email", "default", context("made.up", {f"field_{n}": n for n in range(30)})).text
    assert "Field 19: 19\n…: more than fits here" in many
    assert "Field 20" not in many


def test_a_sentence_in_the_data_is_said_first(context: Make) -> None:
    content = render("email", "default", context("made.up", {"host": "a", "message": "It burns."}))
    assert content.text.split("\n")[2:5] == ["It burns.", "", "Host: a"]


def test_a_time_is_told_in_utc_whatever_its_offset(context: Make) -> None:
    made = context("made.up", {"at": "2026-11-20T09:00:00+02:00"}, occurred_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    content = render("email", "default", made)
    assert "At: 20 November 2026, 07:00 UTC" in content.text
    assert "2 January 2026, 03:04 UTC" in content.text


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1280", "EUR", "€1,280.00"),
        (1280.5, "EUR", "€1,280.50"),
        (15840, "JPY", "¥15,840"),
        ("-26.55", "EUR", "-€26.55"),
        ("about 7", "EUR", "about 7 EUR"),
        ("7", "", "7"),
        ("7", "euros", "7 euros"),
        ("7", None, "7"),
        (True, "EUR", "yes EUR"),
    ],
)
def test_money_is_told_with_its_currency(context: Make, amount: Any, currency: Any, shown: str) -> None:
    made = context("billing.invoice-generated", {"amount": amount, "currency": currency})
    assert f"Amount: {shown}\n" in render("email", "billing.invoice-generated", made).text


@pytest.mark.parametrize("channel", ["email", "telegram", "in_app", "sms"])
@pytest.mark.parametrize(
    ("event_type", "field"),
    [
        ("billing.payment-received", "amount"),
        ("billing.payment-failed", "amount"),
        ("billing.subscription-past-due", "open_amount"),
        ("order.created", "total"),
    ],
)
def test_nothing_is_an_amount_too(context: Make, channel: str, event_type: str, field: str) -> None:
    content = render(channel, event_type, context(event_type, {field: 0, "currency": "EUR"}, locale="de"))
    assert "0,00" in content.text
    assert content.html is None or "0,00" in content.html


@pytest.mark.parametrize("event_type", ["billing.invoice-generated", "billing.payment-failed"])
@pytest.mark.parametrize("channel", ["email", "telegram", "in_app"])
def test_what_is_not_paid_is_not_said_to_be(context: Make, channel: str, event_type: str) -> None:
    body = sample(event_type)
    assert body is not None
    content = render(channel, event_type, context(event_type, body["data"]))
    assert "Paid by" not in content.text + (content.html or "")


@pytest.mark.parametrize("channel", ["email", "telegram", "in_app"])
def test_the_sample_of_a_changed_password_speaks_german_to_germans(context: Make, channel: str) -> None:
    body = sample("identity.password-changed")
    assert body is not None
    made = context(body["type"], body["data"], locale="de")
    said = render(channel, "identity.password-changed", made).text
    assert "Waren Sie das nicht?" in said.replace("\\", "")


@pytest.mark.mission("B-6")
@pytest.mark.parametrize(
    ("event_type", "data", "title"),
    [
        ("obligation_due", {"obligation": "VAT", "days_left": 1}, "VAT is due in 1 day"),
        ("obligation_due", {"obligation": "VAT"}, "VAT is due soon"),
        ("obligation_due", {"obligation": "VAT", "days_left": 0}, "VAT is due today"),
        ("obligation_due", {"obligation": "VAT", "days_left": -1}, "VAT is overdue by 1 day"),
        ("obligation_due", {"obligation": "VAT", "days_left": "soon"}, "VAT is due soon"),
        ("obligation_overdue", {"obligation": "VAT", "days_overdue": 3}, "VAT is overdue by 3 days"),
        ("obligation_overdue", {"obligation": "VAT", "days_overdue": 0}, "VAT is overdue"),
        ("ssl_expiry", {"host": "a.org", "days_left": 7}, "The certificate of a.org expires in 7 days"),
        ("ssl_expiry", {"host": "a.org", "days_left": 0}, "The certificate of a.org expires today"),
        ("ssl_expiry", {"host": "a.org", "days_left": -1}, "The certificate of a.org expired 1 day ago"),
        ("ssl_expiry", {"host": "a.org", "days_left": "-2"}, "The certificate of a.org expired 2 days ago"),
        ("ssl_expiry", {"host": "a.org", "days_left": "1e400"}, "The certificate of a.org expires soon"),
        ("ssl_failure", {"host": "a.org"}, "The SSL check of a.org failed"),
        ("digest", {"period": "daily", "to": "2026-11-20"}, "Your daily summary of 20 November 2026"),
    ],
)
def test_obligations_and_certificates_are_told_in_a_sentence(
    context: Make, event_type: str, data: dict[str, Any], title: str
) -> None:
    template = shipped().event_types[event_type].template
    assert render("in_app", template, context(event_type, data)).title == title


@pytest.mark.parametrize("channel", ["email", "telegram", "in_app", "sms"])
@pytest.mark.parametrize("event_type", ["obligation_due", "ssl_expiry"])
@pytest.mark.parametrize(
    ("left", "locale", "said"),
    [(0, None, "today"), (0, "de", "heute"), (-2, None, "2 days"), (-2, "de", "2 Tagen"), (0.5, "de", "heute")],
)
def test_what_is_due_today_or_over_is_never_said_to_be_soon(
    context: Make, channel: str, event_type: str, left: float, locale: str | None, said: str
) -> None:
    made = context(event_type, {"obligation": "VAT", "host": "a.org", "days_left": left}, locale=locale)
    content = render(channel, shipped().event_types[event_type].template, made)
    text = f"{content.title} {content.text}".replace("\\", "")
    assert said in text
    assert not re.search(r"soon|bald|-\d", text)


@pytest.mark.mission("B-16")
def test_a_digest_lists_what_is_open(context: Make) -> None:
    items = [{"title": f"Item {number}", "due_on": "2026-11-20"} for number in range(1, 6)]
    content = render("in_app", "digest", context("digest", {"period": "weekly", "items": items}))
    assert content.text.split("\n") == [*(f"Item {n}, 20 November 2026" for n in (1, 2, 3)), "… and 2 more"]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("event_type", "data", "locale", "shown"),
    [
        ("billing.payment-failed", {"link_url": "https://a.org/1"}, None, "Pay the invoice"),
        ("billing.payment-failed", {}, None, "Open notification"),
        ("billing.payment-failed", {}, "de", "Benachrichtigung öffnen"),
        ("billing.payment-failed", {"link_text": "Pay"}, None, "Open notification"),
        ("made.up", {"link_url": "https://a.org/1"}, None, "View details"),
        ("made.up", {"link_url": "https://a.org/1", "link_text": "Go"}, None, "Go"),
        ("digest", {"period": "daily"}, None, "See everything"),
    ],
)
def test_a_link_says_where_it_leads(
    context: Make, channel: str, event_type: str, data: dict[str, Any], locale: str | None, shown: str
) -> None:
    template = event_type if event_type in template_names() else "default"
    assert render(channel, template, context(event_type, data, locale=locale)).link_text == shown


def test_a_path_of_the_platform_is_its_own_link_in_the_inbox_alone(context: Make) -> None:
    made = context("conversation.created", {"link_url": "/chat/7"})
    told = {channel: render(channel, "conversation.created", made) for channel in ("in_app", "email")}
    assert {channel: one.link_text for channel, one in told.items()} == {
        "in_app": "Open the conversation",
        "email": "Open notification",
    }


def test_nothing_is_rendered_for_a_webhook(context: Make) -> None:
    with pytest.raises(RenderError, match="nothing is rendered for the channel webhook"):
        render("webhook", "default", context("made.up", {}))


def write(faces: Faces, name: str, source: str) -> None:
    (faces.folder / "own" / name).write_text(source, encoding="utf-8")


@pytest.mark.parametrize(
    ("face", "source", "channel", "line", "reason"),
    [
        ("in_app.txt", "one\n{{ 1 / data.zero }}", "in_app", 2, "raised ZeroDivisionError"),
        ("in_app.txt", "{% for a in data.number %}\n{% endfor %}", "in_app", 1, "raised TypeError"),
        ("in_app.txt", "one\ntwo\n{{ data. }}", "in_app", 3, "expected name or number"),
        ("in_app.txt", "one\n{{ data|shout }}", "in_app", 2, "No filter named 'shout'"),
        ("title.txt", "{{ data.a.b() }}", "in_app", 1, "has no attribute"),
        (
            "email.html",
            '{% extends "base/email.html" %}\n{% block content %}\n{{ 1 / 0 }}{% endblock %}',
            "email",
            3,
            "raised ZeroDivisionError",
        ),
        ("email.html", '{% extends "base/none.html" %}', "email", 1, "base/none.html"),
        ("telegram.md", "*{{ data.a|safe }}*", "telegram", 1, "No filter named 'safe'"),
        ("telegram.md", "\n{{ data.a ~ data.b }}", "telegram", 2, "write {{ a }}{{ b }} instead"),
    ],
)
def test_a_wrong_template_is_told_with_its_line(
    own_faces: Faces, context: Make, face: str, source: str, channel: str, line: int, reason: str
) -> None:
    write(own_faces, face, source)
    with pytest.raises(RenderError) as wrong:
        render(channel, "own", context("made.up", {"zero": 0, "number": 7, "a": {}}), own_faces)
    assert (wrong.value.template, wrong.value.line) == (f"own/{face}", line)
    assert reason in wrong.value.reason


def test_what_a_wrong_template_says_has_no_value_of_the_event_in_it(own_faces: Faces, context: Make) -> None:
    write(own_faces, "in_app.txt", "{{ data.a|int + data.b }}")
    with pytest.raises(RenderError) as wrong:
        render("in_app", "own", context("made.up", {"a": 1, "b": "hunter2"}), own_faces)
    assert "hunter2" not in str(wrong.value)


def test_markdown_of_the_author_stays_and_that_of_the_data_is_escaped(own_faces: Faces, context: Make) -> None:
    write(
        own_faces,
        "telegram.md",
        "{% macro bold(x) %}*{{ x }}*{% endmacro %}{% set line %}_{{ data.a }}_{% endset %}"
        "{{ bold(data.a) }} {{ line }} {{ '1.5' }} {{ data.a|upper }} {{ [data.a, '.']|join('-') }} {{ data.a + '!' }}",
    )
    said = render("telegram", "own", context("made.up", {"a": "x*y"}), own_faces).text
    assert said == r"*x\*y* _x\*y_ 1\.5 X\*Y x\*y\-\. x\*y\!"


def test_fields_named_like_methods_are_fields(own_faces: Faces, context: Make) -> None:
    write(own_faces, "in_app.txt", "{{ data.items }}, {{ data.keys }}, {{ data.a.title }}, {{ data.a.upper }}|")
    assert render("in_app", "own", context("made.up", {"items": 1, "a": "b"}), own_faces).text == "1, , , |"


def test_an_own_title_stands_on_every_channel(own_faces: Faces, context: Make) -> None:
    write(own_faces, "title.txt", "{% if data.a %}\nSo:  {{ data.a }}\n{% endif %}\n")
    titles = {render(channel, "own", context("made.up", {"a": "b"}), own_faces).title for channel in CHANNELS}
    assert titles == {"So: b"}


def test_a_face_that_a_template_lacks_is_that_of_the_default(own_faces: Faces, context: Make) -> None:
    made = context("made.up", {"host": "a"})
    for channel in CHANNELS:
        assert render(channel, "own", made, own_faces) == render(channel, "default", made, own_faces)


def test_every_shipped_template_compiles() -> None:
    SHIPPED.warm()
    assert SHIPPED.problems() == []


def test_problems_name_each_template_that_does_not_compile(own_faces: Faces) -> None:
    write(own_faces, "email.txt", "one\n{% if %}")
    write(own_faces, "sms.doc", "")
    assert [problem.split(" ")[0] for problem in own_faces.problems()] == ["own/email.txt:2:", "own/sms.doc:1:"]
