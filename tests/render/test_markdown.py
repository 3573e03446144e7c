"""Telegram's faces are valid MarkdownV2 whatever the data: read here as Telegram's own server reads it."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telegram.helpers import escape_markdown as telegrams_own

from config.catalogue import template_names
from pipeline.faces import escape_markdown
from pipeline.fit import TELEGRAM_LENGTH
from pipeline.render import Context, render

Make = Callable[..., Context]

RESERVED = "_*[]()~`>#+-=|{}.!"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@dataclass(frozen=True)
class Entity:
    """A stretch of text with a meaning: ``*`` is bold, ``[`` a link with its address."""

    mark: str
    text: str
    url: str = ""


class InvalidMarkdownError(ValueError):
    """Telegram would answer 400."""


def read(text: str) -> tuple[str, list[Entity]]:
    """The plain text and the entities of a message, by the rules of the Bot API's own parser.

    Only what our templates use is known: bold, italic, code, strikethrough and links.
    """
    plain: list[str] = []
    entities: list[Entity] = []
    opened: list[tuple[str, int]] = []
    i = 0
    while i < len(text):
        character = text[i]
        if character == "\\" and i + 1 < len(text) and 0 < ord(text[i + 1]) <= 126:
            plain.append(text[i + 1])
            i += 2
        elif character not in RESERVED:
            plain.append(character)
            i += 1
        elif opened and character == {"[": "]"}.get(opened[-1][0], opened[-1][0]):
            mark, start = opened.pop()
            i, url = _address(text, i + 1) if mark == "[" else (i + 1, "")
            entities.append(Entity(mark, "".join(plain[start:]), url))
        elif character in "*_~`[":
            opened.append((character, len(plain)))
            i += 1
        else:
            raise InvalidMarkdownError(f"{character!r} at {i} is reserved and must be escaped")
    if opened:
        raise InvalidMarkdownError(f"the entity {opened[-1][0]!r} does not end")
    return "".join(plain), entities


def _address(text: str, i: int) -> tuple[int, str]:
    if not text.startswith("(", i):
        raise InvalidMarkdownError("a link without an address")
    i, url = i + 1, ""
    while i < len(text) and text[i] != ")":
        if text[i] == "\\" and i + 1 < len(text) and 0 < ord(text[i + 1]) <= 126:
            i += 1
        url += text[i]
        i += 1
    if i >= len(text):
        raise InvalidMarkdownError("the address of a link does not end")
    return i + 1, url


@pytest.mark.parametrize(
    "text", ["1.5", "a*b", "[a](b", "(", "\\", "`", "_a", "!", "a-b", "#1", "50%+", "*a", "[a]", "{}", ">x", "x|y"]
)
def test_the_reader_refuses_what_telegram_refuses(text: str) -> None:
    with pytest.raises(InvalidMarkdownError):
        read(text if text != "\\" else "a.")


def test_the_reader_finds_text_and_entities() -> None:
    assert read(r"*a\.b* \_c [d](https://e\.f/\(g\))") == (
        "a.b _c d",
        [Entity("*", "a.b"), Entity("[", "d", "https://e.f/(g)")],
    )


@given(text=st.text())
def test_escaping_is_that_of_the_telegram_library(text: str) -> None:
    assert escape_markdown(text) == telegrams_own(text, version=2)


@given(text=st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_escaped_text_reads_as_itself_and_makes_no_entity(text: str) -> None:
    assert read(escape_markdown(text)) == (text, [])


@pytest.mark.mission("B-3")
def test_a_sample_is_valid_and_says_its_title_in_bold(sample_context: Context, template: str) -> None:
    content = render("telegram", template, sample_context)
    plain, entities = read(content.text)
    assert content.title
    assert Entity("*", content.title) in entities
    assert content.title in plain


@pytest.mark.mission("B-3")
def test_a_message_links_to_where_it_can_be_read(context: Make) -> None:
    content = render("telegram", "ssl_failure", context("ssl_failure", {"host": "a"}, link="https://b.org/in_box?(1)"))
    assert Entity("[", "Open notification", "https://b.org/in_box?(1)") in read(content.text)[1]


def test_without_a_link_a_message_has_none(context: Make) -> None:
    content = render("telegram", "ssl_failure", context("ssl_failure", {"host": "a"}, link=None))
    assert [entity.mark for entity in read(content.text)[1]] == ["*", "*"]


@pytest.mark.mission("B-3")
@given(data=st.dictionaries(st.text(max_size=12), JSON, max_size=6), name=st.sampled_from(sorted(template_names())))
@settings(max_examples=300, deadline=None)
def test_no_data_makes_an_invalid_message(context: Make, data: dict[str, object], name: str) -> None:
    plain, entities = read(render("telegram", name, context("made.up", data)).text)
    assert plain.strip()
    assert {entity.mark for entity in entities} <= {"*", "["}


FIELDS = [
    *("host", "error", "text", "title", "sender", "obligation", "due_on", "note", "task", "result", "message"),
    *("subject", "items", "resources", "amount", "currency", "total", "customer", "reason", "address", "username"),
    *("link_url", "link_text", "conversation", "topic", "members", "summary"),
]


@pytest.mark.mission("B-3")
@given(
    data=st.dictionaries(
        st.sampled_from(FIELDS), st.text(alphabet=st.sampled_from(RESERVED + "\\\n\r a1é\U0001f600")), min_size=3
    ),
    name=st.sampled_from(sorted(template_names())),
)
@settings(max_examples=300, deadline=None)
def test_markdown_in_the_fields_of_a_template_stays_text(context: Make, data: dict[str, str], name: str) -> None:
    plain, entities = read(render("telegram", name, context("ssl_failure", data)).text)
    assert plain.strip()
    assert {entity.mark for entity in entities} <= {"*", "["}


@pytest.mark.mission("B-3")
@pytest.mark.parametrize("name", sorted(template_names()))
@pytest.mark.parametrize("filling", ["x" * 100_000, "." * 100_000, "\U0001f600" * 50_000, "a\n" * 50_000])
def test_a_message_is_never_longer_than_telegram_takes_and_still_valid(context: Make, name: str, filling: str) -> None:
    data = dict.fromkeys([*FIELDS, *(f"field_{number}" for number in range(40))], filling)
    text = render("telegram", name, context("ssl_failure", data)).text
    assert len(text.encode("utf-16-le")) // 2 <= TELEGRAM_LENGTH
    assert read(text)[0].strip()


@pytest.mark.parametrize("character", string.printable)
def test_any_character_of_a_host_name_reaches_the_reader_as_it_is(context: Make, character: str) -> None:
    text = render("telegram", "ssl_failure", context("ssl_failure", {"host": f"a{character}b"})).text
    seen = " " if character.isspace() else character
    assert f"a{seen}b" in read(text)[0]
