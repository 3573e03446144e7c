"""Every address, asked by everybody, for what is theirs and for what is another's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_access import is_problem
from tests.support.access import CALLERS, NAMESAKE, NEEDS, OTHERS, Need, answers
from tests.support.api import client_of, running
from tests.support.planted import (
    OTHER_TENANT,
    OTHERS_CUSTOMER,
    OWN,
    PUSH,
    THERE,
    Planted,
    plant,
    stored,
)
from tests.support.streams import Browser, Tab
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("GET", "WS", "POST", "PATCH", "PUT", "DELETE")
CALLED = sorted(
    (one for one in NEEDS if NEEDS[one].who not in ("stream", "elsewhere")), key=lambda one: ORDER.index(one.split()[0])
)
OF_OTHERS = (*OTHERS, "another tenant's")
STREAMS = [one for one in NEEDS if NEEDS[one].who == "stream"]

MISSING = """
There is no entry for: {}
Add a line for each to NEEDS in tests/support/access.py that says who may call it. If its path names what is somebody's,
plant one of it for each of them in tests/support/planted.py and name it as `thing`; else give a `path` to call.
"""


@pytest.fixture(scope="module")
def planted(
    module_database_url: str, servers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planted]:
    """An API with the addresses for tests of clients, and two tenants full of things."""
    settings = {
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
        "BELLWIRE_ENABLE_TEST_ENDPOINTS": "true",
    }
    with running(module_database_url, tmp_path_factory.mktemp("api"), **settings) as api:
        yield plant(api)


@pytest.fixture(scope="module")
def callers(planted: Planted) -> Iterator[Mapping[str, httpx.Client]]:
    """A client for each of them."""
    made = {caller: client_of(planted.api.url, planted.headers[caller]) for caller in CALLERS}
    yield made
    for client in made.values():
        client.close()


@pytest.fixture(scope="module")
def described(callers: Mapping[str, httpx.Client]) -> Mapping[str, Any]:
    """The operations of the description, by address."""
    paths = callers["no identity"].get("/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}": one for path, methods in paths.items() for method, one in methods.items()}


def example_of(one: Mapping[str, Any]) -> Any:
    """The first example of the body that an operation takes."""
    content = one.get("requestBody", {}).get("content", {}).get("application/json", {})
    return next((example["value"] for example in content.get("examples", {}).values()), None)


def codes_of(one: Mapping[str, Any], status: int) -> Collection[str]:
    """The codes that an operation says it answers with that status."""
    answer = one["responses"].get(str(status), {})
    return answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).keys()


def listed() -> set[str]:
    """What the application answers to, by its own routes."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")},
        "BELLWIRE_ENV_FILE": os.devnull,
        "BELLWIRE_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    command = (sys.executable, "-m", "tests.support.addresses")
    return set(
        subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
    )


@pytest.mark.mission("D-34", "D-42")
def test_every_address_says_who_may_call_it() -> None:
    known = listed()
    missing = sorted(known - NEEDS.keys())
    assert not missing, MISSING.format(", ".join(missing))
    gone = sorted(NEEDS.keys() - known)
    assert not gone, f"The API has no such address; remove the line from NEEDS in tests/support/access.py: {gone}"


def test_every_entry_says_what_to_call() -> None:
    for address, need in NEEDS.items():
        if need.who == "elsewhere":
            assert (ROOT / need.path).is_file(), f"{address}: `path` must name the file with its tests"
        else:
            assert "{" not in address or need.thing or need.path, MISSING.format(address)


@pytest.mark.mission("D-34", "D-42")
@pytest.mark.parametrize("address", STREAMS)
def test_a_stream_shows_its_user_what_is_theirs_and_nothing_else(planted: Planted, address: str) -> None:
    method = address.split()[0]
    with Browser() as browser:
        for caller in CALLERS:
            headers = planted.headers[caller]
            if method == "WS":
                tab = browser.ws(planted.api.url, None, query="?since=0", headers=headers, opened=False).settled()
            else:
                tab = browser.sse(planted.api.url, None, query="?since=0", opened=False, **headers).settled()
            if answers(NEEDS[address], caller, "nobody's") == (401,):
                assert tab.await_end().code == (1008 if method == "WS" else 401), caller
                continue
            assert tab.is_open, (caller, tab.code)
            assert await_own(tab)
            assert not leaked(
                planted, caller if caller == "a user" else "a user", json.dumps([tab.notifications, tab.others])
            )
            browser.close(tab)


def await_own(tab: Tab) -> bool:
    """Wait for the user's own notification, which is the newest of all that could have come."""
    return wait_until(lambda: OWN in json.dumps(tab.notifications), "the user's own notification")


