"""The looks of emails are on their elements once a template is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from config.catalogue import TEMPLATES
from pipeline.faces import SHIPPED, Faces
from pipeline.render import Context, render
from pipeline.stylesheet import Stylesheet

Make = Callable[..., Context]

SHEET = Stylesheet(".a { color: red; margin: 0 0 8px }\n.b { color: blue }", "@media (x) { .b { color: white } }")
HTML = sorted(TEMPLATES.glob("*/*.html"))


@pytest.mark.mission("E-25")
@pytest.mark.parametrize(
    ("source", "styled"),
    [
        ('<p class="a">', '<p style="color:red;margin:0 0 8px">'),
        ('<p class="b">', '<p class="b" style="color:blue">'),
        ('<p class="a b">', '<p class="b" style="color:blue;margin:0 0 8px">'),
        ('<p class="b a">', '<p class="b" style="color:blue;margin:0 0 8px">'),
        ('<p class="a" style="color:{{ x }}">', '<p style="color:red;margin:0 0 8px;color:{{ x }}">'),
        ('<p style="top:0" dir="auto" class="b" id="c">', '<p dir="auto" class="b" style="color:blue;top:0" id="c">'),
        ('<p class="unknown">', "<p>"),
        ('<p style="color:red">{{ a }}</p>', '<p style="color:red">{{ a }}</p>'),
        ('{% if a < b %}<br class="b">{% endif %}', '{% if a < b %}<br class="b" style="color:blue">{% endif %}'),
        ("<style>/* live.css */</style>", "<style>@media (x) { .b { color: white } }</style>"),
    ],
)
def test_classes_become_styles_where_they_stand(source: str, styled: str) -> None:
    assert SHEET.onto(source) == styled


@pytest.mark.parametrize("path", HTML, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_class_of_a_template_has_a_look_or_a_rule(path: Path) -> None:
    known = (TEMPLATES / "base" / "email.css").read_text() + (TEMPLATES / "base" / "live.css").read_text()
    used = {name for found in re.findall(r'class="([^"]*)"', path.read_text()) for name in found.split()}
    assert {name for name in used if not re.search(rf"\.{name}\b(?!-)", known)} == set()


def test_every_look_is_used() -> None:
    sources = " ".join(path.read_text() for path in HTML)
    looks = re.findall(r"^\.([a-z-]+) \{", (TEMPLATES / "base" / "email.css").read_text(), re.MULTILINE)
    used = {name for found in re.findall(r'class="([^"]*)"', sources) for name in found.split()}
    assert [look for look in looks if look not in used and not look.startswith("prose-")] == []


def test_a_sample_has_its_looks_without_a_stylesheet(sample_context: Context, template: str) -> None:
    html = render("email", template, sample_context).html or ""
    outside = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    for tag in re.findall(r"<(?:td|h1|p|li)\b[^>]*>", outside):
        assert 'style="' in tag or tag == "<td>" or 'align="right"' in tag, tag
    assert not re.search(r'style="[^"]*"[^<>]*style="', outside)
    assert "live.css" not in html
    assert "@media (prefers-color-scheme: dark)" in html


def test_a_folder_without_stylesheets_renders_all_the_same(tmp_path: Path, context: Make) -> None:
    for name in ("base", "default"):
        (tmp_path / name).mkdir()
        for path in (TEMPLATES / name).iterdir():
            if path.suffix != ".css":
                (tmp_path / name / path.name).write_text(path.read_text())
    html = render("email", "default", context("made.up", {"host": "a.org"}), Faces(tmp_path)).html or ""
    assert "a.org" in html


def test_a_template_is_styled_when_it_is_loaded_and_never_again(context: Make) -> None:
    made = context("ssl_failure", {"host": "a"})
    render("email", "ssl_failure", made)
    loaded = SHIPPED.face("ssl_failure", "email.html")
    first = render("email", "ssl_failure", made).html
    assert SHIPPED.face("ssl_failure", "email.html") is loaded
    assert render("email", "ssl_failure", made).html == first
