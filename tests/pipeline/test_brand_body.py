"""What a brand may be made of: nothing that a mail program could take for more than a name, a colour, an address."""

from __future__ import annotations

from typing import Any

import pytest

from domain.brand import DEFAULT_BRAND, Brand
from domain.errors import InvalidInputError
from pipeline.brand_body import parse_brand


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ({}, Brand(name="Before", version=3)),
        ({"name": "Nordlicht"}, Brand(name="Nordlicht", version=3)),
        ({"name": None}, Brand(version=3)),
        ({"name": ""}, Brand(version=3)),
        ({"primary": "#0F766E"}, Brand(name="Before", version=3, primary="#0f766e")),
        ({"primary": "#abc"}, Brand(name="Before", version=3, primary="#aabbcc")),
        ({"footer": " One \n Two "}, Brand(name="Before", version=3, footer="One\nTwo")),
        ({"support": "help@bücher.example"}, Brand(name="Before", version=3, support="help@xn--bcher-kva.example")),
        ({"support": "https://a.example/@help"}, Brand(name="Before", version=3, support="https://a.example/@help")),
    ],
)
def test_a_body_changes_what_it_names_and_nothing_else(body: dict[str, Any], after: Brand) -> None:
    assert parse_brand(body, Brand(name="Before", version=3)) == after


@pytest.mark.mission("A-21")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 61),
        ("name", "two\nlines"),
        ("name", "gnp\u202ecod"),
        ("name", 7),
        ("logo_url", "http://static.example.org/logo.png"),
        ("logo_url", "data:image/svg+xml;base64,AAAA"),
        ("logo_url", "javascript:alert(1)"),
        ("logo_url", "https:///logo.png"),
        ("logo_url", "https://user:secret@example.org/logo.png"),
        ("logo_url", 'https://a.example/"onerror="alert(1)'),
        ("logo_url", "https://a.example/ b"),
        ("logo_url", "https://a.example/" + "x" * 2000),
        ("logo_width", 15),
        ("logo_width", True),
        ("logo_height", "32"),
        ("primary", "red"),
        ("primary", "#12345"),
        ("primary", "#fff;background:url(https://a.example)"),
        ("background", "url(https://a.example)"),
        ("text", "#fff}</style><script>"),
        ("text", 0xFFFFFF),
        ("footer", "\n".join("abcdefg")),
        ("footer", "x" * 501),
        ("footer", "a\x00b"),
        ("website", "www.example.org"),
        ("website", "https://[::1"),
        ("support", "nobody"),
        ("support", "a@b@c"),
        ("reply_to", "help@example.org\r\nBcc: everybody@example.org"),
        ("reply_to", "Help <help@example.org>"),
        ("reply_to", "hélp@example.org"),
        ("logo", "https://a.example/logo.png"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as wrong:
        parse_brand({field: value})
    assert wrong.value.field == field


@pytest.mark.parametrize("body", [None, [], "x", 7])
def test_a_body_is_an_object(body: Any) -> None:
    with pytest.raises(InvalidInputError):
        parse_brand(body, DEFAULT_BRAND)
