"""What the page about branding shows is what is taken."""

from __future__ import annotations

import json
import re
from pathlib import Path

from domain.brand import DEFAULT_BRAND
from pipeline.brand_body import parse_brand

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "branding.md").read_text(encoding="utf-8")


def test_the_example_is_taken_and_names_every_value() -> None:
    example = json.loads(PAGE.split("PUT /v1/branding\n", 1)[1].split("```", 1)[0])
    assert example.keys() == DEFAULT_BRAND.body.keys()
    assert parse_brand(example).body == example


def test_every_value_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", PAGE.split("| value |", 1)[1].split("## Colours", 1)[0]))
    assert explained >= DEFAULT_BRAND.body.keys()
