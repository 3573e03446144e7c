"""What is said in which language, and how translated sentences are escaped for every face."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.faces import Faces
from pipeline.language import candidates
from pipeline.render import Content, Context, render
from pipeline.wording import whole
from tests.render.conftest import Make

ODD = "<b>a.b</b> %(name)s *x* & {{ y }}"
SENTENCES = """
msgid ""
msgstr ""
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "It's done - (%(name)s) <now> & at 100%%!"
msgstr "Fertig! 100%% (%(name)s) <jetzt> & -"

msgid "%(num)s day"
msgid_plural "%(num)s days"
msgstr[0] "%(num)s Tag"
msgstr[1] "%(num)s Tage"

msgid "Plain"
msgstr "Schlicht"

#, fuzzy
msgid "Not sure"
msgstr "Unsicher"

msgid "Not yet"
msgstr ""

msgid "Order {number} is here"
msgstr "{number} ist da: Ihre Bestellung"
"""
SOURCE = "{% trans name=data.a %}It's done - ({{ name }}) <now> & at 100%!{% endtrans %}"


@pytest.fixture
def speaking(own_faces: Faces) -> Faces:
    """Own faces with a German catalogue."""
    write(own_faces, "de", SENTENCES)
    return own_faces


def write(faces: Faces, locale: str, text: str) -> None:
    """Add a catalogue."""
    folder = faces.folder / "locale" / locale
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(text, encoding="utf-8")


def face(faces: Faces, name: str, source: str) -> None:
    """Add a face to the template `own`."""
    (faces.folder / "own" / name).write_text(source, encoding="utf-8")


def said(faces: Faces, channel: str, context: Context) -> Content:
    """What the template `own` says."""
    return render(channel, "own", context, faces)


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        (None, "It's done - ({}) &lt;now&gt; &amp; at 100%!"),
        ("de", "Fertig! 100% ({}) &lt;jetzt&gt; &amp; -"),
    ],
)
def test_a_sentence_and_its_values_are_escaped_once_in_html(
    speaking: Faces, context: Make, locale: str | None, shown: str
) -> None:
    face(speaking, "email.html", SOURCE)
    html = said(speaking, "email", context("made.up", {"a": ODD}, locale=locale)).html or ""
    odd = "&lt;b&gt;a.b&lt;/b&gt; %(name)s *x* &amp; {{ y }}"
    assert html.replace("&#39;", "'") == shown.format(odd)


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        (None, r"It's done \- \({}\) <now\> & at 100%\!"),
        ("de", r"Fertig\! 100% \({}\) <jetzt\> & \-"),
    ],
)
def test_a_sentence_and_its_values_are_escaped_once_for_telegram(
    speaking: Faces, context: Make, locale: str | None, shown: str
) -> None:
    face(speaking, "telegram.md", SOURCE)
    odd = r"<b\>a\.b</b\> %\(name\)s \*x\* & \{\{ y \}\}"
    assert said(speaking, "telegram", context("made.up", {"a": ODD}, locale=locale)).text == shown.format(odd)


@pytest.mark.parametrize("name", ["in_app.txt", "in_app.de.txt"])
def test_a_sentence_is_plain_where_nothing_has_to_be_escaped(speaking: Faces, context: Make, name: str) -> None:
    face(speaking, name, SOURCE)
    text = said(speaking, "in_app", context("made.up", {"a": ODD}, locale="de")).text
    assert text == f"Fertig! 100% ({ODD}) <jetzt> & -"


def test_the_marks_of_whatsapp_in_a_value_stay_text(speaking: Faces, context: Make) -> None:
    face(speaking, "whatsapp.txt", "*{% trans name=data.a %}It's done - ({{ name }}) <now> & at 100%!{% endtrans %}*")
    text = said(speaking, "whatsapp", context("made.up", {"a": "*x*"}, locale="de")).text
    plain = render("whatsapp", "default", context("made.up", {"message": "*x*"}), speaking).text
    escaped = plain.split("\n")[1]
    assert text == f"*Fertig! 100% ({escaped}) <jetzt> & -*"
    assert escaped != "*x*"


@pytest.mark.parametrize("name", ["email.html", "telegram.md", "in_app.txt"])
def test_words_that_are_handed_to_a_macro_are_escaped_once(speaking: Faces, context: Make, name: str) -> None:
    write(speaking, "fr", 'msgid "Plain"\nmsgstr "A-B & C"\n')
    face(speaking, name, '{{ table([(_("Plain"), "x")]) }}')
    channel = {"email.html": "email", "telegram.md": "telegram", "in_app.txt": "in_app"}[name]
    content = said(speaking, channel, context("made.up", {}, locale="fr"))
    shown = {"email.html": ">A-B &amp; C<", "telegram.md": r"*A\-B & C:* x", "in_app.txt": "A-B & C: x"}[name]
    assert shown in (content.html or content.text)


@pytest.mark.parametrize(
    ("number", "shown"), [(1, "1 Tag"), ("1", "1 Tag"), (7, "7 Tage"), (0, "0 Tage"), (1.5, "1,5 Tage"), ("", " Tage")]
)
def test_a_number_chooses_the_form(speaking: Faces, context: Make, number: object, shown: str) -> None:
    face(speaking, "in_app.txt", '|{{ ngettext("%(num)s day", "%(num)s days", data.a) }}|')
    assert said(speaking, "in_app", context("made.up", {"a": number}, locale="de")).text == f"|{shown}|"
    face(speaking, "sms.txt", "{% trans num=data.a %}{{ num }} day{% pluralize %}{{ num }} days{% endtrans %}")
    assert said(speaking, "sms", context("made.up", {"a": number}, locale="de")).text.startswith(shown.strip())


@pytest.mark.parametrize("odd", [None, {}, [1], "x", "1e999", float("nan"), float("inf"), 10**400, "9" * 5000, True])
def test_an_odd_number_chooses_some_form(odd: Any) -> None:
    assert isinstance(whole(odd), int)


@pytest.mark.parametrize("english", ["Not sure", "Not yet", "Never heard of"])
def test_what_is_not_translated_for_sure_stays_english(speaking: Faces, context: Make, english: str) -> None:
    face(speaking, "in_app.txt", f"{{% trans %}}{english}{{% endtrans %}}")
    assert said(speaking, "in_app", context("made.up", {}, locale="de")).text == english


def test_a_title_of_the_catalogue_is_translated_with_its_places(speaking: Faces, context: Make) -> None:
    made = context("made.up", {"number": "{4}", "x": 1}, title="Order {number} is here", locale="de")
    assert said(speaking, "in_app", made).title == "{4} ist da: Ihre Bestellung"


def test_what_a_link_says_is_translated(speaking: Faces, context: Make) -> None:
    face(speaking, "link.txt", "Plain\n")
    made = context("made.up", {"link_url": "https://example.org/"}, locale="de")
    assert said(speaking, "in_app", made).link_text == "Schlicht"


@pytest.mark.mission("E-25")
@pytest.mark.parametrize(
    ("locale", "names"),
    [
        ("de", ("de",)),
        ("de-AT", ("de_AT", "de")),
        ("de_AT", ("de_AT", "de")),
        ("DE-at", ("de_AT", "de")),
        ("de_AT.UTF-8", ("de_AT", "de")),
        ("de-XX", ("de",)),
        ("zh-Hant-TW", ("zh_Hant_TW", "zh_Hant", "zh")),
        ("xx", ()),
        ("", ()),
        ("de__AT", ("de",)),
        ("../../etc", ()),
        ("x" * 5000, ()),
        ("\x00", ()),
        ("英语", ()),
    ],
)
def test_a_locale_is_looked_for_from_near_to_far(locale: str, names: tuple[str, ...]) -> None:
    assert candidates(locale) == names


@pytest.mark.mission("E-25")
@pytest.mark.parametrize("locale", ["de-AT", "de_AT", "de-CH", "DE", "de-XX"])
def test_a_region_falls_back_to_its_language(speaking: Faces, context: Make, locale: str) -> None:
    face(speaking, "in_app.txt", "{% trans %}Plain{% endtrans %}")
    assert said(speaking, "in_app", context("made.up", {}, locale=locale)).text == "Schlicht"


@pytest.mark.parametrize("locale", [None, "", "fr", "en-GB", "xx-YY", "klingon", "../de", "de\x00" * 3, "1"])
def test_whoever_speaks_something_else_reads_english(speaking: Faces, context: Make, locale: str | None) -> None:
    face(speaking, "in_app.txt", "{% trans %}Plain{% endtrans %}")
    assert said(speaking, "in_app", context("made.up", {}, locale=locale)).text == "Plain"


def test_a_region_need_only_say_what_it_says_otherwise(speaking: Faces, context: Make) -> None:
    write(speaking, "de_AT", 'msgid "Plain"\nmsgstr "Gradaus"\n')
    face(speaking, "in_app.txt", '{{ _("Plain") }}, {{ ngettext("%(num)s day", "%(num)s days", 2) }}')
    assert said(speaking, "in_app", context("made.up", {}, locale="de-AT")).text == "Gradaus, 2 Tage"
    assert said(speaking, "in_app", context("made.up", {}, locale="de")).text == "Schlicht, 2 Tage"


@pytest.mark.parametrize(
    ("locale", "text"), [("de-AT", "Wien"), ("de-CH", "Berlin"), ("de", "Berlin"), ("fr", "London"), (None, "London")]
)
def test_a_face_of_its_own_comes_before_the_translated_one(
    speaking: Faces, context: Make, locale: str | None, text: str
) -> None:
    for name, place in (("in_app.txt", "London"), ("in_app.de.txt", "Berlin"), ("in_app.de_AT.txt", "Wien")):
        face(speaking, name, place)
    assert said(speaking, "in_app", context("made.up", {}, locale=locale)).text == text


def test_a_face_of_the_kind_comes_before_one_of_the_default_in_the_language(speaking: Faces, context: Make) -> None:
    face(speaking, "in_app.txt", "own")
    (speaking.folder / "default" / "in_app.de.txt").write_text("default")
    assert said(speaking, "in_app", context("made.up", {}, locale="de")).text == "own"
    assert render("in_app", "default", context("made.up", {}, locale="de"), speaking).text == "default"


def test_a_broken_catalogue_leaves_the_words_english(own_faces: Faces, context: Make) -> None:
    write(own_faces, "de", 'msgid "Plain"\nnonsense "Schlicht"\n')
    face(own_faces, "in_app.txt", "{% trans %}Plain{% endtrans %}")
    assert said(own_faces, "in_app", context("made.up", {}, locale="de")).text == "Plain"


def test_one_language_says_nothing_in_the_next_message(speaking: Faces, context: Make) -> None:
    face(speaking, "in_app.txt", "{% trans %}Plain{% endtrans %}")
    told = [said(speaking, "in_app", context("made.up", {}, locale=locale)).text for locale in ("de", None, "de")]
    assert told == ["Schlicht", "Plain", "Schlicht"]
