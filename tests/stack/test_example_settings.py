"""`.env.example` lists every setting with its real default, and can be used as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from config.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
LINES = dict(re.findall(r"^#?(BELLWIRE_[A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))
FIELDS = {f"BELLWIRE_{name.upper()}": field for name, field in Settings.model_fields.items()}


def written(value: Any) -> str:
    """A default as it stands in the file."""
    if isinstance(value, dict):
        return ",".join(f"{name}={amount}/{seconds}" for name, (amount, seconds) in value.items())
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_example_lists_every_setting_and_no_other() -> None:
    assert sorted(LINES) == sorted(FIELDS)


@pytest.mark.parametrize("name", sorted(name for name, field in FIELDS.items() if field.default is not None))
def test_the_example_shows_the_default(name: str) -> None:
    default = FIELDS[name].default
    assert default is not PydanticUndefined
    assert LINES.get(name) == written(default)


def test_the_example_can_be_used_as_it_is() -> None:
    assert Settings(_env_file=EXAMPLE).model_fields_set <= Settings().model_fields_set


def test_the_example_can_be_used_with_every_value_uncommented(tmp_path: Path) -> None:
    used = tmp_path / ".env"
    used.write_text("".join(f'{name}="{value}"\n' for name, value in LINES.items() if value))
    assert {f"BELLWIRE_{name.upper()}" for name in Settings(_env_file=used).model_fields_set} >= {
        name for name, value in LINES.items() if value
    }


def test_no_secret_has_a_value_in_the_example() -> None:
    assert [name for name, value in LINES.items() if value and name.endswith(("_KEY", "_SECRET", "_TOKEN"))] == []
