"""The page about templates names everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2.defaults import DEFAULT_FILTERS

from config.catalogue import TEMPLATES
from pipeline.faces import SHIPPED

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
OURS = ("html", "md", "whatsapp", "txt")


def test_every_face_is_described() -> None:
    faces = {path.name for path in TEMPLATES.glob("*/*") if path.is_file() and path.parent.name != "base"}
    assert {face for face in faces if f"| `{face}` |" not in PAGE} == set()


@pytest.mark.parametrize("kind", OURS)
def test_every_filter_of_ours_is_described(kind: str) -> None:
    ours = SHIPPED.environments[kind].filters.keys() - DEFAULT_FILTERS.keys()
    assert {name for name in ours if not re.search(rf"`{name}[`(]", PAGE)} == set()
