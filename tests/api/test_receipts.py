"""Receipts over HTTP: who is believed, what follows at once, and that nothing anybody sends is an error of ours."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI

from channels.receipts.amazon import Amazon
from channels.receipts.ses import SesReceiver
from config.settings import settings
from models.engine import engine
from pipeline.setup import ensure_tenant
from tests.api.test_access import is_problem
from tests.support.amazon import AmazonServer, amazon
from tests.support.api import Api, running
from tests.support.receipts import PUBLIC, SECRETS, SETTINGS, credentials, form
from tests.support.waiting import wait_until
from workers.stack.listening import address, listen

SIGNED = ["resend", "sendgrid", "postmark", "twilio", "whatsapp", "telegram"]
PROVIDERS = [*SIGNED, "ses"]
MIB = 1024 * 1024

DELIVERY = """
INSERT INTO deliveries (id, tenant, event_id, channel, provider, address, template, priority, status, attempts, sent_at)
VALUES (%s, %s, gen_random_uuid(), %s, %s, %s, 'default', 2, 'sent', 1, now())
"""
ATTEMPT = """
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail, message_id)
VALUES (%s, 1, %s, now(), 1, 'sent', '', %s)
"""


@pytest.fixture(scope="module")
def api(
    module_database_url: str, servers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API to which every provider is known."""
    addresses = {"BELLWIRE_BROKER_URL": servers["broker"], "BELLWIRE_REDIS_URL": servers["redis"]}
    with running(module_database_url, tmp_path_factory.mktemp("api"), **addresses, **SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def tenant(api: Api) -> str:
    """A tenant with an account of its own at Resend and Twilio."""
    api.in_transaction(lambda connection: ensure_tenant(connection, "other"))
    with api.client("admin", "acme") as client:
        for provider, secrets in OWN.items():
            answer = client.put(f"/v1/providers/{provider}", json={"credentials": {**ACCOUNTS[provider], **secrets}})
            assert answer.status_code == 200, answer.text
    return "acme"


ACCOUNTS = {
    "resend": {"api_key": "re_acme"},
    "twilio": {"account_sid": "AC" + "0" * 32, "from": "+4915735983768"},
}
OWN = {
    "resend": {"webhook_secret": "whsec_dGhlIHNlY3JldCBvZiBhY21lJ3Mgd2ViaG9vaw=="},
    "twilio": {"auth_token": "acme's"},
}


def delivery(api: Api, channel: str, provider: str, tenant: str = "default", to: str = "Ana@Example.org") -> str:
    """One that a provider accepted; its id, which is its message id as well."""
    made = str(uuid4())
    api.in_transaction(lambda connection: ensure_tenant(connection, tenant))
    api.rows(DELIVERY, made, tenant, channel, provider, to)
    api.rows(ATTEMPT, made, provider, made)
    return made


def status(api: Api, made: str) -> str:
    return str(api.rows("SELECT status FROM deliveries WHERE id = %s", made)[0][0])


def post(
    api: Api, provider: str, body: bytes, headers: Mapping[str, str] | None = None, query: str = ""
) -> httpx.Response:
    """Call as a provider does; signed unless headers are given."""
    given = credentials(provider, body, query=query) if headers is None else headers
    address = f"/v1/receipts/{provider}{'?' if query else ''}{query}"
    return client_of(api.url).post(address, content=body, headers=dict(given))


@cache
def client_of(url: str) -> httpx.Client:
    """One for all tests: to make one costs more than to use it."""
    return httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False)


def arrived(provider: str, made: str) -> tuple[bytes, str]:
    """The body that says so, and the query of the address."""
    bodies = {
        "resend": {"type": "email.delivered", "data": {"email_id": made}},
        "sendgrid": [{"event": "delivered", "sg_event_id": made, "delivery_id": made}],
        "postmark": {"RecordType": "Delivery", "MessageID": made, "DeliveredAt": "2026-11-20T09:00:00Z"},
        "whatsapp": {"entry": [{"changes": [{"value": {"statuses": [{"id": made, "status": "delivered"}]}}]}]},
    }
    if provider == "twilio":
        return form(MessageSid=made, MessageStatus="delivered"), f"delivery={made}"
    return json.dumps(bodies[provider]).encode(), ""


CHANNEL = {"twilio": "sms", "whatsapp": "whatsapp"}


