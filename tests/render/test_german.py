"""German is complete: every sentence of every face is translated, and none is left that cannot be."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from babel import Locale
from babel.messages.pofile import write_po

from channels.sms import segments, shortened
from config.catalogue import TEMPLATES
from pipeline.faces import Faces
from pipeline.language import read
from pipeline.render import Content, Context, render
from pipeline.translations import gathered, problems, updated
from tests.render.conftest import Make

GERMAN = TEMPLATES / "locale" / "de" / "messages.po"
CHANNELS = ("email", "telegram", "in_app", "sms", "push", "whatsapp", "apprise")

# What is the same word in both languages.
ALIKE = {
    "Apprise",
    "Bellwire",
    "Push",
    "SMS",
    "Telegram",
    "Webhook",
    "WhatsApp",
    "Host",
    "Name",
    "Normal",
    "Port",
    "Region",
    "Support",
    "Ticket",
    "Ticket {ticket_number}: {subject}",
}

UNCHANGED = {"support.ticket-created", "message_received"}  # "Ticket 4711: subject", and a title that the data brings

# Every letter of a sentence in another alphabet: what is still in ours was never translated.
ALPHABET = str.maketrans({chr(letter): chr(letter + 0xFEE0) for letter in (*range(65, 91), *range(97, 123))})
PLACE = re.compile(r"(%\(\w+\)s|\{[\w.]+\})")
BABELS = {*Locale("eo").months["format"]["wide"].values(), "UTC", "JP"}  # what Babel says in that language, and JP¥
MARKUP = re.compile(r"<style>.*?</style>|<!--.*?-->|<[^>]*>", re.DOTALL)
WORD = re.compile(r"[A-Za-z]{2,}")


def foreign(said: str) -> str:
    """`said` in the other alphabet, its places as they are."""
    return "".join(part if index % 2 else part.translate(ALPHABET) for index, part in enumerate(PLACE.split(said)))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    """The shipped faces with a language in which every sentence is in the other alphabet."""
    folder = tmp_path_factory.mktemp("faces") / "templates"
    shutil.copytree(TEMPLATES, folder)
    catalogue = gathered(locale="eo")
    for message in catalogue:
        if message.id:
            message.string = foreign(message.id) if isinstance(message.id, str) else tuple(map(foreign, message.id))
    written = BytesIO()
    write_po(written, catalogue)
    (folder / "locale" / "eo").mkdir()
    (folder / "locale" / "eo" / "messages.po").write_bytes(written.getvalue())
    return Faces(folder)


def test_every_sentence_has_a_translation_that_nobody_doubts() -> None:
    lacking = [
        message.id
        for message in read(GERMAN)
        if message.id
        and (message.fuzzy or not all([message.string] if isinstance(message.id, str) else message.string))
    ]
    assert lacking == []


def test_no_translation_is_the_english_sentence() -> None:
    assert {m.id for m in read(GERMAN) if m.id and m.id == m.string} == ALIKE


def test_the_catalogue_holds_the_sentences_of_today() -> None:
    assert GERMAN.read_bytes() == updated(GERMAN), "run `make messages` and translate what is new"


def test_translations_have_the_places_of_their_sentences() -> None:
    assert problems() == []


@pytest.mark.mission("E-25")
def test_nothing_that_a_face_says_by_itself_stays_english(
    template: str, sample: dict[str, Any], context: Make, faces: Faces
) -> None:
    told = [beside(sample, context, status=status, locale="eo") for status in ("firing", "resolved")]
    said = {channel: [render(channel, template, one, faces) for one in told] for channel in CHANNELS}
    left = {channel: {*english(one, sample), *english(other, sample)} for channel, (one, other) in said.items()}
    assert {channel: words for channel, words in left.items() if words} == {}


@pytest.mark.mission("E-25")
def test_every_face_is_rendered_in_german(template: str, sample: dict[str, Any], context: Make) -> None:
    for channel in CHANNELS:
        before, german = (render(channel, template, beside(sample, context, locale=one)) for one in (None, "de-AT"))
        assert german.title != before.title or sample["type"] in UNCHANGED
        assert german.html is None or '<html lang="de-AT"' in german.html
        assert channel != "telegram" or german.button == "Ich kümmere mich darum"
        if channel == "sms":  # ä, ö, ü, ß and € are in the narrow alphabet of text messages
            assert segments(shortened(german.text, 10)).encoding == segments(shortened(before.text, 10)).encoding


def beside(sample: dict[str, Any], context: Make, **more: Any) -> Context:
    """The context of a sample with all that an email shows besides."""
    more = {"more": ("a", "b"), "more_count": 40, **more}
    urls = dict.fromkeys(("unsubscribe_url", "acknowledge_url", "preferences_url"), "https://b.example.org/")
    given = {key: sample[key] for key in ("severity", "branch") if key in sample}
    return context(sample["type"], sample["data"], tenant="1", link="https://b.example.org/", **given, **urls, **more)


def english(content: Content, sample: dict[str, Any]) -> Iterator[str]:
    """The words that stand in our alphabet and come neither from the data nor from a date."""
    said = " ".join(
        (content.title or "", content.text, unescape(MARKUP.sub(" ", content.html or "")), *content.parameters)
    )
    known = {word.casefold() for word in WORD.findall(json.dumps(sample, ensure_ascii=False).replace("\\n", " "))}
    said = re.sub(r"https://\S+|\w+…", " ", said)  # nor was a word that was cut through
    return (word for word in WORD.findall(said) if word.casefold() not in known and word not in BABELS)
