"""What `bellwire check` says about a catalogue file, and on which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.problems import problems

GOOD = """\
events:
  order.created:
    group: order
routes:
  - name: one
    match: {event: "order.*"}
    channels: [email]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "notifications.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_has_no_problems() -> None:
    assert problems() == []


def test_a_good_file_has_no_problems(tmp_path: Path) -> None:
    assert problems(written(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("good", "bad", "line", "words"),
    [
        ("group: order", "group: 7", 3, "events.order.created.group: must be text"),
        ("group: order", "grupp: order", 3, "events.order.created.grupp: is not known here"),
        ("    group: order", "    severity: low", 2, "events.order.created.group: is missing"),
        ("[email]", "[email, pigeon]", 7, "routes[0].channels[1]: must be one of"),
        ("[email]", "[]", 7, "routes[0].channels: must name at least one channel"),
        ("  - name: one\n   ", "  -", 5, "routes[0].name: is missing"),
        ('"order.*"', '"oder.*"', 6, "routes[0].match.event: matches no event type of the catalogue"),
        ("routes:", "rules:", 4, "rules: is not known here"),
        ("group: order", "group: order\n    group: chat", 4, "group is here twice"),
        ("[email]", "[email]\n  - name: one\n    channels: [in_app]", 8, "routes[1].name: is the name of an earlier"),
        ("[email]", "[email", 8, "is not YAML"),
        ("events:\n  order.created:\n    group: order", "events: 7", 1, "events: must be an object"),
    ],
)
def test_a_problem_is_told_with_its_line(tmp_path: Path, good: str, bad: str, line: int, words: str) -> None:
    path = written(tmp_path, GOOD.replace(good, bad, 1))
    assert [one for one in problems(path) if one.startswith(f"{path}:{line}: ") and words in one]


def test_every_problem_is_told_and_not_only_the_first(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("group: order", "group: 7").replace("[email]", "[pigeon]"))
    assert len(problems(path)) == 2


def test_a_file_that_is_not_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == [f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory"]


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    assert problems(path) == [f"{path}:1: is empty"]