@pytest.mark.mission("A-27", "E-26")
@pytest.mark.parametrize("provider", ["resend", "sendgrid", "postmark", "twilio", "whatsapp"])
def test_a_genuine_receipt_moves_its_delivery_at_once_and_again_changes_nothing(api: Api, provider: str) -> None:
    made = delivery(api, CHANNEL.get(provider, "email"), provider)
    body, query = arrived(provider, made)
    for _ in range(2):
        answer = post(api, provider, body, query=query)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "eventsProcessed": 1})
        assert status(api, made) == "delivered"
    assert api.rows("SELECT count(*) FROM receipts WHERE delivery_id = %s", made) == [(1,)]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x"}, {"x-api-key": "bw_x"}], ids=str)
def test_without_the_providers_own_credentials_it_is_401_whatever_the_body(
    api: Api, provider: str, headers: dict[str, str]
) -> None:
    for body in (b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"a":' * 50_000, b"x" * MIB):
        answer = post(api, provider, body, headers)
        assert answer.status_code == 401, answer.text
        assert answer.json()["code"] == "bellwire.unauthenticated"
        assert "www-authenticate" in answer.headers


@pytest.mark.parametrize("provider", SIGNED)
@pytest.mark.parametrize("mark", ["", "x", "\xff\xfe", "A" * 5000, "v1,AAAA", "sha256=00", "Basic AAAA"], ids=ascii)
def test_forged_credentials_of_every_form_are_401(api: Api, provider: str, mark: str) -> None:
    names = credentials(provider, b"{}")
    for name in names:
        answer = post(api, provider, b"{}", {**names, name: mark.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.status_code == 401, (name, answer.text)


@pytest.mark.parametrize("provider", SIGNED)
def test_an_administrators_key_proves_no_provider(api: Api, provider: str) -> None:
    with api.client("admin") as client:
        answer = client.post(f"/v1/receipts/{provider}", content=b"{}")
    assert answer.status_code == 401
    assert is_problem(answer, 401)


def test_the_answer_does_not_say_what_was_wrong(api: Api) -> None:
    signed = credentials("resend", b"{}")
    details = {
        post(api, "resend", b"{}", headers).json()["detail"]
        for headers in ({}, {**signed, "svix-timestamp": "1"}, {**signed, "svix-signature": "v1,AAAA"})
    }
    assert len(details) == 1


@pytest.mark.parametrize("provider", SIGNED)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b"null", b"7", b"\xff", b"[" * 100_000, b"9" * 50_000],
    ids=lambda body: ascii(body[:9]),
)
def test_a_genuine_body_that_means_nothing_is_200_or_400(api: Api, provider: str, body: bytes) -> None:
    answer = post(api, provider, body)
    assert answer.status_code in {200, 400} or (provider == "twilio" and answer.status_code == 401)
    assert answer.status_code != 200 or answer.json() == {"success": True, "eventsProcessed": 0}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_body_beyond_ten_mebibytes_is_413(api: Api, provider: str) -> None:
    assert post(api, provider, b"x" * (10 * MIB + 1), {}).status_code == 413
    assert post(api, provider, b"x" * (10 * MIB), {}).status_code == 401


def test_a_name_that_is_no_providers_is_404(api: Api) -> None:
    assert is_problem(post(api, "mailgun", b"{}", {}), 404)
    with api.client(None) as client:
        assert client.get("/v1/receipts/mailgun").status_code == 404


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_is_not_configured_is_401(bare: Api, provider: str) -> None:
    headers = credentials(provider, b"{}")
    assert post(bare, provider, b"{}", headers).status_code == 401


@pytest.fixture(scope="module")
def bare(
    module_database_url: str, servers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API to which no provider is known."""
    broker = {"BELLWIRE_BROKER_URL": servers["broker"]}
    with running(module_database_url, tmp_path_factory.mktemp("bare"), **broker) as made:
        yield made


def test_a_batch_of_a_thousand_is_applied_in_one_call(api: Api) -> None:
    ids = [delivery(api, "email", "sendgrid", to=f"u{number}@example.org") for number in range(20)]
    events = [
        {"event": name, "sg_event_id": f"{name}-{number}", "delivery_id": ids[number % 20], "type": "blocked"}
        for number in range(500)
        for name in ("bounce", "open")
    ]
    answer = post(api, "sendgrid", json.dumps(events).encode())
    assert answer.json() == {"success": True, "eventsProcessed": 1000}
    assert {status(api, one) for one in ids} == {"delivered"}
    found = api.rows("SELECT count(*) FROM suppressions WHERE reason = 'repeated_soft_bounces' AND tenant = 'default'")
    assert found == [(20,)]


@pytest.mark.parametrize(
    "odd", ["\0", "\ud800", "\u202e", "x" * 100_000, 10**400, {}, [], None, True], ids=lambda _: ""
)
def test_odd_values_in_a_genuine_receipt_are_no_error(api: Api, odd: Any) -> None:
    event = dict.fromkeys(
        ("email", "timestamp", "sg_message_id", "delivery_id", "tenant", "reason", "type", "status"), odd
    )
    body = json.dumps([{**event, "event": "bounce", "sg_event_id": f"odd-{uuid4()}"}]).encode()
    answer = post(api, "sendgrid", body)
    assert (answer.status_code, answer.json()["eventsProcessed"]) == (200, 1)


# A tenant's own account


@pytest.mark.mission("F-11")
@pytest.mark.parametrize(
    ("whose", "query", "key", "code"),
    [
        pytest.param("acme", "tenant=acme", "own", "delivered", id="own-account"),
        pytest.param("other", "tenant=acme", "own", "sent", id="anothers-delivery"),
        pytest.param("acme", "tenant=acme", "shared", 401, id="the-installations-secret"),
        pytest.param("acme", "", "own", 401, id="without-saying-whose"),
        pytest.param("acme", "tenant=other", "own", 401, id="a-tenant-without-an-account"),
        pytest.param("acme", "tenant=nobody", "own", 401, id="a-tenant-that-is-none"),
        pytest.param("acme", "tenant=%00", "own", 401, id="nul"),
        pytest.param("acme", "tenant=" + "a" * 4000, "own", 401, id="endless"),
        pytest.param("other", "", "shared", "delivered", id="the-installations-account"),
    ],
)
def test_a_tenants_account_speaks_of_that_tenants_messages_only(
    api: Api, tenant: str, whose: str, query: str, key: str, code: str | int
) -> None:
    made = delivery(api, "email", "resend", whose)
    body, _ = arrived("resend", made)
    headers = credentials("resend", body, secrets=OWN["resend"] if key == "own" else SECRETS["resend"])
    answer = post(api, "resend", body, headers, query)
    expected = 200 if isinstance(code, str) else code
    assert answer.status_code == expected, answer.text
    assert status(api, made) == (code if isinstance(code, str) else "sent")


def test_twilio_signs_the_tenant_in_the_address_along(api: Api, tenant: str) -> None:
    made = delivery(api, "sms", "twilio", tenant)
    body, query = arrived("twilio", made)
    headers = credentials("twilio", body, query=f"{query}&tenant=acme", secrets=OWN["twilio"])
    assert post(api, "twilio", body, headers, query).status_code == 401
    assert post(api, "twilio", body, headers, f"{query}&tenant=acme").status_code == 200
    assert status(api, made) == "delivered"


def test_what_a_proxy_says_of_the_address_is_not_believed(api: Api) -> None:
    body = form(MessageSid="x", MessageStatus="delivered")
    headers = {**credentials("twilio", body), "host": "evil.example", "x-forwarded-host": "evil.example"}
    assert post(api, "twilio", body, headers).status_code == 200
    assert PUBLIC.startswith("https://")


# WhatsApp and Telegram


@pytest.mark.mission("B-4")
def test_metas_challenge_is_answered_as_plain_text(api: Api) -> None:
    asked = {
        "hub.mode": "subscribe",
        "hub.verify_token": SECRETS["whatsapp"]["verify_token"],
        "hub.challenge": "115820",
    }
    with api.client(None) as client:
        answer = client.get("/v1/receipts/whatsapp", params=asked)
        assert (answer.status_code, answer.text) == (200, "115820")
        assert answer.headers["content-type"].startswith("text/plain")
        assert client.get("/v1/receipts/whatsapp", params=asked | {"hub.verify_token": "x"}).status_code == 401
        assert client.get("/v1/receipts/whatsapp").status_code == 401
        assert client.get("/v1/receipts/whatsapp", params=asked | {"tenant": "acme"}).status_code == 401
        assert client.get("/v1/receipts/resend", params=asked).status_code == 405


@pytest.mark.mission("B-4")
def test_a_message_to_our_number_opens_a_session(api: Api) -> None:
    said = {"from": "4930901820", "id": "wamid.1", "timestamp": "1795165200", "type": "text", "text": {"body": "hi"}}
    value = {"metadata": {"phone_number_id": SECRETS["whatsapp"]["phone_number_id"]}, "messages": [said]}
    answer = post(api, "whatsapp", json.dumps({"entry": [{"changes": [{"value": value}]}]}).encode())
    assert answer.json() == {"success": True, "eventsProcessed": 1}
    rows = api.rows("SELECT account, phone, extract(epoch FROM at)::bigint FROM whatsapp_sessions")
    assert rows == [("", "+4930901820", 1795165200)]


@pytest.mark.mission("B-3")
def test_an_update_of_telegram_is_taken(api: Api) -> None:
    update = {"update_id": 1, "message": {"chat": {"id": 7}, "text": "hello"}}
    answer = post(api, "telegram", json.dumps(update).encode())
    assert answer.json() == {"success": True, "eventsProcessed": 1}


# Suppression, as the next message meets it


@pytest.mark.mission("E-28", "E-30")
def test_what_receipts_suppress_stands_on_the_list(api: Api) -> None:
    made = delivery(api, "email", "postmark", to="Bob@Example.org")
    body = {"RecordType": "Bounce", "Type": "HardBounce", "ID": 1, "MessageID": made, "Email": "mallory@example.org"}
    assert post(api, "postmark", json.dumps(body).encode()).status_code == 200
    with api.client("operator") as client:
        found = client.get("/v1/suppressions", params={"address": "bob@example.org"}).json()["suppressions"]
        none = client.get("/v1/suppressions", params={"address": "mallory@example.org"}).json()["suppressions"]
    assert [(one["reason"], one["source"], one["provider"], one["delivery_id"]) for one in found] == [
        ("permanent_bounce", "webhook", "postmark", made)
    ]
    assert none == []


# SES, whose certificates come from a server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmazonServer]:
    with amazon(tmp_path_factory.mktemp("amazon")) as made:
        yield made


@pytest.fixture(scope="module")
def with_amazon(site: AmazonServer, module_database_url: str, servers: Mapping[str, str], api: Api) -> Iterator[str]:
    """The routes with a receiver that fetches from this Amazon; in this process, for it cannot be told from outside."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            **SETTINGS,
            "BELLWIRE_DATABASE_URL": module_database_url,
            "BELLWIRE_BROKER_URL": servers["broker"],
            "BELLWIRE_SECRET_KEY": "k" * 40,
        }.items():
            environment.setenv(name, value)
        for cached in (settings, engine):
            cached.cache_clear()
        from api import errors
        from api.receipts import routes

        app = FastAPI()
        errors.install(app)
        app.include_router(routes({"ses": SesReceiver(Amazon(site.open_session))}))
        listener = listen("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        wait_until(lambda: server.started, lambda: "uvicorn", 20)
        yield address(listener)
        server.should_exit = True
        thread.join(20)
        engine().dispose()
    for cached in (settings, engine):
        cached.cache_clear()


@pytest.mark.mission("E-26")
def test_a_receipt_of_ses_moves_its_delivery(with_amazon: str, site: AmazonServer, api: Api) -> None:
    made = delivery(api, "email", "ses")
    event = {"eventType": "Delivery", "mail": {"messageId": made}, "delivery": {}}
    with httpx.Client(base_url=with_amazon, trust_env=False, verify=False) as client:
        answer = client.post("/v1/receipts/ses", content=site.message(event))
        assert (answer.status_code, answer.json()) == (200, {"success": True, "eventsProcessed": 1})
        foreign = site.message(event, TopicArn="arn:aws:sns:eu-central-1:999999999999:ses-events")
        assert client.post("/v1/receipts/ses", content=foreign).status_code == 401
    assert status(api, made) == "delivered"


def test_while_a_certificate_cannot_be_had_amazon_is_asked_to_try_again(with_amazon: str, site: AmazonServer) -> None:
    """SNS takes other errors below 500 for final."""
    address = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-ffff.pem"
    site.pages["/SimpleNotificationService-ffff.pem"] = (503, b"", {})
    with httpx.Client(base_url=with_amazon, trust_env=False, verify=False) as client:
        answer = client.post("/v1/receipts/ses", content=site.message({}, SigningCertURL=address))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "20")


def test_a_receipt_is_kept_while_its_delivery_is_locked_and_applied_after_that(api: Api) -> None:
    """It is stored first; applying is tried again by the sweep."""
    made = delivery(api, "email", "resend")
    body, _ = arrived("resend", made)
    with psycopg.connect(api.database_url) as connection:
        connection.execute("SELECT FROM deliveries WHERE id = %s FOR UPDATE", (made,))
        headers = credentials("resend", body)
        done: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: done.append(post(api, "resend", body, headers)))
        thread.start()
        wait_until(lambda: api.rows("SELECT 1 FROM receipts WHERE message_id = %s", made) != [], lambda: "stored", 10)
        connection.rollback()
        thread.join(20)
    assert done[0].status_code == 200
    assert status(api, made) == "delivered"
