"""Handlebars, translated, says what Handlebars says; npm's own handlebars is the judge."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from pipeline.handlebars import HandlebarsError, translated
from pipeline.sandbox import Workshop, filled, kind_of

HERE = Path(__file__).parent
JUDGE = HERE.parents[1] / ".handlebars"  # npm install --prefix .handlebars handlebars@4.7.8
DOCUMENT = json.loads((HERE / "handlebars.json").read_text(encoding="utf-8"))
CASES = DOCUMENT["cases"]


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop()


def said(workshop: Workshop, source: str, data: Any, part: str = "html") -> str:
    return filled(workshop.compiled(part, kind_of("email", part), source), {"data": data})


@pytest.mark.mission("A-15", "A-16")
@pytest.mark.parametrize("case", CASES, ids=[case["template"][:50] for case in CASES])
def test_what_is_translated_says_what_handlebars_says(workshop: Workshop, case: dict[str, Any]) -> None:
    source = translated(case["template"], case.get("partials"))
    assert said(workshop, source, DOCUMENT["data"]) == case["output"]


def test_the_judge_still_says_what_is_noted() -> None:
    """Skipped, and said so, where there is no node or no handlebars; `.ci/run` sees to both."""
    if shutil.which("node") is None or not (JUDGE / "node_modules" / "handlebars").is_dir():
        pytest.skip("no handlebars below .handlebars: npm install --prefix .handlebars handlebars@4.7.8")
    cases = [{**case, "data": DOCUMENT["data"]} for case in CASES]
    judge = ("node", HERE / "handlebars.js", JUDGE)
    judged = subprocess.run(judge, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(judged.stdout) == [case["output"] for case in CASES]


TWICE = {f"twice{number}": f"{{{{> twice{number + 1}}}}}" * 2 for number in range(12)}


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("{{formatDate date 'x'}}", 1, "calls the helper formatDate, which cannot be translated"),
        ("a\n{{#ifEquals a b}}x{{/ifEquals}}", 2, "calls the helper ifEquals, which cannot be translated"),
        ("{{#if (eq a b)}}x{{/if}}", 1, "calls a helper in brackets, which cannot be translated"),
        ("\n\n{{name limit=3}}", 3, "calls the helper name"),
        ("{{#if a}}x", 1, "{{#if a}} is never closed"),
        ("{{#if a}}\nx{{/each}}", 2, "{{/each}} does not close {{#if}}"),
        ("x{{/if}}", 1, "{{/if}} belongs to no block"),
        ("{{else}}", 1, "belongs to no block"),
        ("a\n{{> footer}}", 2, "names the partial footer, of which there is no file"),
        ("{{> loop}}", 1, "the partial loop is part of itself"),
        ("{{> p x=1}}", 1, "gives the partial p values by name"),
        ("{{#> layout}}x{{/layout}}", 1, "cannot be translated"),
        ("{{#*inline 'x'}}y{{/inline}}", 1, "cannot be translated"),
        ("{{{{raw}}}}x{{{{/raw}}}}", 1, "raw blocks cannot be translated"),
        ("{{ }}", 1, "says nothing"),
        ("{{name", 1, "a tag is not closed"),
        ("{{{name}}", 1, "a tag is not closed"),
        ("{{@level}}", 1, "@level is not known"),
        ("{{#if}}x{{/if}}", 1, "if takes one value"),
        ("{{#each a b}}x{{/each}}", 1, "each takes one value"),
        ("x\n{{#}}y{{/}}", 2, "opens no block"),
        ("{{> twice0}}", 1, "more than 1,000 partials are used"),
        pytest.param("{{#if a}}" * 2000 + "{{/if}}" * 2000, 1, "nested too deeply", id="nested"),
        pytest.param("{{#if a}}" + "{{else if b}}" * 2000 + "{{/if}}", 1, "nested too deeply", id="else"),
    ],
)
def test_what_cannot_be_translated_is_said_with_its_line(source: str, line: int, reason: str) -> None:
    with pytest.raises(HandlebarsError) as caught:
        translated(source, {"loop": "a {{> loop}}", "p": "", "twice12": "", **TWICE})
    assert caught.value.line == line
    assert reason in str(caught.value)


def test_a_file_of_empty_lines_takes_no_longer_than_another() -> None:
    began = process_time()
    translated("{{a}}" + "\n" * 20_000 + "x{{b}}")
    assert process_time() - began < 1


def test_what_is_known_has_its_name_and_everything_else_is_the_events_data(workshop: Workshop) -> None:
    source = translated(
        "{{title}} {{brand.name}} {{host}} {{data.host}} {{#each list}}{{title}}{{@root.title}}{{/each}}"
    )
    values = {"title": "T", "brand": {"name": "B"}, "data": {"host": "h", "list": [{"title": "inner"}]}}
    assert filled(workshop.compiled("html", "html", source), values) == "T B h h innerT"


def test_a_plain_text_is_not_escaped_as_html(workshop: Workshop) -> None:
    assert said(workshop, translated("{{a}} {{{a}}}"), {"a": "<&>"}, "text") == "<&> <&>"


def test_handlebars_cannot_lead_out_either(workshop: Workshop) -> None:
    for source in ("{{constructor.name}}", "{{__proto__}}", "{{this.__class__}}", "{{lookup this '__class__'}}"):
        assert said(workshop, translated(source), {"a": 1}) == ""
