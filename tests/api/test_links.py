"""The pages behind the links in messages, as mailbox providers, scanners and people call them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from time import time
from typing import Any

import httpx
import pytest

from config.settings import settings
from pipeline.links import acknowledge_url, unsubscribe_url
from tests.api.test_access import is_problem
from tests.api.test_hostile import raw
from tests.support.api import SECRET_KEY, Api
from tests.support.streams import Browser
from tests.support.waiting import wait_until

ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(autouse=True)
def same_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Links are made with the key that the API has."""
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", SECRET_KEY)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def anyone(api: Api) -> Iterator[httpx.Client]:
    """Somebody without a login; ana is a user who has said nothing yet."""
    with api.client() as admin:
        admin.put("/v1/users/ana", json={"email": "ana@example.org", "roles": ["operations"]})
    api.rows("DELETE FROM preferences")
    api.rows("DELETE FROM suppressions")
    with api.client(None) as client:
        yield client


def path(url: str) -> str:
    """The link without the address that the API is said to have."""
    return url.removeprefix(settings().public_url)


def unsubscribing(**changes: Any) -> str:
    given = {"tenant": "default", "user_id": "ana", "address": "x", "event": "ssl_expiry", "channel": "email"}
    return path(unsubscribe_url(**{**given, **changes}))


def told(api: Api, **changes: Any) -> str:
    """The acknowledge link of what ana was told of an issue of its own."""
    (event,) = api.route({"type": "ssl_failure", "data": {"host": f"h{time()}.example.org"}})
    ((notification,),) = api.rows("SELECT id::text FROM notifications WHERE event_id = %s AND user_id = 'ana'", event)
    return path(acknowledge_url(**{"tenant": "default", "notification_id": notification, **changes}))


def entries(api: Api) -> list[tuple[Any, ...]]:
    return api.rows("SELECT user_id, group_name, event, channels FROM preferences ORDER BY event NULLS FIRST")


@pytest.mark.mission("E-22", "E-46")
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (ONE_CLICK, FORM),
        (
            '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
            {"Content-Type": "multipart/form-data; boundary=b"},
        ),
        ("", {}),
        ("\xff\xfe\0", {"Content-Type": "image/png"}),
        ("&".join(f"a{n}=1" for n in range(50)), FORM),
        ("scope=%ED%A0%80&scope=&=", FORM),
    ],
    ids=["as-in-rfc-8058", "multipart", "empty", "binary", "many-fields", "odd-fields"],
)
def test_one_click_unsubscribes_without_a_login_whatever_the_body(
    api: Api, anyone: httpx.Client, body: str, headers: dict[str, str]
) -> None:
    answer = anyone.post(unsubscribing(), content=body.encode("latin-1"), headers=headers)
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text
    assert entries(api) == [("ana", "obligations", "ssl_expiry", {"email": False})]


def test_clicking_twice_is_as_good_as_once(api: Api, anyone: httpx.Client) -> None:
    for _ in range(2):
        assert anyone.post(unsubscribing(), content=ONE_CLICK, headers=FORM).status_code == 200
    assert len(entries(api)) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing_as_scanners_follow_every_link(api: Api, anyone: httpx.Client, method: str) -> None:
    link, before = told(api), api.rows("SELECT count(*) FROM audit")
    for target in (unsubscribing(), unsubscribing(user_id=None, address="ops@example.org"), link):
        answer = anyone.request(method, target)
        assert (answer.status_code, bool(answer.content)) == (200, method == "GET")
    assert (entries(api), api.rows("SELECT FROM suppressions")) == ([], [])
    assert api.rows("SELECT count(*) FROM audit") == before
    assert api.rows("SELECT count(*) FROM notifications WHERE ack_at IS NOT NULL") == [(0,)]


def test_the_page_says_who_would_get_no_more_of_what_and_its_forms_do_it(api: Api, anyone: httpx.Client) -> None:
    page = anyone.get(unsubscribing()).text
    assert "ana@example.org" not in page
    for words in ("a•••@example.org", "SSL expiry", "Obligations", "emails", "default"):
        assert words in page
    first, second = forms(page)
    done = anyone.post(unsubscribing(), data=first).text
    assert "SSL expiry" in done
    assert forms(done) == [second]
    assert "Obligations" in anyone.post(unsubscribing(), data=second).text
    switched = {"email": False}
    assert entries(api) == [("ana", "obligations", None, switched), ("ana", "obligations", "ssl_expiry", switched)]


