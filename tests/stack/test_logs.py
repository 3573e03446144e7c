"""Log files of a long life."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.stack.logs import LARGEST, cut, last_line
from workers.stack.places import Places


def test_a_log_that_grew_too_large_is_moved_and_its_writer_goes_on(home: Path) -> None:
    places = Places.of(home)
    places.make()
    with (places.logs / "api.log").open("ab") as writer:
        writer.truncate(LARGEST + 1)
        cut(places)
        writer.write(b"new\n")
    assert (places.logs / "api.log").read_text() == "new\n"
    assert (places.logs / "api.log.1").stat().st_size == LARGEST + 1


def test_a_small_log_is_left_alone(home: Path) -> None:
    places = Places.of(home)
    places.make()
    (places.logs / "api.log").write_text("kept\n")
    cut(places)
    assert [file.name for file in places.logs.iterdir()] == ["api.log"]


@pytest.mark.parametrize(
    ("text", "line"),
    [("one\ntwo\n\n", "two"), ("", "it left no message"), ("x" * 9000 + "\nthe end\n", "the end")],
)
def test_the_last_line_is_the_last_with_words(home: Path, text: str, line: str) -> None:
    (home / "a.log").write_text(text)
    assert last_line(home / "a.log") == line
