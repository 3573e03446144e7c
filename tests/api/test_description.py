"""The description is complete, and its page needs nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.api import Api


@pytest.fixture(scope="module")
def description(api: Api) -> Any:
    """The OpenAPI document."""
    with api.client(None) as client:
        return client.get("/openapi.json").json()


def operations(description: Any) -> list[tuple[str, str, Any]]:
    """Method, path and operation of every call."""
    return [(method, path, one) for path, methods in description["paths"].items() for method, one in methods.items()]


def test_every_call_says_what_it_does_and_how_it_fails(description: Any) -> None:
    for method, path, one in operations(description):
        assert one.get("description"), (method, path)
        assert "422" not in one["responses"], (method, path)
        assert one["responses"]["default"]["content"].keys() == {"application/problem+json"}


def test_every_reference_leads_somewhere(description: Any) -> None:
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", str(description))):
        found = description
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_an_event_is_described_with_every_field_and_examples_that_are_taken(api: Api, description: Any) -> None:
    body = description["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    assert {"type", "severity", "recipients", "data", "attachments"} <= description["components"]["schemas"]["EventIn"][
        "properties"
    ].keys()
    with api.client("publisher") as client:
        for example in body["examples"].values():
            assert client.post("/v1/events", json=example["value"]).status_code == 202


def test_every_example_is_taken(api: Api, description: Any) -> None:
    for method, path, one in operations(description):
        examples = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
        for example in examples.values():
            address = re.sub(r"{\w+_id}", "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01", path.replace("{name}", "an-example"))
            with api.client() as client:
                answer = client.request(method, address, json=example["value"])
            assert answer.is_success or answer.status_code == 404, (method, path, answer.text)


def test_only_health_needs_no_identity(description: Any) -> None:
    assert description["security"]
    free = {path for _, path, one in operations(description) if one.get("security") == []}
    assert free == {"/health/live", "/health/ready", "/metrics"}


def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    with api.client(None) as client:
        page = client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(?:src|href)=\"(?!/openapi\.json|data:)", page.text)
    assert not re.search(r"https?://", page.text)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