def test_an_address_without_a_user_is_suppressed_at_once(api: Api, anyone: httpx.Client) -> None:
    answer = anyone.post(unsubscribing(user_id=None, address="Ops@Example.org"), content=ONE_CLICK, headers=FORM)
    assert answer.status_code == 200
    assert api.rows("SELECT address, event, reason, source FROM suppressions") == [
        ("ops@example.org", "ssl_expiry", "unsubscribed", "unsubscribe")
    ]


def test_whoever_was_erased_still_gets_a_good_answer(anyone: httpx.Client) -> None:
    for method in ("GET", "POST"):
        assert anyone.request(method, unsubscribing(user_id="gone")).status_code == 200


@pytest.mark.mission("B-14", "B-15")
def test_an_issue_is_acknowledged_from_its_page_with_a_note(api: Api, anyone: httpx.Client) -> None:
    link = told(api)
    page = anyone.get(link).text
    for words in ("The SSL check of", "Critical", "UTC", "for everyone"):
        assert words in page
    taken = anyone.post(link, data={"note": " I renew it.\r\n<b>Done</b> by noon. "}).text
    assert "You have acknowledged this." in taken
    assert "I renew it.\n&lt;b&gt;Done&lt;/b&gt; by noon." in taken
    again = anyone.post(link, data={"note": "no, mine"}).text
    assert "This is acknowledged already." in again
    assert "no, mine" not in again
    assert forms(again) == forms(anyone.get(link).text) == []
    (row,) = api.rows("SELECT actor, action, remote_address FROM audit ORDER BY id DESC LIMIT 1")
    assert row == ("acknowledge link", "issue.acknowledge", "127.0.0.1")


@pytest.mark.mission("A-32")
def test_who_takes_an_issue_by_its_link_has_read_it_in_every_tab(api: Api, anyone: httpx.Client) -> None:
    link = told(api)
    with Browser() as browser:
        tab = browser.sse(api.url, "ana")
        ((before,),) = [wait_until(lambda: tab.of("unread_count"), "the count")]
        anyone.post(link)
        wait_until(lambda: tab.of("unread_count")[1:] == [{"unread": before["unread"] - 1}], "one less")


@pytest.mark.parametrize(("body", "note"), [(b"", None), (b"note=", None), (b"note=+%0D%0A+", None), (b"note=x", "x")])
def test_a_note_may_be_left_out(api: Api, anyone: httpx.Client, body: bytes, note: str | None) -> None:
    assert anyone.post(told(api), content=body).status_code == 200
    assert api.rows("SELECT ack_note FROM notifications WHERE ack_at IS NOT NULL ORDER BY id DESC LIMIT 1") == [(note,)]


def test_the_longest_note_that_a_browser_lets_through_is_taken(api: Api, anyone: httpx.Client) -> None:
    assert anyone.post(told(api), data={"note": "x\r\n" * 1000}).status_code == 200
    assert is_problem(anyone.post(told(api), data={"note": "x" * 2001}), 400)


def test_a_link_that_has_expired_says_so(api: Api, anyone: httpx.Client) -> None:
    link = told(api, now=time() - 31 * 86400)
    for method in ("GET", "POST"):
        answer = anyone.request(method, link)
        assert answer.status_code == 410
        assert "has expired" in answer.text
    assert anyone.post(link).status_code == 410


def test_a_notification_that_was_deleted_cannot_be_acknowledged(api: Api, anyone: httpx.Client) -> None:
    link = told(api)
    api.rows("UPDATE notifications SET deleted_at = now()")
    for method in ("GET", "POST"):
        assert anyone.request(method, link).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("what", ["u", "a"])
def test_a_forged_a_cut_and_a_foreign_link_are_the_same_page(
    api: Api, anyone: httpx.Client, method: str, what: str
) -> None:
    own, other = (unsubscribing(), told(api)) if what == "u" else (told(api), unsubscribing())
    token = own.removeprefix(f"/{what}/")
    pages = set()
    for forged in (token[:-3], "x" + token, token.swapcase(), other.rpartition("/")[2], "x", "x" * 5000):
        answer = anyone.request(method, f"/{what}/{forged}", content=b"" if method == "POST" else None)
        assert answer.status_code == 404, forged
        pages.add(answer.text)
    assert len(pages) == 1
    assert entries(api) == []


