"""The catalogues of the languages: what belongs in them, what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.faces import SHIPPED, Faces
from pipeline.language import read
from pipeline.translations import every, problems, said_in, updated

GOOD = 'msgid "Hello %(name)s"\nmsgstr "Hallo %(name)s"\n'


def write(faces: Faces, locale: str, text: str) -> Path:
    """Add a catalogue."""
    path = faces.folder / "locale" / locale / "messages.po"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{% trans %}All is well.{% endtrans %}", "All is well."),
        ("{% trans %}\n  All\n  is well.\n{% endtrans %}", "All is well."),
        ("{% trans name=data.x %}Hello {{ name }}{% endtrans %}", "Hello %(name)s"),
        ("{% trans %}100%{% endtrans %}", "100%%"),
        (
            "{% trans count=data.n %}one day{% pluralize %}{{ count }} days{% endtrans %}",
            ("one day", "%(count)s days"),
        ),
        ('{{ table([(_("Host"), data.host)]) }}', "Host"),
        ('{{ ngettext("%(num)s x", "%(num)s xs", 2) }}', ("%(num)s x", "%(num)s xs")),
        ('{{ data.n|number_of("lamp") }}', ("%(num)s lamp", "%(num)s lamps")),
    ],
)
@pytest.mark.parametrize("kind", ["html", "md", "whatsapp", "txt"])
def test_what_templates_say_is_gathered(kind: str, source: str, found: object) -> None:
    assert list(said_in(SHIPPED.environments[kind], source)) == [(found, None)]


def test_words_with_a_context_are_apart_from_the_same_without() -> None:
    source = '{{ pgettext("verb", "Open") }}{{ _("Open") }}'
    assert list(said_in(SHIPPED.environments["txt"], source)) == [("Open", "verb"), ("Open", None)]


def test_titles_links_labels_and_the_words_of_the_code_are_gathered(own_faces: Faces) -> None:
    (own_faces.folder / "own" / "link.txt").write_text("See the lamp\n")
    found = list(every(own_faces))
    assert ("templates/own/link.txt", "See the lamp", None) in found
    assert ("config/notifications.yaml", "Order {order_number} received", None) in found
    assert ("pipeline/fit.py", ("%(title)s and %(count)s more",) * 2, None) in found
    assert {"yes", "View details", "Critical", "Order ID"} <= {said for _, said, _ in found}


def test_an_update_adds_what_is_new_keeps_what_was_said_and_drops_what_is_gone(own_faces: Faces) -> None:
    path = write(own_faces, "de", 'msgid "yes"\nmsgstr "jawohl"\n\nmsgid "gone"\nmsgstr "weg"\n')
    path.write_bytes(updated(path, own_faces))
    catalogue = read(path)
    assert catalogue["yes"].string == "jawohl"
    assert catalogue["no"].string == ""
    assert catalogue.get("gone") is None
    assert path.read_bytes() == updated(path, own_faces)  # the second time nothing changes


def test_a_language_with_three_forms_has_room_for_them(own_faces: Faces) -> None:
    (own_faces.folder / "own" / "in_app.txt").write_text('{{ data.n|number_of("lamp") }}')
    path = write(own_faces, "pl", "")
    path.write_bytes(updated(path, own_faces))
    assert read(path)["%(num)s lamp"].string == ("", "", "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD, None),
        ('msgid "Hello %(name)s"\nmsgstr ""\n', None),
        ('#, fuzzy\nmsgid "Hello %(name)s"\nmsgstr "Hallo"\n', None),
        (GOOD.replace("Hallo %(name)s", "Hallo"), "2: leaves out %(name)s"),
        (GOOD.replace("Hallo %(name)s", "Hallo %(nam)s"), "leaves out %(name)s"),
        (GOOD.replace("Hallo %(name)s", "%(name)s %(x)s"), "names %(x)s, which the sentence does not"),
        ('msgid "{task} failed"\nmsgstr "Fehlschlag"\n', "leaves out {task}"),
        (GOOD + 'nonsense "x"\n', ":3: Unknown"),
        (GOOD + 'msgid "x\n', ":3: missing"),
        ('msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=import os;\\n"\n', ""),
    ],
)
def test_a_catalogue_says_what_is_wrong_with_it_and_where(own_faces: Faces, text: str, problem: str | None) -> None:
    write(own_faces, "de", "\n" + text if problem == "2: leaves out %(name)s" else text)
    found = problems(own_faces)
    if problem is None:
        assert found == []
    else:
        assert [one for one in found if one.startswith("locale/de/messages.po:") and problem in one], found


def test_a_catalogue_that_is_no_text_is_named(own_faces: Faces) -> None:
    write(own_faces, "de", "").write_bytes(b'msgid "x"\nmsgstr "\xff\xfe"\n')
    assert problems(own_faces)


@pytest.mark.parametrize(
    ("folder", "problem"),
    [("de-AT", "the folder must be called de_AT"), ("klingon", "no locale is called klingon"), ("de_AT", None)],
)
def test_a_folder_that_nobody_would_look_into_is_named(own_faces: Faces, folder: str, problem: str | None) -> None:
    write(own_faces, folder, GOOD)
    found = problems(own_faces)
    assert found == [] if problem is None else [one for one in found if one.endswith(problem)]
