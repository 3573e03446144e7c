"""What docs/webhooks.md tells receivers to do works with what is sent, and fails with what is not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from channels.webhook import QUICK_RETRIES, WebhookProvider, signed_headers
from config.settings import Settings
from pipeline.sealing import webhook_secret_bytes, webhook_secret_text

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
BODY = '{"id":"1","type":"ssl_expiry","userId":null,"data":{"host": "bücher.example"},"timestamp":"t"}'.encode()

Check = Callable[[str, dict[str, str], bytes], Any]


def snippet(name: str) -> Check:
    """The function of that name out of the document."""
    (code,) = (one for one in SNIPPETS if f"def {name}(" in one)
    names: dict[str, Any] = {}
    exec(code, names)
    found: Check = names[name]
    return found


def request(*secrets: bytes, age: float = 0) -> dict[str, str]:
    """The headers of a request that was made some seconds ago, as a web server hands them on."""
    return {name.lower(): value for name, value in signed_headers("d1", BODY, secrets, int(time.time() - age)).items()}


@pytest.fixture(params=["event_of", "is_genuine", "is_signed"])
def check(request: pytest.FixtureRequest) -> Check:
    """Each of the ways to check."""
    return snippet(request.param)


def test_what_was_sent_is_taken(check: Check) -> None:
    assert check(webhook_secret_text(NEW), request(NEW), BODY)


@pytest.mark.parametrize("signed_by", [OTHER, OLD])
def test_what_somebody_else_signed_is_refused(check: Check, signed_by: bytes) -> None:
    assert not check(webhook_secret_text(NEW), request(signed_by), BODY)


def test_another_body_is_refused(check: Check) -> None:
    assert not check(webhook_secret_text(NEW), request(NEW), BODY + b" ")


@pytest.mark.parametrize("name", ["event_of", "is_genuine"])
def test_a_recorded_request_is_refused(name: str) -> None:
    assert not snippet(name)(webhook_secret_text(NEW), request(NEW, age=600), BODY)


@pytest.mark.parametrize("name", ["event_of", "is_genuine"])
@pytest.mark.parametrize("known", [OLD, NEW])
def test_during_a_rotation_either_secret_does(name: str, known: bytes) -> None:
    assert snippet(name)(webhook_secret_text(known), request(NEW, OLD), BODY)


def test_the_request_that_is_shown_was_signed_with_the_secret_that_is_shown() -> None:
    shown = DOCUMENT.split("```\nPOST ")[1].split("```")[0]
    head, body = shown.split("\n\n", 1)
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    (secret,) = re.findall(r"with the secret `(whsec_\S+)`", DOCUMENT)
    made = signed_headers(
        headers["webhook-id"], body.strip().encode(), [webhook_secret_bytes(secret)], int(headers["webhook-timestamp"])
    )
    assert made.items() <= headers.items()


def test_the_example_checks_as_the_document_says() -> None:
    (code,) = (one for one in SNIPPETS if "def is_genuine(" in one)
    function = code[code.index("def is_genuine") :].strip()
    assert function in (ROOT / "examples" / "receive_webhook.py").read_text(encoding="utf-8")


def test_the_document_says_how_long_and_how_often() -> None:
    minutes = [str(seconds // 60) for seconds in Settings.model_fields["retry_schedule"].default]
    assert f"{', '.join(minutes[:-1])} and {minutes[-1]} minutes" in DOCUMENT
    assert f"Answer within {WebhookProvider.capabilities.deadline:g} seconds" in DOCUMENT
    assert QUICK_RETRIES == 3
    assert "up to three times more" in DOCUMENT
