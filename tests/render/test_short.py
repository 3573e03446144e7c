"""The short faces: one line for a text message, two short texts for push, WhatsApp's places, Apprise's plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.sms import segments
from config.catalogue import shipped, template_names
from config.demo import sample_events
from pipeline.fit import MOST_DATA, TELEGRAM_LENGTH, and_more, in_one_line, lines_within, text_message
from pipeline.render import PUSH_BODY, PUSH_TITLE, Content, Context, render

Make = Callable[..., Context]

SHORT = ("sms", "push", "whatsapp", "apprise")
LINK = "https://bellwire.example.org/inbox"


def said(content: Content) -> Iterator[str]:
    """Everything that leaves for the provider."""
    yield from (content.title or "", content.text, *content.parameters, content.image or "", content.link_url or "")
    yield json.dumps(dict(content.data), ensure_ascii=False)


@pytest.mark.mission("C-2")
@pytest.mark.parametrize("channel", SHORT)
def test_a_sample_reads_well_on_a_short_channel(channel: str, sample_context: Context, template: str) -> None:
    content = render(channel, template, sample_context)
    words = [content.title or "", content.text, *content.parameters]
    assert all(words)
    assert not [word for word in words if re.search(r"\bNone\b|[{}]|Undefined|\bTrue\b|  |\s$", word)]
    assert "\n\n\n" not in content.text
    assert content.html is None


@pytest.mark.mission("E-33")
def test_a_sample_as_a_text_message_is_one_line_that_travels_in_one_part(
    sample_context: Context, template: str
) -> None:
    text = render("sms", template, sample_context).text
    assert "\n" not in text
    assert len(text) <= 160
    assert segments(text).count == 1 or not text.isascii()


@pytest.mark.mission("E-13")
def test_a_sample_fits_a_notification_of_a_phone(sample_context: Context, template: str) -> None:
    content = render("push", template, sample_context)
    assert len(content.title or "") <= PUSH_TITLE
    assert 0 < len(content.text) <= PUSH_BODY
    assert len(json.dumps(dict(content.data), ensure_ascii=False).encode()) <= MOST_DATA


@pytest.mark.mission("B-4")
def test_a_sample_fills_both_places_of_whatsapps_template(sample_context: Context, template: str) -> None:
    title, text = render("whatsapp", template, sample_context).parameters
    assert title
    assert text
    assert not re.search(r"[\n\t]| {4}", title + text)
    assert len(title) + len(text) <= 1000


@pytest.mark.parametrize("channel", SHORT)
@pytest.mark.parametrize("name", sorted(template_names()))
def test_a_secret_field_reaches_no_short_channel(context: Make, channel: str, name: str) -> None:
    for field in ("password", "text", "message", "error", "host", "image_url", "title"):
        data = {"service": "db", "nested": {field: "hunter2"}, field: "hunter2"}
        content = render(channel, name, context("made.up", data, secret=(field,), title="It is {" + field + "}"))
        assert not [part for part in said(content) if "hunter2" in part], field


@pytest.mark.parametrize("channel", SHORT)
def test_the_password_of_the_samples_reaches_no_short_channel(context: Make, channel: str) -> None:
    for sample in sample_events():
        listed = shipped().event_types[sample["type"]]
        content = render(channel, listed.template, context(sample["type"], sample["data"]))
        for field in listed.secret:
            assert not [part for part in said(content) if str(sample["data"].get(field, "\0")) in part]


@pytest.mark.parametrize("channel", SHORT)
@pytest.mark.parametrize("name", sorted(template_names()))
def test_an_event_without_data_still_says_something(context: Make, channel: str, name: str) -> None:
    content = render(channel, name, context("made.up", {}, link=None))
    assert content.title
    assert content.text.strip()
    assert all(content.parameters)


@pytest.mark.mission("E-33")
@pytest.mark.parametrize(
    ("text", "link", "parts", "sent"),
    [
        ("It burns.\nIn Berlin", LINK, 1, f"It burns. In Berlin {LINK}"),
        ("It burns.\nIn Berlin", None, 1, "It burns. In Berlin"),
        ("a" * 125, LINK, 1, f"{'a' * 125} {LINK}"),
        ("a" * 126, LINK, 1, "a" * 126),
        ("a" * 160, LINK, 1, "a" * 160),
        ("a" * 126, LINK, 2, f"{'a' * 126} {LINK}"),
        ("é" * 100, LINK, 1, f"{'é' * 100} {LINK}"),
        ("青" * 35, LINK, 1, f"{'青' * 35} {LINK}"),
        ("青" * 36, LINK, 1, "青" * 36),
        ("one.\n" + "b" * 200, LINK, 1, f"one. {'b' * 152}..."),
        ("one.\n" + "青" * 200, LINK, 1, f"one. {'青' * 64}…"),
        ("one.\n" + "b" * 200, LINK, 2, f"one. {'b' * 200} {LINK}"),
        ("a" * 500 + "\nmore", None, 1, "a" * 157 + "..."),
        ("a" * 150 + " bcdefghijkl", None, 1, "a" * 150 + "..."),
        ("“a”" + " b" * 100, None, 1, '"a"' + " b" * 77 + "..."),
        ("“quoted”\nrest…", None, 1, "“quoted”; rest…"),
        ("", None, 1, ""),
    ],
)
def test_a_text_message_says_as_much_as_fits_and_the_link_only_beside_the_whole(
    text: str, link: str | None, parts: int, sent: str
) -> None:
    assert text_message(text, link, parts) == sent


SENTENCE = (
    "The disk of the database server in Frankfurt is nearly full, so please free some space or add a volume before"
    " tonight, since the backup will stop at 1 am."
)
RUSSIAN = (
    "Сервер базы данных во Франкфурте почти заполнен, освободите место или добавьте том до вечера, иначе архив встанет."
)


@pytest.mark.mission("E-33")
@pytest.mark.parametrize(
    ("event", "data", "sent"),
    [
        ("hello", {"text": "All is well."}, f"Hello. All is well. {LINK}"),
        ("hello", {"text": SENTENCE}, SENTENCE),
        ("hello", {"text": f"{SENTENCE} Ask us if in doubt ..."}, f"{SENTENCE[:-1]}..."),
        ("disk.full", {"title": "Disk Full", "text": SENTENCE}, SENTENCE),
        ("disk.full", {"title": "Frankfurt", "text": SENTENCE}, f"Frankfurt. {SENTENCE[:-9]}..."),
        ("hello", {"text": RUSSIAN}, "Сервер базы данных во Франкфурте почти заполнен, освободите место или…"),
        ("hello", {"text": "Я" * 70}, "Я" * 70),
        ("hello", {"text": "Я" * 71}, "Я" * 69 + "…"),
        (
            "task.failed",
            {"task": "The nightly import", "error": SENTENCE},
            f"The nightly import failed. {SENTENCE[:129].rpartition(' ')[0]}...",
        ),
    ],
)
def test_the_sentence_arrives_and_what_gives_way_is_the_link_and_a_title_that_says_nothing(
    context: Make, event: str, data: dict[str, str], sent: str
) -> None:
    text = render("sms", "task" if event == "task.failed" else "default", context(event, data)).text
    assert text == sent
    assert segments(text).count == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb", "a; b"),
        ("a.\nb!\nc:\nd", "a. b! c: d"),
        ("  a   b \n\n\n c ", "a b; c"),
        ("", ""),
        ("\n\n", ""),
    ],
)
def test_lines_become_one_line(text: str, line: str) -> None:
    assert in_one_line(text, 100) == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\nb"),
        ("aaaa\nbbbb", "aaaa\nbbbb"),
        ("aaaa\nbbbbb", "aaaa"),
        ("aaaaaaaaa\n", "aaaaaaaaa"),
        ("aaaaaaaaaaaa\nb", "aaaaaaaa…"),
        ("a\nb\ncccccccc", "a\nb"),
    ],
)
def test_a_body_ends_with_a_whole_line_where_it_can(text: str, shown: str) -> None:
    assert lines_within(text, 9) == shown


@pytest.mark.mission("E-14")
def test_an_app_is_told_plain_values_only(context: Make) -> None:
    data = {
        "text": "b",
        "number": 7,
        "half": 0.5,
        "flag": True,
        "nothing": None,
        "list": [1],
        "nested": {"a": 1},
        "infinite": float("inf"),
        "huge": 10**30,
        "control": "a\x00b",
    }
    told = render("push", "default", context("made.up", data)).data
    assert told == {"text": "b", "number": 7, "half": 0.5, "flag": True, "control": "ab"}


def test_an_app_is_told_as_much_as_fits_into_two_kilobytes(context: Make) -> None:
    data = {"first": "a" * 1000, "long": "ü" * 600, "short": "b", **{f"field_{n}": "x" * 20 for n in range(300)}}
    told = render("push", "default", context("made.up", data)).data
    assert {"first", "short", "field_0"} <= told.keys()
    assert "long" not in told
    assert 1900 < len(json.dumps(dict(told), ensure_ascii=False).encode()) <= MOST_DATA


@pytest.mark.mission("E-13")
@pytest.mark.parametrize("channel", ["push", "whatsapp"])
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://img.example.org/a.png", True),
        ("http://img.example.org/a.png", False),
        ("javascript:alert(1)", False),
        ("https://a.org/ b", False),
        ('https://a.org/"x', False),
        ("https://" + "a" * 3000, False),
        (["https://img.example.org/a.png"], False),
        (7, False),
        (None, False),
    ],
)
def test_an_image_is_an_encrypted_web_address_or_none(context: Make, channel: str, given: Any, shown: bool) -> None:
    content = render(channel, "default", context("made.up", {"image_url": given}))
    assert content.image == (given if shown else None)


def test_a_secret_image_is_shown_to_nobody(context: Make) -> None:
    made = context("made.up", {"image_url": "https://img.example.org/a.png"}, secret=("image_url",))
    assert render("push", "default", made).image is None


@pytest.mark.parametrize(
    ("title", "count", "shown"),
    [
        ("The check failed", 0, "The check failed"),
        ("The check failed", 1, "The check failed and 1 more"),
        ("The check failed", 12, "The check failed and 12 more"),
        ("x" * 100, 12, "x" * 47 + "… and 12 more"),
        ("The check failed", -3, "The check failed"),
    ],
)
def test_a_title_says_how_many_it_stands_for_and_that_is_never_cut(title: str, count: int, shown: str) -> None:
    assert and_more(title, count, 60) == shown


@pytest.mark.parametrize("channel", ["email", "telegram", "in_app", *SHORT])
@pytest.mark.parametrize("name", sorted(template_names()))
def test_every_face_says_how_many_were_folded_into_it(context: Make, channel: str, name: str) -> None:
    data = {"text": "Hello", "sender": "Ute", "items": [{"title": "One"}], "total": 7}
    content = render(channel, name, context("made.up", data, more=("First", "Second"), more_count=12))
    assert str(content.title).endswith(" and 12 more")
    if channel in ("sms", "email", "telegram", "whatsapp"):  # the others show the title beside the text
        assert "and 12 more" in content.text


def test_what_was_folded_counts_even_if_nobody_said_how_much(context: Make) -> None:
    content = render("push", "default", context("made.up", {}, more=("First", "Second")))
    assert content.title == "Made up and 2 more"


def test_a_sample_differs_on_apprise_from_its_title(sample_context: Context, template: str) -> None:
    content = render("apprise", template, sample_context)
    assert content.text != content.title
    assert content.text.endswith(f": {content.link_url}")


@given(
    data=st.dictionaries(
        st.sampled_from(["text", "message", "host", "error", "reason", "items", "image_url", "link_url"]),
        st.text(max_size=300) | st.integers() | st.none(),
    ),
    name=st.sampled_from(sorted(template_names())),
)
@settings(max_examples=200, deadline=None)
def test_no_data_makes_a_short_face_too_long(context: Make, data: dict[str, Any], name: str) -> None:
    made = replace(context("made.up", data), more_count=99)
    push = render("push", name, made)
    assert len(push.title or "") <= PUSH_TITLE
    assert len(push.text) <= PUSH_BODY
    assert "\n" not in render("sms", name, made).text
    whatsapp = render("whatsapp", name, made)
    assert len(whatsapp.text) <= TELEGRAM_LENGTH
    assert not re.search(r"\s{2}|\n", "".join(whatsapp.parameters))
