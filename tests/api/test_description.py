"""The description is complete, and its page needs nothing from elsewhere."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import httpx
import pytest

from tests.support.api import Api

NAMES = {"{name}": "an-example", "{type}": "an.example", "{event}": "ssl_failure", "{channel}": "email"}


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


def answer_to_whoever_may(api: Api, method: str, address: str, body: Any) -> httpx.Response:
    """The answer to an admin's key or, where it takes a user's token, to that."""
    for make in (api.client, partial(api.user, "ana")):
        with make() as client:
            answer = client.request(method, address, json=body)
        if answer.status_code != 403:
            break
    return answer


def test_every_example_is_taken(api: Api, description: Any) -> None:
    for method, path, one in operations(description):
        examples = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
        for example in examples.values():
            named = re.sub("|".join(NAMES), lambda found: NAMES[found[0]], path)
            address = re.sub(r"{\w+_id}", "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01", named)
            answer = answer_to_whoever_may(api, method, address, example["value"])
            assert answer.is_success or answer.status_code == 404, (method, path, answer.text)


def test_only_health_and_what_is_public_anyway_needs_no_identity(description: Any) -> None:
    assert description["security"]
    free = {path for _, path, one in operations(description) if one.get("security") == []}
    assert free == {"/health/live", "/health/ready", "/metrics", "/v1/push/vapid-key"}


def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    with api.client(None) as client:
        page = client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(?:src|href)=\"(?!/openapi\.json|data:)", page.text)
    assert not re.search(r"https?://", page.text)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def shape(value: Any) -> Any:
    """The names in a document, however deep; a list has the shape of its first entry."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def example_of(description: Any, method: str, path: str, status: str = "200") -> Any:
    """The example of an answer."""
    return description["paths"][path][method]["responses"][status]["content"]["application/json"]["example"]


def test_every_call_has_a_summary_of_its_own(description: Any) -> None:
    summaries = [one["summary"] for _, _, one in operations(description)]
    assert len(set(summaries)) == len(summaries)
    assert not any(re.search(r"\([A-Z]-\d+\)", str(one)) for one in operations(description))


def test_examples_of_settings_look_like_real_answers(api: Api, description: Any) -> None:
    user = {
        "email": "u@example.org",
        "roles": ["operations"],
        "disabled_channels": ["sms"],
        "quiet_hours": {"from": "22:00", "to": "07:00"},
    }
    hook = {"url": "https://your-host.example.com/", "events": ["x"], "headers": {"X-Team": "ops"}}
    with api.client() as client:
        for body, path in ((user | {"digest": {"cron": "0 8 * * *"}}, "users/{user_id}"), (hook, "webhooks/{name}")):
            real = client.put(f"/v1/{path.split('/')[0]}/shape", json=body).json()
            assert shape(example_of(description, "put", f"/v1/{path}")) == shape(real)
        secret = client.post("/v1/webhooks/shape/rotate").json()
    assert shape(example_of(description, "post", "/v1/webhooks/{name}/rotate")) == shape(secret)


def test_examples_of_what_users_set_look_like_real_answers(api: Api, description: Any) -> None:
    said = {"group": "order", "event": "order.created", "channels": {"email": False}}
    with api.user("ida") as ida:
        me = ida.patch(
            "/v1/users/me", json={"quiet_hours": {"from": "22:00", "to": "07:00"}, "digest": {"cron": "0 8 * * *"}}
        )
        preferences = ida.put("/v1/notifications/preferences", json={"preferences": [said]}).json()["preferences"]
    for method in ("get", "patch"):
        example = example_of(description, method, "/v1/users/me")
        assert shape({**example, "disabled_channels": []}) == shape(me.json())
    of_group, of_event = (
        next(one for one in preferences if (one["group"], one["event"]) == key)
        for key in (("identity", None), ("order", "order.created"))
    )
    for method in ("get", "put"):
        shown = example_of(description, method, "/v1/notifications/preferences")["preferences"]
        assert [shape(one) for one in shown] == [shape(of_group), shape(of_event)]


def test_examples_of_an_inbox_look_like_real_answers(api: Api, description: Any) -> None:
    with api.client() as client:
        assert client.put("/v1/users/iris", json={}).is_success
    api.route({"type": "task.made", "recipients": ["iris"], "data": {"of": "iris"}})
    path = "/v1/notifications"
    with api.user("iris") as iris:
        page = iris.get(path).json()
        one = f"{path}/{page['notifications'][0]['id']}"
        real = {("get", "{}"): iris.get(one).json(), ("patch", "{}/read"): iris.patch(f"{one}/read").json()}
        everything = iris.post(f"{path}/read-all").json()
    assert shape(page) == shape(example_of(description, "get", path))
    for (method, end), answer in real.items():
        assert shape(answer) == shape(example_of(description, method, f"{path}/{end.format('{notification_id}')}"))
    assert shape(everything) == shape(example_of(description, "post", f"{path}/read-all"))


def test_examples_of_events_look_like_real_answers(api: Api, description: Any) -> None:
    with api.client() as client:
        client.put("/v1/users/ana", json={"email": "ana@example.org", "roles": ["operations"]})
        body = {"type": "ssl_expiry", "data": {"host": "shop.example.org", "days_left": 7}}
        accepted = client.post("/v1/events", json=body).json()
        (event,) = api.route({**body, "type": "ssl_failure"})
        ledger = client.get(f"/v1/events/{event}").json()
        cancelled = client.post(f"/v1/events/{event}/cancel").json()
        delivery = client.get("/v1/deliveries").json()["deliveries"][0]
        listed = client.get("/v1/events").json()
    shown = example_of(description, "get", "/v1/events/{event_id}")
    for one in (shown["notifications"][0]["deliveries"][0], ledger["notifications"][0]["deliveries"][0], delivery):
        one["attempts"] = one["receipts"] = None  # nobody has tried to send it, so no provider says anything of it
    assert shape(accepted) == shape(example_of(description, "post", "/v1/events", "202"))
    assert shape({**ledger, "skipped": []}) == shape(shown)
    assert shape(cancelled) == shape(example_of(description, "post", "/v1/events/{event_id}/cancel"))
    assert shape(delivery) == shape(shown["notifications"][0]["deliveries"][0])
    assert shape(listed["events"][:1]) == shape(example_of(description, "get", "/v1/events")["events"])
