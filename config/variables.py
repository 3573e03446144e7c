"""Variables that look like settings and are none: a typing error leaves the default in force and says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from os import environ
from typing import Final

from dotenv import dotenv_values

from config.settings import Settings, environment_file

PREFIX: Final = "BELLWIRE_"
NO_SETTINGS: Final = frozenset({"BELLWIRE_ENV_FILE", "BELLWIRE_STACK"})  # what names the file, and marks our processes
KNOWN: Final = frozenset(f"{PREFIX}{name.upper()}" for name in Settings.model_fields) | NO_SETTINGS


def unknown_variables() -> list[str]:
    """One sentence for each variable of the environment and of ``.env`` that no setting has, with the nearest one."""
    file = environment_file()
    written = dotenv_values(file, interpolate=False) if file.is_file() else {}
    return [*_unknown(environ, "the environment"), *_unknown(written, str(file))]


def _unknown(names: Iterable[str], where: str) -> Iterator[str]:
    for name in sorted(names):
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in KNOWN:
            near = get_close_matches(upper, sorted(KNOWN), 1, 0.8)
            yield f"{name} in {where} is no setting{f': {near[0]}?' if near else '.'}"
        elif PREFIX + upper in KNOWN and where != "the environment":
            yield f"{name} in {where} is no setting: {PREFIX}{upper}?"
