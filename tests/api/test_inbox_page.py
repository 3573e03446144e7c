"""The inbox page and the component: what protects them, how they are cached, and what the small file is made of."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import requests

from tests.support.api import Api

STATIC = Path(__file__).parents[2] / "api" / "static"
COMPONENT = "/static/bellwire-inbox.js"


def test_the_bare_address_leads_to_the_inbox(api: Api) -> None:
    answer = requests.get(f"{api.url}/", allow_redirects=False, timeout=5)
    assert (answer.status_code, answer.headers["location"]) == (307, "/inbox")


def test_the_page_loads_nothing_of_others_and_is_shown_in_no_frame(api: Api) -> None:
    answer = requests.get(f"{api.url}/inbox", timeout=5)

    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_what_the_page_names_is_there_and_may_be_kept_for_ever(api: Api) -> None:
    page = requests.get(f"{api.url}/inbox", timeout=5).text
    addresses = [part.split('"')[0] for part in page.split('"/')[1:]]
    assert len(addresses) == 3

    for address in addresses:
        answer = requests.get(f"{api.url}/{address}", timeout=5)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("version", ["", "?v=", "?v=0123456789abcdef"])
def test_without_the_number_of_its_content_a_file_is_asked_for_again(api: Api, version: str) -> None:
    answer = requests.get(api.url + COMPONENT + version, timeout=5)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300, must-revalidate"
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("asked", "status"), [("{}", 304), ("W/{}", 304), ('"other", {}', 304), ("*", 304), ('"other"', 200), ("", 200)]
)
def test_whoever_has_a_file_gets_it_no_second_time(api: Api, asked: str, status: int) -> None:
    number = requests.get(api.url + COMPONENT, timeout=5).headers["etag"]
    answer = requests.get(api.url + COMPONENT, headers={"If-None-Match": asked.format(number)}, timeout=5)

    assert answer.status_code == status
    assert answer.headers["etag"] == number
    assert bool(answer.content) == (status == 200)


@pytest.mark.parametrize("name", ["", "nothing.js", "..%2Finbox_page.py", "%00", "bellwire-inbox.min.js", "a/b.js"])
def test_nothing_else_of_the_folder_or_beyond_is_served(api: Api, name: str) -> None:
    answer = requests.get(f"{api.url}/static/{name}", timeout=5)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_page_of_another_origin_may_load_the_component(api: Api) -> None:
    answer = requests.get(api.url + COMPONENT, headers={"Origin": "https://shop.example.org"}, timeout=5)

    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_the_component_stays_under_thirty_kilobytes() -> None:
    assert len(STATIC.joinpath("bellwire-inbox.min.js").read_bytes()) < 30_000


def test_the_small_file_was_made_of_the_source_as_it_is() -> None:
    number = sha256(STATIC.joinpath("bellwire-inbox.js").read_bytes()).hexdigest()[:16]

    first = STATIC.joinpath("bellwire-inbox.min.js").read_text(encoding="utf-8").splitlines()[0]
    assert number in first, "the source was changed: make inbox"
