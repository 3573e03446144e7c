"""What the page about Apprise says is what is let in."""

from __future__ import annotations

import re
from pathlib import Path

from channels.apprise import OPTIONS
from channels.apprise_services import SCHEMES

PAGE = (Path(__file__).parents[2] / "docs" / "apprise.md").read_text(encoding="utf-8")


def test_the_page_lists_the_services_that_are_let_in() -> None:
    listed = next(part for part in PAGE.split("\n\n") if part.startswith(f"`{SCHEMES[0]}`"))
    assert tuple(re.findall(r"`(\w+)`", listed)) == SCHEMES


def test_the_page_lists_the_options_that_may_be_given() -> None:
    listed = PAGE[PAGE.index("Behind a question mark") : PAGE.index("Not `template`")]
    assert set(re.findall(r"`(\w+)`", listed)) == OPTIONS