@pytest.mark.mission("D-34", "D-42")
@pytest.mark.parametrize("address", CALLED)
def test_everybody_gets_what_is_theirs_and_nothing_else(
    planted: Planted, callers: Mapping[str, httpx.Client], described: Mapping[str, Any], address: str
) -> None:
    method, path = address.split(" ", 1)
    need, operation = NEEDS[address], described.get(address, {})
    for caller in CALLERS:
        for owner, name in planted.of(need.thing, caller).items():
            if owner in (OF_OTHERS if method == "PUT" and need.thing else (NAMESAKE,)):
                continue  # by a name of one's own to give there is nothing of others to change
            target = need.path or re.sub(r"{\w+}", name, path)
            answer = callers[caller].request(method, target, json=example_of(operation))
            said = f"{address} by {caller}, {owner}: {answer.status_code} {answer.text[:300]}"
            expected = answers(need, caller, owner)
            assert answer.status_code in expected or answer.status_code // 100 in expected, f"{said}; not {expected}"
            assert not leaked(planted, caller, answer.text + str(answer.headers)), said
            if not answer.is_success and need.who != "anyone":
                assert is_told_why(need, answer), said
                assert answer.json()["code"] in codes_of(operation, answer.status_code), f"{said} is not described"


def leaked(planted: Planted, caller: str, said: str) -> list[str]:
    """The words of others in what was said."""
    return [word for word in planted.forbidden(caller) if word in said]


def is_told_why(need: Need, answer: httpx.Response) -> bool:
    """Whether a refusal says what is lacking, in the form and with the code that clients know."""
    code = answer.json()["code"]
    if answer.status_code == 401 and need.who != "proof":
        of_users = need.who.startswith("user")
        assert code == ("notifications_m.invalid_user_id" if of_users else "bellwire.unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    if answer.status_code == 403:
        assert code == "bellwire.role_too_low"
    return is_problem(answer, answer.status_code)


# Who asks, the call, what its query or body names of another's, and the answer.
NAMED: list[tuple[str, str, dict[str, Any], int]] = [
    ("a user", f"GET /v1/notifications?customer_id={OTHERS_CUSTOMER}", {}, 200),
    ("a user", "POST /v1/notifications/read-all", {"customer_id": OTHERS_CUSTOMER}, 200),
    (
        "a user",
        "PUT /v1/notifications/preferences",
        {"preferences": [{"group": "order", "customer_id": OTHERS_CUSTOMER, "channels": {}}]},
        404,
    ),
    ("a user", "DELETE /v1/users/me/push-tokens", {"platform": "ios", "token": PUSH["ben"]}, 404),
    ("admin", "DELETE /v1/suppressions", {"channel": "email", "address": f"{OTHER_TENANT}@example.org"}, 404),
    ("admin", f"GET /v1/events?type={OTHER_TENANT}.made", {}, 200),
    ("admin", f"GET /v1/deliveries?event={OTHER_TENANT}.made", {}, 200),
    ("admin", f"GET /v1/dead-letters?event={OTHER_TENANT}.made", {}, 200),
    ("admin", f"GET /v1/suppressions?address={OTHER_TENANT}@example.org", {}, 200),
    ("admin", f"GET /v1/audit?subject={OTHER_TENANT}", {}, 200),
]


@pytest.mark.mission("D-34", "D-42")
@pytest.mark.parametrize(("caller", "call", "body", "status"), NAMED)
def test_naming_what_is_anothers_opens_nothing(
    callers: Mapping[str, httpx.Client], caller: str, call: str, body: dict[str, Any], status: int
) -> None:
    answer = callers[caller].request(*call.split(" ", 1), json=body or None)
    assert answer.status_code == status, answer.text
    if status == 200:
        shown = [entries for entries in answer.json().values() if isinstance(entries, list)]
        assert not any(shown), answer.text
        assert answer.json().get("updated", 0) == 0


def test_dead_letters_of_another_tenant_are_not_replayed(planted: Planted, callers: Mapping[str, httpx.Client]) -> None:
    theirs = planted.of("delivery", "admin")["another tenant's"]
    answer = callers["admin"].post("/v1/dead-letters/replay", json={"ids": [theirs]})
    assert answer.json() == {"replayed": [], "left_out": [{"id": theirs, "reason": "not_a_dead_letter"}], "more": False}


@pytest.mark.mission("D-34")
def test_after_all_that_the_other_tenant_has_what_it_had(planted: Planted) -> None:
    assert stored(planted.api, THERE) == planted.before


SEEN = ("users", "routes", "event-types", "webhooks", "providers", "suppressions", "events", "deliveries", "audit")
SEEN += ("dead-letters",)


def test_the_words_that_are_searched_for_are_there_for_whom_they_belong_to(planted: Planted) -> None:
    with planted.api.client(tenant=THERE) as admin:
        assert not [place for place in SEEN if OTHER_TENANT not in admin.get(f"/v1/{place}").text]
