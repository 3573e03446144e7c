"""Pages behind links speak the language that the browser asks for."""

from __future__ import annotations

import httpx
import pytest

from api.language import preferred
from config.settings import settings
from pipeline.language import ENGLISH
from pipeline.links import unsubscribe_url
from tests.support.api import SECRET_KEY, Api


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de-AT"),
        ("en;q=0.5, de;q=0.7", "de"),
        ("fr-FR, fr;q=0.9, de;q=0.8, en;q=0.7", "de"),
        ("fr, en, de", "en"),
        ("en-US,en;q=0.9,de;q=0.8", "en-US"),
        ("de;q=0", "en"),
        ("*", "en"),
        ("de;q=x, ../../etc", "en"),
        (",;=" * 200, "en"),
        ("x" * 100_000 + ",de", "en"),
        ("\x00, \ud800", "en"),
    ],
)
def test_the_first_language_that_is_spoken_is_taken(header: str, tag: str) -> None:
    assert preferred(header).tag == tag


def test_whoever_asks_for_nothing_gets_english() -> None:
    assert preferred("") is ENGLISH


def test_a_page_is_wholly_in_the_language_that_was_asked_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", SECRET_KEY)
    settings.cache_clear()
    link = unsubscribe_url(
        tenant="default", user_id=None, address="a<b@example.org", event="ssl_expiry", channel="email"
    ).removeprefix(settings().public_url)
    with api.client(None, **{"Accept-Language": "de-CH, de;q=0.9"}) as anyone:
        pages = [anyone.get(link), anyone.post(link), anyone.get("/u/x")]
    asked, done, unknown = (page.text for page in pages)
    assert all('<html lang="de-CH">' in page for page in (asked, done, unknown))
    assert "Keine E-Mails mehr zu „<bdi>SSL-Zertifikat läuft ab</bdi>“?" in asked
    assert "Sie haben abbestellt" in done
    assert "<bdi>a•••@example.org</bdi>" in done
    assert "Dieser Link funktioniert nicht" in unknown


def test_english_is_what_it_was(api: Api) -> None:
    with api.client(None) as anyone:
        page: httpx.Response = anyone.get("/u/x")
    assert '<html lang="en">' in page.text
    assert "This link does not work" in page.text