@pytest.mark.parametrize(
    "value",
    [
        *(
            "%00",
            "%FF",
            "%ED%A0%80",
            "%C3%A9",
            "a%20b",
            "%0A",
            "%2e",
            "..%5c",
            "a.b.c",
            "%F0%9F%94%94",
            "-",
            "=",
            "%25",
        ),
        *("WyJhIl0.AAAA", "." * 200, "eJw.x", "x" * 60_000, "'", "<script>", "{{7*7}}"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
@pytest.mark.parametrize("what", [b"u", b"a"])
def test_nothing_in_a_token_makes_an_error_of_ours(api: Api, method: bytes, what: bytes, value: str) -> None:
    head = method + b" /" + what + b"/" + value.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    status, answer = raw(api, head + (b"Content-Length: 0\r\n\r\n" if method == b"POST" else b"\r\n"))
    assert 400 <= status < 500, answer
    assert b"<script>" not in answer


def test_a_body_that_is_no_click_is_cut_off(api: Api, anyone: httpx.Client) -> None:
    for link in (unsubscribing(), told(api)):
        assert is_problem(anyone.post(link, content=b"x" * (16 * 1024 + 1)), 413)
    assert entries(api) == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_for_links(anyone: httpx.Client, method: str) -> None:
    assert is_problem(anyone.request(method, unsubscribing()), 405)


def test_what_people_wrote_is_shown_as_text(api: Api, anyone: httpx.Client) -> None:
    odd = '<img src=x onerror="alert(1)">{{7*7}}\u202e'
    with api.client() as admin:
        admin.put("/v1/users/ana", json={"email": '"<i>"@example.org'})
    page = anyone.get(unsubscribing(event=f"x{odd}", tenant="default")).text
    (event,) = api.route({"type": "ssl_failure", "data": {"host": odd}})
    ((one,),) = api.rows("SELECT id::text FROM notifications WHERE event_id = %s", event)
    page += anyone.get(path(acknowledge_url(tenant="default", notification_id=one))).text
    assert not re.search(r"<(?:img|i|script)\b", page)
    assert "49" not in page.replace(SECRET_KEY, "")
    assert "\u202e" not in page


def pages(api: Api, anyone: httpx.Client) -> list[httpx.Response]:
    """Every page that there is."""
    link = told(api)
    return [
        anyone.get(unsubscribing()),
        anyone.post(unsubscribing()),
        anyone.get(link),
        anyone.post(link),
        anyone.get(link),
        anyone.get("/u/x"),
        anyone.get(told(api, now=1.0)),
    ]


def test_pages_are_kept_nowhere_framed_nowhere_and_load_nothing(api: Api, anyone: httpx.Client) -> None:
    for page in pages(api, anyone):
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-frame-options"] == "DENY"
        policy = page.headers["content-security-policy"]
        for rule in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert "set-cookie" not in page.headers
        assert not re.search(r"<script|https?://|style=|\son\w+=", page.text)


class Outline(HTMLParser):
    """What a page consists of, for those who cannot see it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser.tags


def forms(page: str) -> list[dict[str, str]]:
    """The hidden fields of each form."""
    found: list[dict[str, str]] = []
    for tag, attributes in outline(page):
        if tag == "form":
            assert attributes == {"method": "post"}  # to its own address, behind whatever prefix
            found.append({})
        elif tag == "input":
            found[-1][str(attributes["name"])] = str(attributes["value"])
    return found


def test_pages_can_be_read_by_everybody(api: Api, anyone: httpx.Client) -> None:
    for page in pages(api, anyone):
        tags = outline(page.text)
        names = [tag for tag, _ in tags]
        assert dict(tags)["html"] == {"lang": "en"}
        assert (names.count("h1"), names.count("main"), names.count("title")) == (1, 1, 1)
        labels = {attributes.get("for") for tag, attributes in tags if tag == "label"}
        assert {attributes["id"] for tag, attributes in tags if tag == "textarea"} <= labels
        viewport = next(attributes for _, attributes in tags if attributes.get("name") == "viewport")
        assert viewport["content"] == "width=device-width, initial-scale=1"
        assert "prefers-color-scheme: dark" in page.text
