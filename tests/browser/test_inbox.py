"""The inbox in a real browser: live in every tab, nothing missed, nothing executed, all of it by keyboard too."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Desk, Tabs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

STREAM = "**/v1/notifications/sse?*"
HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=2</script>'

# A page of somebody else's, as strict as can be, with the component as a bell.
EMBEDDING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Somebody's page</title>
<body><button id="before">Before</button><bellwire-inbox></bellwire-inbox>
<script src="/static/bellwire-inbox.js"></script>"""
STRICT = "default-src 'none'; script-src 'self'; connect-src 'self'"


def badge(page: Page) -> Any:
    """The number of unread ones."""
    return page.locator("bellwire-inbox .top .badge")


def titles(page: Page) -> list[str]:
    """The titles in the list, from the top."""
    return page.locator("bellwire-inbox article h3").all_text_contents()


def live(page: Page) -> Page:
    """The page once its stream is open."""
    expect(page.locator("bellwire-inbox .state")).to_have_text("Live")
    return page


def embed(page: Page) -> None:
    """Let the address /embedding answer with the page of somebody else."""
    headers = {"Content-Type": "text/html", "Content-Security-Policy": STRICT}
    page.route("**/embedding", lambda route: route.fulfill(body=EMBEDDING, headers=headers))


def give_token(page: Page, desk: Desk) -> None:
    """What the platform's own script does."""
    page.evaluate("token => document.querySelector('bellwire-inbox').getToken = async () => token", desk.token())


@pytest.mark.mission("A-4", "A-31", "A-32")
def test_a_notification_appears_in_both_tabs_and_reading_it_in_one_takes_the_badge_off_both(
    desk: Desk, tab: Tabs
) -> None:
    one, other = live(tab()), live(tab())
    desk.notify("Renew the contract")
    for page in (one, other):
        expect(badge(page)).to_have_text("1")
        assert titles(page) == ["Renew the contract"]

    one.get_by_role("button", name="Mark read").click()

    for page in (one, other):
        expect(badge(page)).to_be_hidden()
        expect(page.get_by_role("button", name="Mark unread")).to_be_visible()


@pytest.mark.mission("B-15")
def test_who_took_an_issue_is_shown_at_once_to_the_others_who_have_it_open(desk: Desk, tab: Tabs) -> None:
    key = desk.site.set_up(desk.tenant, keys=["operator"])["keys"]["operator"]
    page = live(tab())
    desk.notify("The shop is down")
    expect(badge(page)).to_have_text("1")
    (known,) = desk.inbox()["notifications"]
    assert desk.api.post(f"/v1/notifications/{known['id']}/acknowledge", key, {"note": HOSTILE}).status_code == 200

    expect(page.locator("bellwire-inbox .taken q")).to_have_text(HOSTILE)
    expect(page.get_by_role("button", name="Acknowledge", exact=True)).to_be_hidden()
    expect(badge(page)).to_have_text("1")
    assert page.evaluate("window.ran") is None


@pytest.mark.mission("E-10")
def test_a_message_to_everyone_is_shown_until_it_is_put_away(desk: Desk, tab: Tabs) -> None:
    key = desk.site.set_up(desk.tenant, keys=["admin"])["keys"]["admin"]
    page = live(tab())
    assert desk.api.post("/v1/broadcasts", key, {"message": HOSTILE}).status_code == 200

    notice = page.locator("bellwire-inbox .notice")
    expect(notice).to_have_text(f"Message to everyone: {HOSTILE}")
    assert page.evaluate("window.ran") is None
    notice.get_by_role("button").click()
    expect(notice).to_be_hidden()


def test_what_was_published_while_the_server_was_away_is_shown_once_it_is_back(desk: Desk, tab: Tabs) -> None:
    own = Desk(desk.site, desk.site.start_api(), desk.tenant)
    page = live(tab(f"{own.api.url}/inbox#token={own.token()}"))
    own.notify("before")
    expect(badge(page)).to_have_text("1")

    own.api.process.end()
    expect(page.locator("bellwire-inbox .state")).not_to_have_text("Live")
    desk.notify("meanwhile 1", "meanwhile 2")
    own.api = desk.site.start_api(own.api.port)
    live(page)
    own.notify("after")

    expect(badge(page)).to_have_text("4")
    assert sorted(titles(page)) == ["after", "before", "meanwhile 1", "meanwhile 2"]
    own.api.process.end()


