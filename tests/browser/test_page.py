"""The page /inbox and how the inbox looks: names and roles, contrast, narrow screens, motion, and whose token it is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Desk, Tabs

pytestmark = pytest.mark.browser

# What assistive technology calls a control, without a library: its label, its text, or the name given for it.
UNNAMED = """() => [...document.querySelector('bellwire-inbox').shadowRoot
    .querySelectorAll('button, select, input, textarea, a')]
    .filter(one => !(one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent).trim())
    .map(one => one.outerHTML)"""

WIDEST = """() => Math.max(document.documentElement.scrollWidth,
    document.querySelector('bellwire-inbox').shadowRoot.querySelector('.body').scrollWidth)"""

# The lowest contrast of any text with what it stands on (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = colour => channels(colour).slice(0, 3).map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = one => {
        for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if ((channels(colour)[3] ?? 1) > 0) return colour;
        }
    };
    const texts = [...document.querySelector('bellwire-inbox').shadowRoot.querySelectorAll('section *')].filter(one =>
        one.checkVisibility() && !one.disabled
        && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
    return Math.min(...texts.map(one => {
        const [high, low] = [luminance(getComputedStyle(one).color), luminance(ground(one))].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
    }));
}"""


def varied(desk: Desk) -> None:
    """One of every severity, one of them acknowledged, one read."""
    for severity in ("low", "medium", "high", "critical"):
        desk.notify(
            f"{severity} " + "Donaudampfschifffahrtsgesellschaft" * 3, severity=severity, data={"text": "Words."}
        )
    first, second, *_ = desk.inbox()["notifications"]
    desk.ask("POST", f"/v1/notifications/{first['id']}/acknowledge", {"note": "Mine."})
    desk.ask("PATCH", f"/v1/notifications/{second['id']}/read")


def opened(page: Page, count: int = 4) -> Page:
    """The page once its list is there."""
    expect(page.get_by_role("article")).to_have_count(count)
    return page


def test_the_token_leaves_the_address_and_stays_in_the_tab(desk: Desk, tab: Tabs) -> None:
    desk.notify("mine")
    page = opened(tab(), 1)
    assert page.url == desk.api.url + "/inbox"

    page.reload()
    opened(page, 1)
    assert page.evaluate("localStorage.length") == 0
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_label("Token")).to_be_focused()
    page.reload()
    expect(page.get_by_role("article")).to_have_count(0)
    expect(page.get_by_label("Token")).to_be_visible()


def test_without_a_token_the_page_says_what_to_do_and_takes_one(desk: Desk, tab: Tabs) -> None:
    desk.notify("mine")
    page = tab("/inbox")
    expect(page.get_by_text(".venv/bin/bellwire token --tenant demo --user ada")).to_be_visible()

    page.get_by_label("Token").fill(f" Bearer {desk.token()}\n")
    page.keyboard.press("Enter")
    opened(page, 1)


def test_a_token_that_is_not_accepted_is_asked_for_again(desk: Desk, tab: Tabs) -> None:
    page = tab("/inbox#token=not.a.token")

    expect(page.get_by_role("alert")).to_contain_text("not accepted")
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_token_that_ran_out_is_asked_for_once_more(desk: Desk, tab: Tabs) -> None:
    desk.notify("mine")
    page = tab("/inbox")
    page.evaluate(
        """token => {
            const inbox = document.querySelector('bellwire-inbox');
            inbox.hidden = false;
            inbox.getToken = ({ refused }) => refused ? token : 'old';
        }""",
        desk.token(),
    )
    opened(page, 1)


def test_the_title_of_the_page_counts_along(desk: Desk, tab: Tabs) -> None:
    page = tab()
    expect(page).to_have_title("Inbox")
    desk.notify("one")
    expect(page).to_have_title("(1) Inbox")


def test_what_arrives_is_announced_politely(desk: Desk, tab: Tabs) -> None:
    page = tab()
    expect(page.locator("bellwire-inbox .state")).to_have_text("Live")
    desk.notify("Renew the contract", severity="critical")

    said = page.locator("bellwire-inbox [aria-live=polite]")
    expect(said).to_have_text("New notification, Critical: Renew the contract")


def test_everything_has_a_name_and_a_role(desk: Desk, tab: Tabs) -> None:
    varied(desk)
    page = opened(tab())
    expect(page.get_by_role("region", name="Notifications")).to_be_visible()
    expect(page.get_by_role("feed", name="Notifications")).to_be_visible()
    expect(page.get_by_role("article", name="Unread High")).to_have_count(0)
    expect(page.get_by_role("article", name="Unread Medium")).to_have_count(1)
    assert page.evaluate(UNNAMED) == []

    page.get_by_role("button", name="Preferences").click()
    expect(page.get_by_role("group", name="Billing")).to_be_visible()
    assert page.evaluate(UNNAMED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_light_and_dark(desk: Desk, tab: Tabs, scheme: str) -> None:
    varied(desk)
    page = opened(tab(color_scheme=scheme))
    assert page.evaluate(CONTRAST) >= 4.5

    page.get_by_role("button", name="Preferences").click()
    expect(page.get_by_role("group", name="Billing")).to_be_visible()
    assert page.evaluate(CONTRAST) >= 4.5


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_nothing_overflows_a_screen_of_320_pixels(desk: Desk, tab: Tabs, direction: str) -> None:
    varied(desk)
    page = opened(tab(viewport={"width": 320, "height": 640}))
    page.evaluate("direction => document.documentElement.dir = direction", direction)
    assert page.evaluate(WIDEST) <= 320

    page.get_by_role("button", name="Acknowledge").first.click()
    assert page.evaluate(WIDEST) <= 320
    page.get_by_role("button", name="Preferences").click()
    expect(page.get_by_role("group", name="Billing")).to_be_visible()
    assert page.evaluate(WIDEST) <= 320


@pytest.mark.parametrize(("motion", "moves"), [("reduce", "none"), ("no-preference", "fresh")])
def test_nothing_moves_for_whoever_wants_no_motion(desk: Desk, tab: Tabs, motion: str, moves: str) -> None:
    page = tab(reduced_motion=motion)
    desk.notify("one")
    badge = page.locator("bellwire-inbox .top .badge")
    expect(badge).to_have_text("1")

    assert badge.evaluate("one => getComputedStyle(one).animationName") == moves


@pytest.mark.parametrize("answer", ["null", "{}", "not json", '{"notifications": 5}'])
def test_an_answer_of_something_else_between_breaks_nothing(desk: Desk, tab: Tabs, answer: str) -> None:
    page = tab(before=lambda page: page.route("**/v1/notifications?*", lambda route: route.fulfill(body=answer)))
    state = page.locator("bellwire-inbox .state")
    expect(state).to_have_text("No connection. Trying again…")

    page.unroute("**/v1/notifications?*")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_text("You have no notifications.")).to_be_visible()
    desk.notify("one")
    opened(page, 1)
