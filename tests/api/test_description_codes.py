"""The description says of every call what it takes, what it answers, and by which codes it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.codes import CODES, FURTHER
from tests.api.test_access import is_problem
from tests.support.api import Api

INBOX = "/v1/notifications"
ONE = f"{INBOX}/0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
WANTED = f"{INBOX}/preferences"


@pytest.fixture(scope="module")
def described(api: Api) -> dict[str, Any]:
    """The operations by address."""
    with api.client(None) as client:
        paths = client.get("/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}": one for path, methods in paths.items() for method, one in methods.items()}


def shown(content: dict[str, Any]) -> bool:
    """Whether there is an example, whatever it is written in."""
    return any("example" in one or one.get("examples") for one in content.values())


def codes(one: dict[str, Any]) -> dict[str, str]:
    """The codes of an operation, with the status that each comes with."""
    return {
        code: status
        for status, answer in one["responses"].items()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }


def test_every_call_shows_what_it_takes_and_what_it_answers(described: dict[str, Any]) -> None:
    for address, one in described.items():
        assert len(one["summary"].split()) > 1, address
        assert one["description"].strip()[-1] in ".)", address
        assert "requestBody" not in one or shown(one["requestBody"]["content"]), f"{address}: no example of a body"
        good = {status: answer for status, answer in one["responses"].items() if status.startswith("2")}
        assert good, address
        for status, answer in good.items():
            assert status == "204" or shown(answer["content"]), f"{address}: no example of the answer"


def test_every_call_names_the_codes_of_its_errors_and_what_they_mean(described: dict[str, Any]) -> None:
    for address, one in described.items():
        for code, status in codes(one).items():
            assert (int(status), f"`{code}`: " in one["responses"][status]["description"]) == (CODES[code][0], True)
            example = one["responses"][status]["content"]["application/problem+json"]["examples"][code]["value"]
            assert {"type", "title", "status", "detail", "code", "field"} == example.keys()
        needs = "security" not in one
        assert needs == ({"401", "503"} <= set(codes(one).values())), f"{address}: who is let in"


def test_no_code_is_described_that_belongs_nowhere(described: dict[str, Any]) -> None:
    assert not FURTHER.keys() - described.keys()
    assert not CODES.keys() - {code for one in described.values() for code in codes(one)}


@contextmanager
def broken(api: Api, table: str) -> Iterator[None]:
    """The database has lost a table for a while."""
    if not table:
        yield
        return
    api.rows(f"ALTER TABLE {table} RENAME TO lost")
    try:
        yield
    finally:
        api.rows(f"ALTER TABLE lost RENAME TO {table}")


def wanted(**entry: Any) -> dict[str, Any]:
    """A change of preferences."""
    return {"preferences": [{"group": "order", "channels": {"email": False}, **entry}]}


# The eleven: the call that answers it, what of the database is broken then, and the address that must describe it.
ELEVEN = [
    ("invalid_user_id", f"GET {INBOX}", None, "", "GET /v1/notifications"),
    ("invalid_id", f"GET {INBOX}/7", None, "", "GET /v1/notifications/{notification_id}"),
    ("not_found", f"DELETE {ONE}", None, "", "DELETE /v1/notifications/{notification_id}"),
    ("failed_to_mark_as_read", f"PATCH {ONE}/read", None, "notifications", "{}/{{notification_id}}/read"),
    ("failed_to_delete", f"DELETE {ONE}", None, "notifications", "{}/{{notification_id}}"),
    ("invalid_group", f"PUT {WANTED}", wanted(group="none such"), "", "PUT /v1/notifications/preferences"),
    ("invalid_channel", f"PUT {WANTED}", wanted(channels={"fax": True}), "", "{}/preferences"),
    ("invalid_event", f"PUT {WANTED}", wanted(event="none.such"), "", "{}/preferences"),
    ("failed_to_fetch_notifications", f"GET {INBOX}", None, "notifications", "{}"),
    ("failed_to_fetch_preferences", f"GET {WANTED}", None, "preferences", "{}/preferences"),
    ("failed_to_update_preferences", f"PUT {WANTED}", wanted(), "preferences", "{}/preferences"),
]


@pytest.mark.mission("D-19", "D-20", "D-21", "D-22", "D-23", "D-24", "D-25", "D-26", "D-27", "D-28", "D-29")
@pytest.mark.parametrize(
    ("code", "call", "body", "table", "address"), [pytest.param(*case, id=case[0]) for case in ELEVEN]
)
def test_each_of_the_eleven_codes_is_answered_as_it_is_described(
    api: Api, described: dict[str, Any], code: str, call: str, body: Any, table: str, address: str
) -> None:
    method, path = call.split()
    api.key("admin")  # makes the tenant
    by = api.client(None) if code == "invalid_user_id" else api.user(f"u-{uuid4().hex}")
    with by as client, broken(api, table):
        answer: httpx.Response = client.request(method, path, json=body)
    full = f"notifications_m.{code}"
    assert is_problem(answer, CODES[full][0], full)
    one = described[address if address.startswith(method) else f"{method} {address.format(INBOX)}"]
    assert codes(one)[full] == str(answer.status_code)