def test_no_markup_in_a_title_or_a_content_is_ever_executed(desk: Desk, tab: Tabs) -> None:
    page = live(tab())
    desk.notify(HOSTILE, data={"text": HOSTILE, "content": HOSTILE})
    expect(badge(page)).to_have_text("1")
    page.reload()
    expect(badge(live(page))).to_have_text("1")

    assert titles(page) == [HOSTILE]
    assert page.locator("bellwire-inbox article :is(img, script)").count() == 0
    assert page.evaluate("window.ran") is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://shop.example.org/orders/1", True),
        ("http://shop.example.org/", True),
        ("/orders/1", True),
        ("javascript:window.ran=1", False),
        ("JaVaScRiPt:window.ran=1", False),
        (" java\nscript:window.ran=1", False),
        ("data:text/html,<script>window.ran=1</script>", False),
        ("vbscript:x", False),
        ("https://", False),
        (5, False),
        (None, False),
    ],
)
def test_only_links_to_pages_are_links(desk: Desk, tab: Tabs, address: Any, shown: bool) -> None:
    hostile = {
        "id": "1",
        "title": "t",
        "link_url": address,
        "link_text": "<b>Go</b>",
        "severity": "constructor",
        "type": None,
    }
    answer = {"notifications": [hostile], "unread": 1, "total": 1, "next_cursor": None}
    page = tab(before=lambda page: page.route("**/v1/notifications?*", lambda route: route.fulfill(json=answer)))

    expect(page.locator("bellwire-inbox article")).to_have_count(1)
    links = page.get_by_role("link", name="<b>Go</b>", exact=True)
    assert links.count() == int(shown)


@pytest.mark.mission("C-10")
def test_by_keyboard_alone_one_opens_moves_reads_acknowledges_and_closes(desk: Desk, tab: Tabs) -> None:
    desk.notify("first")
    desk.notify("second")
    page = tab("/embedding", before=embed)
    give_token(page, desk)
    bell = page.get_by_role("button", name="Notifications, 2 unread")
    expect(bell).to_have_attribute("aria-expanded", "false")

    page.locator("#before").focus()
    page.keyboard.press("Tab")
    expect(bell).to_be_focused()
    page.keyboard.press("Enter")
    second, first = (page.get_by_role("article", name=name) for name in ("second", "first"))
    expect(second).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(first).to_be_focused()
    page.keyboard.press("r")
    expect(page.get_by_role("button", name="Notifications, 1 unread")).to_be_attached()
    page.keyboard.press("Home")
    expect(second).to_be_focused()
    page.keyboard.press("a")
    expect(page.get_by_label("Note")).to_be_focused()
    page.keyboard.type("I take it")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(second).to_contain_text("Acknowledged by ada")
    expect(second).to_contain_text("I take it")
    expect(second).to_be_focused()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Notifications", exact=False)).to_be_focused()
    assert [(one["title"], one["read"], one["ack_note"]) for one in desk.inbox()["notifications"]] == [
        ("second", True, "I take it"),
        ("first", True, None),
    ]


