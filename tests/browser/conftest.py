"""A running installation and a real browser. Each test has a tenant of its own, and tabs that belong to nobody else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import jwt
import pytest
import requests

from config.settings import Settings
from tests.support.installation import Api, Installation
from tests.support.servers import Servers
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
MILLISECONDS = 30_000  # for what a page is waited for

_numbers = count(1)


@dataclass
class Desk:
    """A tenant with one person, whose inbox is looked at."""

    site: Installation
    api: Api
    tenant: str
    user: str = "ada"

    def token(self, user: str | None = None) -> str:
        """A user's token for an hour."""
        claims = {
            "sub": user or self.user,
            "tenant": self.tenant,
            "customers": [],
            "aud": Settings.model_fields["jwt_audience"].default,
            "exp": int(time()) + 3600,
        }
        return jwt.encode(claims, self.site.environment["BELLWIRE_JWT_SECRET"], "HS256")

    def notify(self, *titles: str, type_: str = "task.assigned", **event: Any) -> None:
        """Tell the person of something; it is in the inbox when this returns."""
        before = self.inbox()["total"]
        data = event.pop("data", {})
        self.site.publish(
            [
                {"type": type_, "tenant": self.tenant, "fingerprint": title, **event, "data": {"title": title, **data}}
                for title in titles
            ]
        )
        wait_until(lambda: self.inbox()["total"] >= before + len(titles), lambda: self.site.standing(), 20)

    def inbox(self) -> dict[str, Any]:
        """The inbox as the API answers it."""
        answer = self.ask("GET", "/v1/notifications")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """One request with the person's token."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return requests.request(method, self.api.url + path, json=body, headers=headers, timeout=10)


@pytest.fixture(scope="session")
def site() -> Iterator[Installation]:
    """A worker; the workers sweep by themselves."""
    with Servers() as servers, servers.install() as running:
        running.start_worker()
        yield running


@pytest.fixture(scope="session")
def api(site: Installation) -> Api:
    """The API that the pages come from."""
    return site.start_api()


@pytest.fixture
def desk(site: Installation, api: Api) -> Desk:
    """A tenant that no other test has; every event is told to its one user, in the inbox only."""
    tenant = f"tenant{next(_numbers)}"
    site.set_up(tenant, users={"ada": {}}, routes={"all": everything("ada")})
    return Desk(site, api, tenant)


def everything(user: str) -> dict[str, Any]:
    """A route for every event to one user's inbox."""
    return {"match": {"event": "*"}, "recipients": {"resolver": "user", "users": [user]}, "channels": ["in_app"]}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; Playwright downloads none."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(MILLISECONDS)
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "no Chromium is installed; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=list(OPTIONS))
        yield running
        running.close()


Tabs = Callable[..., "Page"]


@pytest.fixture
def tab(browser: Browser, desk: Desk) -> Iterator[Tabs]:
    """Opens the inbox page in a tab of its own. What goes wrong in a script, or the policy stops, fails the test."""
    contexts = []
    troubles: list[str] = []

    def open_tab(path: str | None = None, before: Callable[[Page], None] | None = None, **options: Any) -> Page:
        context = browser.new_context(locale="en-GB", **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(MILLISECONDS)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: "Content Security Policy" in said.text and troubles.append(said.text))
        if before:
            before(page)
        page.goto(urljoin(desk.api.url, path or f"/inbox#token={desk.token()}"))
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert not troubles
