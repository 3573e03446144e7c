"""The page on keys and tokens: its programs sign tokens that are accepted, and it names every role and claim."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.tokens import Claims, verified
from config.settings import settings
from pipeline.setup import ROLES

PAGE = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
SECRET = "a secret of at least thirty-two bytes"
CUSTOMER = "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The secret that both sides know."""
    monkeypatch.setenv("BELLWIRE_JWT_SECRET", SECRET)
    settings.cache_clear()
    yield
    settings.cache_clear()


def program(language: str) -> str:
    """The program of the page in that language."""
    return PAGE.split(f"```{language}\n", 1)[1].split("```", 1)[0]


def is_accepted(token: str) -> bool:
    """Whether it says what was asked for."""
    claims = verified(token)
    return claims == Claims("u1", "acme", (CUSTOMER,), None, claims.expires_at)


def test_a_token_that_the_python_program_signs_is_accepted() -> None:
    made: dict[str, Any] = {}
    exec(program("python"), made)
    assert is_accepted(made["token_for"]("u1", "acme", [CUSTOMER]))


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
def test_a_token_that_the_node_program_signs_is_accepted() -> None:
    script = f'{program("js")}\nprocess.stdout.write(tokenFor("u1", "acme", ["{CUSTOMER}"]));'
    done = subprocess.run(("node", "-e", script), env=dict(os.environ), capture_output=True, text=True, timeout=30)
    assert is_accepted(done.stdout), done.stderr


def test_the_page_describes_every_role() -> None:
    described = PAGE.split("| role | may |", 1)[1].split("\n\n", 1)[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", described, flags=re.MULTILINE)) == ROLES