def test_escape_leaves_the_note_first_and_then_the_panel(desk: Desk, tab: Tabs) -> None:
    desk.notify("only")
    page = tab("/embedding", before=embed)
    give_token(page, desk)
    page.get_by_role("button", name="Notifications, 1 unread").click()
    page.keyboard.press("a")
    expect(page.get_by_label("Note")).to_be_focused()

    page.keyboard.press("Escape")
    expect(page.get_by_label("Note")).to_have_count(0)
    expect(page.get_by_role("article")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert desk.inbox()["notifications"][0]["ack_at"] is None


def test_tab_leads_to_one_notification_and_its_own_buttons_only(desk: Desk, tab: Tabs) -> None:
    desk.notify("first")
    desk.notify("second")
    page = live(tab())
    expect(page.get_by_role("article")).to_have_count(2)

    reachable = page.evaluate(
        """() => [...document.querySelector('bellwire-inbox').shadowRoot.querySelectorAll('article')].map(
            one => [one, ...one.querySelectorAll('a, button')].filter(part => part.tabIndex === 0).length)"""
    )
    assert reachable[0] > 1
    assert reachable[1] == 0


@pytest.mark.mission("A-28")
def test_a_switch_in_the_preferences_is_in_force_at_once_and_still_there_later(desk: Desk, tab: Tabs) -> None:
    page = live(tab())
    page.get_by_role("button", name="Preferences").click()
    switch = page.get_by_role("checkbox", name="Email: Billing", exact=True)
    expect(switch).to_be_checked()
    with page.expect_response("**/v1/notifications/preferences") as answered:
        switch.uncheck()
    assert answered.value.request.method == "PUT"
    assert answered.value.ok

    stored = desk.ask("GET", "/v1/notifications/preferences").json()["preferences"]
    (billing,) = [one for one in stored if one["group"] == "billing"]
    assert (billing["channels"]["email"], billing["channels"]["push"]) == (False, True)
    page.reload()
    page.get_by_role("button", name="Preferences").click()
    expect(switch).not_to_be_checked()


def test_a_single_event_follows_its_group_until_it_is_switched_itself(desk: Desk, tab: Tabs) -> None:
    desk.notify("one", type_="billing.payment-failed")
    page = live(tab())
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Preferences").click()
    group = page.get_by_role("checkbox", name="Email: Billing", exact=True)
    event = page.get_by_role("checkbox", name="Email: Billing, Billing payment failed")
    page.locator("bellwire-inbox summary").click()

    group.uncheck()
    expect(event).not_to_be_checked()
    event.check()
    expect(event).to_be_checked()
    expect(group).not_to_be_checked()


def test_a_switch_that_the_server_refuses_goes_back(desk: Desk, tab: Tabs) -> None:
    def refuse(route: Route) -> None:
        if route.request.method != "PUT":
            return route.continue_()
        return route.fulfill(status=500, json={"detail": "Nothing was changed."})

    page = live(tab(before=lambda page: page.route("**/v1/notifications/preferences", refuse)))
    page.get_by_role("button", name="Preferences").click()
    switch = page.get_by_role("checkbox", name="Email: Billing", exact=True)
    switch.click()

    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed.")
    expect(switch).to_be_checked()


@pytest.mark.mission("D-38", "D-39")
def test_without_streams_it_looks_by_itself_and_takes_the_stream_when_there_is_one_again(desk: Desk, tab: Tabs) -> None:
    page = tab(before=lambda page: page.route(STREAM, lambda route: route.abort()))
    page.evaluate("document.querySelector('bellwire-inbox').setAttribute('poll-seconds', '1')")
    expect(page.locator("bellwire-inbox .state")).to_have_text("No live updates. Checking every 1 s")
    desk.notify("seen without a stream")
    expect(badge(page)).to_have_text("1")
    assert titles(page) == ["seen without a stream"]

    page.unroute(STREAM)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    live(page)
    desk.notify("seen by the stream")
    expect(badge(page)).to_have_text("2")


def test_an_inbox_of_several_pages_is_loaded_as_far_as_one_wants(desk: Desk, tab: Tabs) -> None:
    desk.notify(*(f"number {n}" for n in range(30)))
    page = live(tab())
    expect(page.get_by_role("article")).to_have_count(25)
    expect(badge(page)).to_have_text("30")

    page.get_by_role("button", name="Load more").click()
    expect(page.get_by_role("article")).to_have_count(30)
    expect(page.get_by_role("article").nth(25)).to_be_focused()
    expect(page.get_by_role("button", name="Load more")).to_be_hidden()
    assert len(set(titles(page))) == 30

    desk.notify("one more")
    expect(page.get_by_role("article")).to_have_count(31)
    assert titles(page)[0] == "one more"


def test_filters_show_the_unread_and_one_group(desk: Desk, tab: Tabs) -> None:
    desk.notify("a task")
    desk.notify("an order", type_="order.created", data={"order_number": "4711"})
    page = live(tab())
    page.get_by_role("article", name="a task").get_by_role("button", name="Mark read").click()
    expect(badge(page)).to_have_text("1")

    page.get_by_role("button", name="Unread", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(1)
    assert titles(page) == ["Order 4711 received"]
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(2)
    page.get_by_label("Group").select_option("task")
    expect(page.get_by_role("article")).to_have_count(1)
    assert titles(page) == ["a task"]


def test_all_are_read_with_one_button(desk: Desk, tab: Tabs) -> None:
    desk.notify("one", "two", "three")
    page = live(tab())
    expect(badge(page)).to_have_text("3")
    page.get_by_role("button", name="Mark all read").click()

    expect(badge(page)).to_be_hidden()
    wait_until(lambda: desk.inbox()["unread"] == 0, lambda: str(desk.inbox()), 10)


def test_deleting_asks_once_and_leads_on_to_the_next(desk: Desk, tab: Tabs) -> None:
    desk.notify("keep")
    desk.notify("drop")
    page = live(tab())
    button = page.get_by_role("article", name="drop").get_by_role("button", name="Delete")
    button.click()
    assert desk.inbox()["total"] == 2
    page.get_by_role("button", name="Delete for good?").click()

    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.get_by_role("article", name="keep")).to_be_focused()
    assert [one["title"] for one in desk.inbox()["notifications"]] == ["keep"]


def test_what_another_tab_deleted_disappears(desk: Desk, tab: Tabs) -> None:
    desk.notify("one", "two")
    one, other = live(tab()), live(tab())
    expect(other.get_by_role("article")).to_have_count(2)
    first = one.get_by_role("article").first
    first.get_by_role("button", name="Delete").click()
    one.get_by_role("button", name="Delete for good?").click()

    expect(other.get_by_role("article")).to_have_count(1)
    expect(badge(other)).to_have_text("1")


def test_another_user_of_the_tenant_sees_nothing_of_it(desk: Desk, tab: Tabs) -> None:
    desk.notify("for ada")
    page = live(tab(f"/inbox#token={desk.token('bob')}"))

    expect(page.get_by_text("You have no notifications.")).to_be_visible()
