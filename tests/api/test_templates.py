"""Tenants' own templates over HTTP: saved, tried, sent for a look, published, rolled back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api

PATH = "/v1/templates/ssl_failure/email"
WORDS = {"subject": "Look at {{ data.host }}", "html": "<p>{{ data.error }}</p>"}
SAMPLE_HOST = "status.example.com"


def saved(client: httpx.Client, path: str = PATH, **parts: Any) -> dict[str, Any]:
    answer = client.put(path, json={**WORDS, **parts})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.mission("A-19")
def test_versions_are_saved_published_and_rolled_back(api: Api) -> None:
    with api.client(tenant="versions") as client:
        assert client.get(PATH).json()["own"] is False
        assert "{% extends" in client.get(PATH).json()["body"]["html"]
        drafts = [saved(client, subject=f"{number}: {{{{ data.host }}}}") for number in (1, 2, 3)]
        assert [(draft["version"], draft["state"]) for draft in drafts] == [(1, "draft"), (2, "draft"), (3, "draft")]
        assert client.get(PATH).json()["own"] is False
        for number in (1, 3):
            assert client.post(f"{PATH}/publish", json={"version": number}).json()["published"] == number
        shown = client.get(PATH).json()
        assert shown["body"]["subject"] == "3: {{ data.host }}"
        assert [one["state"] for one in shown["versions"]] == ["published", "draft", "earlier"]
        assert client.post(f"{PATH}/rollback").json()["published"] == 1
        assert client.post(f"{PATH}/rollback").json()["own"] is False
        assert is_problem(client.post(f"{PATH}/rollback"), 404)
        assert client.get(f"{PATH}/versions/2").json()["body"]["subject"] == "2: {{ data.host }}"
        assert is_problem(client.get(f"{PATH}/versions/4"), 404)
        assert is_problem(client.post(f"{PATH}/publish", json={"version": 4}), 404)
        assert client.post(f"{PATH}/publish").json()["published"] == 3
        assert client.delete(PATH).status_code == 204
        assert is_problem(client.delete(PATH), 404)
    actions = api.rows("SELECT action FROM audit WHERE tenant = 'versions' AND action LIKE 'template.%%' ORDER BY id")
    assert [action.removeprefix("template.") for (action,) in actions] == [
        *("draft", "draft", "draft", "publish", "publish", "roll_back", "roll_back", "publish", "delete")
    ]


@pytest.mark.mission("A-20")
def test_whatever_changes_what_is_in_force_raises_the_tenants_version(api: Api) -> None:
    def version() -> int:
        return int(api.rows("SELECT version FROM tenants WHERE id = 'raised'")[0][0])

    with api.client(tenant="raised") as client:
        saved(client)
        before = version()
        saved(client)
        assert version() == before, "a draft is in force nowhere"
        for number, call in enumerate(
            (("POST", "/publish"), ("POST", "/rollback"), ("POST", "/publish"), ("DELETE", ""))
        ):
            assert client.request(call[0], PATH + call[1]).is_success
            assert version() == before + number + 1


def test_a_locale_has_versions_of_its_own(api: Api) -> None:
    with api.client(tenant="locales") as client:
        saved(client)
        german = saved(client, f"{PATH}?locale=de_at", subject="Sieh nach")
        assert (german["locale"], german["version"]) == ("de-AT", 1)
        assert client.post(f"{PATH}/publish", params={"locale": "de-AT"}).json()["published"] == 1
        assert client.get(PATH).json()["own"] is False
        listed = client.get("/v1/templates", params={"limit": 1}).json()
        assert [(one["locale"], one["published"]) for one in listed["templates"]] == [(None, None)]
        rest = client.get("/v1/templates", params={"cursor": listed["next_cursor"]}).json()["templates"]
        assert [(one["locale"], one["published"]) for one in rest] == [("de-AT", 1)]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PATH, {"subject": "x"}, "html"),
        (PATH, {"html": 7}, "html"),
        (PATH, {"html": "x" * 200_001}, "html"),
        (PATH, {**WORDS, "subject": "a\x07b"}, "subject"),
        (PATH, {**WORDS, "title": "x"}, "title"),
        (PATH, {**WORDS, "fallback": "yes"}, "fallback"),
        (PATH, {"html": "{{ data.host\n}}{% if %}"}, "html"),
        (PATH, {**WORDS, "subject": "{{ hots }}"}, "subject"),
        (f"{PATH}?locale=klingon", WORDS, "locale"),
        ("/v1/templates/ssl_failure/webhook", {"text": "x"}, "channel"),
        ("/v1/templates/ssl_failure/pigeon", {"text": "x"}, "channel"),
        ("/v1/templates/a*b/email", WORDS, "event"),
        ("/v1/templates/ssl_failure/sms", {"title": "x"}, "text"),
    ],
)
def test_what_cannot_be_used_is_named(api: Api, path: str, body: Any, field: str) -> None:
    with api.client() as client:
        answer = client.put(path, json=body)
    assert is_problem(answer, 413 if "at most" in answer.text else 400)
    assert answer.json()["field"] == field


def test_a_flaw_is_named_with_its_line_and_nothing_is_saved(api: Api) -> None:
    with api.client(tenant="flawed") as client:
        answer = client.put(PATH, json={"html": "<p>\n{{ nobody }}</p>"})
        assert is_problem(answer, 400, "bellwire.invalid_input")
        assert answer.json()["detail"].startswith("html: line 2: names nobody, which is not known; there are ")
        assert client.get(PATH).json()["versions"] == []


def test_a_field_that_no_sample_has_is_a_warning(api: Api) -> None:
    with api.client() as client:
        draft = saved(client, html="<p>{{ data.hots }}</p>")
    assert draft["warnings"] == [{"part": "html", "line": 1, "reason": "names data.hots, which no sample has"}]


@pytest.mark.parametrize(
    "path", ["ssl_expiry/email", "digest/email", "obligation_due/push", "conversation.message_posted/in_app"]
)
def test_what_is_shown_of_a_shipped_template_can_be_put_back(api: Api, path: str) -> None:
    with api.client(tenant="back") as client:
        shown = client.get(f"/v1/templates/{path}").json()
        answer = client.put(f"/v1/templates/{path}", json={**shown["body"], "fallback": shown["fallback"]})
    assert answer.status_code == 200, answer.text


@pytest.mark.mission("A-17")
def test_a_preview_says_what_a_message_would(api: Api) -> None:
    with api.client("operator", tenant="previews") as client:
        asked = {**WORDS, "data": {"host": "a.example.org", "error": "<late>"}, "locales": ["en", "de"]}
        previews = client.post(f"{PATH}/preview", json=asked).json()["previews"]
        assert [one["locale"] for one in previews] == ["en", "de"]
        assert previews[0]["title"] == "Look at a.example.org"
        assert previews[0]["html"] == "<p>&lt;late&gt;</p>"
        assert previews[0]["text"] == "<late>"
        of_sample = client.post(f"{PATH}/preview", json=WORDS).json()["previews"][0]
        assert of_sample["title"] != "Look at "
        shipped = client.post(f"{PATH}/preview").json()["previews"][0]
        assert shipped["html"].startswith("<!doctype html>")
        assert client.get("/v1/templates").json()["templates"] == []


@pytest.mark.parametrize(("own", "title"), [({}, "Own a & b"), ({"subject": None}, "The SSL check of a & b failed")])
def test_a_preview_knows_its_title_as_a_message_does(api: Api, own: dict[str, Any], title: str) -> None:
    words = {"subject": "Own {{ data.host }}", "html": "<h1>{{ title }}</h1>{{ headline }}", **own}
    with api.client("operator", tenant="titles") as client:
        answer = client.post(f"{PATH}/preview", json={**words, "data": {"host": "a & b"}})
        shown = answer.json()["previews"][0]
    assert shown["title"] == title
    assert shown["html"] == f"<h1>{title.replace('&', '&amp;')}</h1>{title.replace('&', '&amp;')}"


def test_a_preview_of_what_is_in_force_says_in_each_language_what_a_message_would(api: Api) -> None:
    with api.client(tenant="tongues") as client:
        for locale in ("de", "fr"):
            path = f"{PATH}?locale={locale}"
            saved(client, path, subject=f"{locale}: {{{{ language }}}}")
            client.post(f"{PATH}/publish?locale={locale}")
        asked = {"locales": ["de", "de-AT", "fr", "en"]}
        titles = [one["title"] for one in client.post(f"{PATH}/preview", json=asked).json()["previews"]]
    assert titles[:3] == ["de: de", "de: de-AT", "fr: fr"]
    assert titles[3].startswith("The SSL check of")


@pytest.mark.mission("A-17")
def test_a_preview_of_an_event_that_has_happened(api: Api) -> None:
    with api.client(tenant="real") as client, api.client(tenant="strange") as other:
        (event,) = api.route({"type": "ssl_failure", "data": {"host": "real.example.org"}}, tenant="real")
        asked = {**WORDS, "event_id": event}
        assert client.post(f"{PATH}/preview", json=asked).json()["previews"][0]["title"] == "Look at real.example.org"
        assert is_problem(other.post(f"{PATH}/preview", json=asked), 404)
        assert is_problem(client.post("/v1/templates/ssl_expiry/email/preview", json=asked), 404)
        assert is_problem(client.post(f"{PATH}/preview", json={**WORDS, "event_id": "x"}), 400)
        assert is_problem(client.post(f"{PATH}/preview", json={**asked, "data": {}}), 400)


def test_a_preview_shows_no_secret_of_an_event(api: Api) -> None:
    path = "/v1/templates/provisioning.completed/email"
    with api.client() as client:
        said = {"type": "provisioning.completed", "data": {"service": "s", "password": "hunter2"}}
        event = client.post("/v1/events", json=said).json()["id"]
        answer = client.post(f"{path}/preview", json={"html": "{{ data.password }}", "event_id": event})
    assert answer.status_code == 200
    assert "hunter2" not in answer.text


@pytest.mark.mission("A-18")
def test_a_test_is_a_delivery_of_that_version_and_of_nothing_else(api: Api) -> None:
    with api.client(tenant="tests") as client:
        client.put("/v1/users/ana", json={"email": "ana@example.org", "disabled_channels": ["email"]})
        saved(client)
        draft = saved(client)
        sent = client.post(f"{PATH}/test", json={"to": {"user": "ana"}, "version": 2})
        assert sent.status_code == 202, sent.text
        ledger = client.get(f"/v1/events/{sent.json()['event_id']}").json()
        (delivery,) = ledger["notifications"][0]["deliveries"]
        assert (delivery["id"], delivery["channel"]) == (sent.json()["deliveries"][0], "email")
    stored = api.rows("SELECT template_version::text, address FROM deliveries WHERE id = %s", delivery["id"])
    assert stored == [(draft["id"], "ana@example.org")]
    noted = api.rows("SELECT subject, after FROM audit WHERE action = 'template.test' AND tenant = 'tests'")
    assert noted[0][0] == "ssl_failure/email"
    assert noted[0][1]["to"] == "ana"


@pytest.mark.parametrize(
    ("path", "to", "field"),
    [
        (PATH, {"user": "nobody"}, "to.user"),
        (PATH, {}, "to.email"),
        (PATH, {"email": "nobody"}, "to.email"),
        (PATH, {"phone": "+4930123456"}, "to.phone"),
        (PATH, "ana", "to"),
        ("/v1/templates/ssl_failure/in_app", {"user": "ana"}, "channel"),
        ("/v1/templates/ssl_failure/push", {"email": "a@example.org"}, "to.email"),
    ],
)
def test_a_test_to_nobody_is_refused(api: Api, path: str, to: Any, field: str) -> None:
    with api.client() as client:
        client.put("/v1/users/ana", json={})
        answer = client.post(f"{path}/test", json={"to": to})
    assert is_problem(answer, 400)
    assert answer.json()["field"] == field


def test_another_tenants_templates_are_not_seen(api: Api) -> None:
    with api.client(tenant="mine") as mine, api.client(tenant="theirs") as theirs:
        saved(mine)
        assert mine.post(f"{PATH}/publish").is_success
        assert theirs.get(PATH).json()["own"] is False
        assert is_problem(theirs.post(f"{PATH}/publish"), 404)
        assert is_problem(theirs.get(f"{PATH}/versions/1"), 404)
        assert is_problem(theirs.delete(PATH), 404)
