"""Every email in a real browser: on a desk and on a phone, in light and in dark, in colours that nobody should choose.

`SCREENSHOTS=folder make test-browser` keeps a picture of each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from config.catalogue import shipped
from domain.brand import DEFAULT_BRAND, Brand
from domain.colour import READABLE, contrast
from pipeline.brand_preview import preview
from pipeline.render import render
from tests.render.conftest import make

pytestmark = pytest.mark.browser

KEPT_IN: Final = os.environ.get("SCREENSHOTS")
LOGO: Final = "https://static.nordlicht.example.org/logo.svg"
PICTURE: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="140" height="32"><rect width="140" height="32" fill="#888"/></svg>'
)
NORDLICHT: Final = Brand(
    version=1,
    name="Nordlicht Cloud",
    logo_url=LOGO,
    logo_height=32,
    primary="#0f766e",
    background="#f0fdfa",
    text="#134e4a",
    footer="Nordlicht Cloud GmbH, Hafenstraße 12\n10999 Berlin",
    website="https://www.nordlicht.example.org",
    support="help@nordlicht.example.org",
)
BRANDS: Final = {
    "none": DEFAULT_BRAND,
    "usual": NORDLICHT,
    "yellow": replace(NORDLICHT, logo_url="", primary="#fde047", background="#fef9c3", text="#facc15"),
    "white on black": replace(NORDLICHT, logo_url="", primary="#ffffff", background="#000000", text="#ffffff"),
}
# Which have all parts between them: what a brand does to one it does to the others.
DIFFERENT: Final = (
    "order.created",
    "provisioning.completed",
    "provisioning.step-completed",
    "ssl_failure",
    "task.failed",
)

# Of each piece of text that is seen: what it says, its size, its colour and what is behind it; and what is too wide.
LOOK: Final = """
() => {
  const seen = [], wide = [];
  const solid = colour => !/^rgba\\(.*, 0\\)$/.test(colour) && colour !== 'transparent';
  const byte = number => (+number).toString(16).padStart(2, '0');
  const hex = colour => '#' + colour.match(/[\\d.]+/g).slice(0, 3).map(byte).join('');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    if (style.fontSize === '0px') continue;
    let behind = element;
    while (behind && !solid(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    seen.push([node.data.trim(), parseFloat(style.fontSize), hex(style.color),
               behind ? hex(getComputedStyle(behind).backgroundColor) : '#ffffff']);
    const range = document.createRange();
    range.selectNodeContents(node);
    if (range.getBoundingClientRect().right > innerWidth + 0.5) wide.push(node.data.trim());
  }
  return {seen, wide, scrolls: document.documentElement.scrollWidth > innerWidth,
          silent: [...document.images].filter(image => !image.alt).length, pictures: document.images.length};
}
"""


def mails(brand: Brand) -> Iterator[tuple[str, str]]:
    """Samples as emails, of every event type as it is shipped, one with all that a mail can have, one with nothing."""
    for name in shipped().event_types if brand is DEFAULT_BRAND else DIFFERENT:
        yield name, preview(tenant="demo", brand=brand, event=name, locale=None).html or ""
    sample = {"order_number": "SO-1", "customer": "A" * 80, "items": [{"name": "b" * 90, "amount": 10**12}] * 3}
    full = make(
        "order.created",
        {**sample, "total": "123456789012.50", "currency": "EUR", "note": "* `code`\n> [quoted](https://a.example)"},
        severity="critical",
        branch="berlin",
        acknowledge_url="https://bellwire.example.org/a/x",
        unsubscribe_url="https://bellwire.example.org/u/x",
        preferences_url="https://bellwire.example.org/inbox",
        more=("First", "Second"),
        more_count=12,
    )
    yield "order.placed", render("email", "order.placed", replace(full, brand=brand)).html or ""
    yield "nothing known", render("email", "default", replace(make("made.up", {}), brand=brand)).html or ""


@pytest.mark.mission("A-15", "A-21", "D-40")
@pytest.mark.parametrize("brand", BRANDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [600, 320])
def test_every_email_can_be_read(browser: Browser, width: int, scheme: Any, brand: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.route("**/*", lambda route: route.fulfill(body=PICTURE, content_type="image/svg+xml"))
    page = context.new_page()
    troubles = [
        f"{name}: {trouble}"
        for name, html in mails(BRANDS[brand])
        for trouble in _troubles(page, html, f"{name}-{brand}")
    ]
    context.close()
    assert not troubles


def _troubles(page: Page, html: str, name: str) -> Iterator[str]:
    page.set_content(html)
    _keep(page, name)
    looked = page.evaluate(LOOK)
    if looked["scrolls"]:
        yield "it scrolls sideways"
    if looked["silent"]:
        yield "a picture says nothing"
    assert "src=" not in html or looked["pictures"]
    yield from (f"{words!r} reaches beyond the edge" for words in looked["wide"])
    assert len(looked["seen"]) > 3
    for words, size, colour, behind in looked["seen"]:
        if size < 12:
            yield f"{words!r} is {size} pixels high"
        if contrast(colour, behind) < READABLE:
            yield f"{words!r} is {colour} on {behind}"


def _keep(page: Page, name: str) -> None:
    if KEPT_IN:
        scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
        width = page.viewport_size["width"] if page.viewport_size else 0
        page.screenshot(path=Path(KEPT_IN) / f"{name}-{width}-{scheme}.png", full_page=True)
