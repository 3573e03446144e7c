"""Tenants' own accounts at providers: checked, sealed, never shown, and in force at once."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Self

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlalchemy import event as listening

from channels.email_smtp import SmtpProvider
from channels.registry import PROVIDERS
from config.settings import Settings, SettingsError, settings
from domain import verdict
from domain.errors import InvalidInputError
from domain.vocabulary import Reason
from pipeline.credentials import FILES, KNOWN, check_credentials
from pipeline.provider_accounts import (
    Changed,
    accounts_of,
    credentials_of,
    delete_account,
    get_account,
    list_accounts,
    opened_credentials,
    put_account,
)
from pipeline.sealing import _seal, opened

KEY = "re_a1b2c3d4e5f6"


def pem(key: Any) -> str:
    return str(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )


ELLIPTIC = pem(ec.generate_private_key(ec.SECP256R1()))
SERVICE_ACCOUNT = {
    "type": "service_account",
    "project_id": "acme-app",
    "client_email": "push@acme-app.iam.gserviceaccount.com",
    "private_key": pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "token_uri": "https://oauth2.googleapis.com/token",
}
AWS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG", "region": "eu-central-1"}
ACCOUNTS: dict[str, dict[str, str]] = {
    "smtp": {"url": "smtp://acme:opensesame@mail.acme.example:587?starttls=true"},
    "resend": {"api_key": KEY},
    "sendgrid": {"api_key": "SG.a1b2c3d4e5f6"},
    "ses": AWS,
    "postmark": {"token": "0d1e2f3a-aaaa-bbbb-cccc-0123456789ab"},
    "twilio": {"account_sid": "AC" + "0" * 32, "auth_token": "f" * 32, "from": "+4930901820"},
    "sns": AWS,
    "apns": {"key": ELLIPTIC, "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ", "topic": "org.acme.app"},
    "fcm": {"credentials": json.dumps(SERVICE_ACCOUNT)},
    "web_push": {"private_key": ELLIPTIC, "subject": "mailto:ops@acme.example"},
    "telegram": {"bot_token": "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"},
    "whatsapp": {"token": "EAAa1b2c3d4e5f6", "phone_number_id": "123456789012345"},
}


def put(world: Any, provider: str, tenant: str = "acme", **body: Any) -> Changed:
    with world.begin() as connection:
        changed = put_account(
            connection, tenant=tenant, provider=provider, body=body, actor="key:1", remote="192.0.2.1"
        )
    assert changed is not None
    return changed


def shown(world: Any, provider: str, tenant: str = "acme") -> dict[str, Any] | None:
    with world.begin() as connection:
        return get_account(connection, tenant=tenant, provider=provider)


def refused(world: Any, provider: str, **body: Any) -> InvalidInputError:
    with world.begin() as connection, pytest.raises(InvalidInputError) as error:
        put_account(connection, tenant="acme", provider=provider, body=body, actor="key:1")
    assert world.execute("SELECT FROM provider_accounts") == []
    return error.value


def test_every_provider_with_an_account_is_tried_here() -> None:
    assert set(ACCOUNTS) == {
        name for table in PROVIDERS.values() for name, provider in table.items() if provider.credentials
    }
    assert set(ACCOUNTS) <= set(KNOWN)
    assert "webhook" not in KNOWN


@pytest.mark.parametrize("provider", sorted(ACCOUNTS))
def test_an_account_is_stored_sealed_and_shown_by_names_only(world: Any, provider: str) -> None:
    given = ACCOUNTS[provider]
    answer = put(world, provider, credentials=given).shown
    assert (answer["account"], answer["credentials"]) == ("own", sorted(given))
    assert shown(world, provider) == answer
    said = json.dumps(answer) + json.dumps([tuple(map(str, row)) for row in world.audit()])
    stored = str(world.execute("SELECT * FROM provider_accounts"))
    for value in given.values():
        assert value not in said
        assert value not in stored
    with world.begin() as connection:
        assert credentials_of(connection, "acme", provider) == given


@pytest.mark.parametrize("provider", sorted(ACCOUNTS))
def test_what_is_missing_is_named(world: Any, provider: str) -> None:
    first = next(iter(KNOWN[provider].credentials))
    rest = {name: value for name, value in ACCOUNTS[provider].items() if name != first}
    error = refused(world, provider, credentials=rest)
    assert error.field == f"credentials.{first}"
    assert refused(world, provider, credentials={}).field.startswith("credentials.")
    assert refused(world, provider, credentials=dict.fromkeys(ACCOUNTS[provider])).field.startswith("credentials.")


@pytest.mark.parametrize("provider", sorted(ACCOUNTS))
def test_a_value_that_cannot_be_used_is_refused_and_not_repeated(
    world: Any, provider: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    for name in KNOWN[provider].credentials:
        for odd in ("Xyzzy\0Plugh", "Xyzzy\r\nPlugh: 1", "", "  ", 7, ["Xyzzy"], {"a": "Xyzzy"}, True, "\ud800Xyzzy"):
            error = refused(world, provider, credentials={**ACCOUNTS[provider], name: odd})
            assert error.field == f"credentials.{name}"
            assert "yzzy" not in str(error)
    said = capfd.readouterr()
    assert "yzzy" not in said.out + said.err


@pytest.mark.parametrize(
    ("provider", "changes", "field"),
    [
        ("smtp", {"url": "ftp://user:Plugh@mail.acme.example"}, "url"),
        ("smtp", {"url": "smtp://user:Plugh@mail.acme.example:port"}, "url"),
        ("smtp", {"url": "Plugh"}, "url"),
        ("ses", {"region": "Plugh.example/#"}, "region"),
        ("ses", {"access_key_id": "Plugh/../"}, "access_key_id"),
        ("sns", {"region": "Plugh.example/#"}, "region"),
        ("twilio", {"account_sid": "ACPlugh/../../"}, "account_sid"),
        ("twilio", {"from": "Plugh!"}, "from"),
        ("apns", {"key": "-----BEGIN PRIVATE KEY-----\nPlugh\n-----END PRIVATE KEY-----"}, "key"),
        ("fcm", {"credentials": '{"type": "Plugh"}'}, "credentials"),
        (
            "fcm",
            {"credentials": json.dumps({**SERVICE_ACCOUNT, "token_uri": "http://169.254.169.254/"})},
            "credentials",
        ),
        ("fcm", {"credentials": json.dumps({**SERVICE_ACCOUNT, "token_uri": "https://Plugh.example"})}, "credentials"),
        ("web_push", {"private_key": "-----BEGIN PRIVATE KEY-----\nPlugh"}, "private_key"),
        ("web_push", {"subject": "Plugh"}, "subject"),
        ("telegram", {"bot_token": "Plugh/../getMe"}, "bot_token"),
        ("whatsapp", {"phone_number_id": "Plugh/../me"}, "phone_number_id"),
    ],
)
def test_a_provider_is_tried_out_before_anything_is_stored(
    world: Any, provider: str, changes: dict[str, str], field: str
) -> None:
    error = refused(world, provider, credentials={**ACCOUNTS[provider], **changes})
    assert error.field == f"credentials.{field}"
    assert error.problem
    assert "Plugh" not in str(error)


def test_a_mistake_is_explained_where_that_repeats_nothing(world: Any) -> None:
    error = refused(world, "ses", credentials={**AWS, "region": "europe"})
    assert str(error) == "credentials.region: must look like eu-central-1"
    assert refused(world, "resend", credentials={"api_key": KEY, "apikey": "x"}).field == "credentials.apikey"
    key = {name: value for name, value in ACCOUNTS["apns"].items() if name != "key_id"}
    assert str(refused(world, "apns", credentials=key)) == "credentials.key_id: is missing"


def test_a_key_has_line_breaks_and_no_other_control_characters(world: Any) -> None:
    error = refused(world, "apns", credentials={**ACCOUNTS["apns"], "key": f"{ELLIPTIC}\0"})
    assert str(error) == "credentials.key: must not contain control characters"


class TalkativeProvider(SmtpProvider):
    """Says what it was given."""

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        raise SettingsError(f"url: {credentials['url']} cannot be used")


class ClumsyProvider(SmtpProvider):
    """Stumbles over what it was given."""

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        raise TypeError(credentials["url"])


@pytest.mark.parametrize("kind", [TalkativeProvider, ClumsyProvider])
def test_whatever_a_provider_says_no_part_of_a_credential_is_repeated(kind: type[SmtpProvider]) -> None:
    with pytest.raises(InvalidInputError, match=r"^credentials(\.url)?: cannot be used") as error:
        check_credentials(kind, {"url": "smtp://Plugh:Xyzzy@mail.acme.example"})
    assert not re.search("Plugh|Xyzzy|acme", str(error.value))


@pytest.mark.parametrize(
    ("provider", "name"),
    [(name, one) for name, kind in KNOWN.items() for one, setting in kind.credentials.items() if setting in FILES],
)
@pytest.mark.parametrize("path", ["/dev/zero", "/etc/passwd", "key.p8", "~/key.pem", "../.bellwire/admin.key"])
def test_a_tenant_names_no_file_of_ours(world: Any, provider: str, name: str, path: str, tmp_path: Any) -> None:
    (tmp_path / "key.p8").write_text(ELLIPTIC)  # the current folder: an operator could name it so
    error = refused(world, provider, credentials={**ACCOUNTS[provider], name: path})
    assert error.field == f"credentials.{name}"


def test_every_setting_that_may_be_a_file_is_known() -> None:
    fields = Settings.model_fields
    files = {name for name, field in fields.items() if "path of" in (field.description or "")}
    assert files == set(FILES)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"credentials": []}, "credentials"),
        ({"credentials": "x"}, "credentials"),
        ({"position": -1}, "position"),
        ({"position": 100}, "position"),
        ({"position": "1"}, "position"),
        ({"position": True}, "position"),
        ({"senders": []}, "senders"),
        ({"senders": {"*": "nobody"}}, "senders.*"),
        ({"senders": {"*": ""}}, "senders.*"),
        ({"senders": {"*": None}}, "senders.*"),
        ({"senders": {"*": "A <a@acme.org>\r\nBcc: x@example.org"}}, "senders.*"),
        ({"senders": {"bill ing": "A <a@acme.org>"}}, "senders"),
        ({"senders": {"[x": "A <a@acme.org>"}}, "senders"),
        ({"senders": {f"a{n}": "A <a@acme.org>" for n in range(51)}}, "senders"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_used_is_named(world: Any, body: dict[str, Any], field: str) -> None:
    assert refused(world, "resend", **body).field == field


def test_only_email_has_senders(world: Any) -> None:
    assert refused(world, "twilio", senders={"*": "A <a@acme.org>"}).field == "senders"
    assert put(world, "twilio", senders={}).shown["senders"] == {}


def test_a_provider_that_does_not_exist_is_none(world: Any) -> None:
    for name in ("pigeon", "webhook", "resend\0", ""):
        with world.begin() as connection:
            by = {"tenant": "acme", "provider": name, "actor": "cli"}
            assert put_account(connection, **by, body={}) is None
            assert delete_account(connection, **by) is None
            assert get_account(connection, tenant="acme", provider=name) is None


def test_what_a_body_does_not_name_stays(world: Any) -> None:
    senders = {"*": "Acme <no-reply@acme.org>"}
    put(world, "resend", credentials={"api_key": KEY}, position=7, senders=senders)
    again = put(world, "resend").shown
    assert (again["credentials"], again["position"], again["senders"]) == (["api_key"], 7, senders)
    moved = put(world, "resend", position=3, senders=None).shown
    assert (moved["credentials"], moved["position"], moved["senders"]) == (["api_key"], 3, {})
    with world.begin() as connection:
        assert credentials_of(connection, "acme", "resend") == {"api_key": KEY}


def test_without_credentials_the_installations_account_takes_the_place(world: Any) -> None:
    first = put(world, "resend", position=1).shown
    assert (first["account"], first["credentials"], first["receipts_url"]) == ("installation", [], None)
    put(world, "resend", credentials={"api_key": KEY})
    taken_away = put(world, "resend", credentials=None).shown
    assert (taken_away["account"], taken_away["position"]) == ("installation", 1)
    with world.begin() as connection:
        assert credentials_of(connection, "acme", "resend") is None


def test_credentials_are_replaced_as_a_whole(world: Any) -> None:
    put(world, "resend", credentials={"api_key": KEY, "webhook_secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"})
    assert put(world, "resend", credentials={"api_key": "re_other"}).shown["credentials"] == ["api_key"]


@pytest.mark.parametrize("tenant", ["acme", "a b/ü?&"])
def test_the_address_for_receipts_names_the_tenant(world: Any, monkeypatch: pytest.MonkeyPatch, tenant: str) -> None:
    monkeypatch.setenv("BELLWIRE_PUBLIC_URL", "https://bell.example.org/")
    settings.cache_clear()
    world.execute("INSERT INTO tenants (id) VALUES (:tenant) ON CONFLICT DO NOTHING", tenant=tenant)
    url = put(world, "resend", tenant, credentials={"api_key": KEY}).shown["receipts_url"]
    quoted = {"acme": "acme", "a b/ü?&": "a%20b%2F%C3%BC%3F%26"}[tenant]
    assert url == f"https://bell.example.org/v1/receipts/resend?tenant={quoted}"
    assert put(world, "smtp", tenant, credentials=ACCOUNTS["smtp"]).shown["receipts_url"] is None


def test_the_audit_tells_names_and_never_values(world: Any) -> None:
    put(world, "ses", credentials=AWS, senders={"billing.*": "Acme <billing@acme.org>"})
    put(world, "ses", credentials={**AWS, "secret_access_key": "another"}, position=2)
    put(world, "ses", credentials=None, senders=None)
    with world.begin() as connection:
        delete_account(connection, tenant="acme", provider="ses", actor="key:2")
    first, second, third, fourth = world.audit()
    names = sorted(AWS)
    assert (first.actor, first.action, first.subject) == ("key:1", "provider.put", "ses")
    assert (first.before, first.remote_address) == (None, "192.0.2.1")
    assert first.after == {"position": 0, "senders": ["billing.*"], "credentials": names, "changed": names}
    assert second.before == {"position": 0, "senders": ["billing.*"], "credentials": names}
    assert (second.after["changed"], second.after["position"]) == (["secret_access_key"], 2)
    assert (third.after["changed"], third.after["credentials"]) == (names, [])
    assert (fourth.actor, fourth.action, fourth.after) == ("key:2", "provider.delete", None)


def test_over_the_installations_account_a_tenant_writes_from_the_installations_domains_only(world: Any) -> None:
    foreign = {"*": "The Bank <service@bank.example>"}
    error = refused(world, "sendgrid", senders=foreign)
    assert (error.field, "must be at localhost" in str(error)) == ("senders.*", True)
    put(world, "sendgrid", credentials={"api_key": "SG.own-account"}, senders=foreign)
    with pytest.raises(InvalidInputError, match=r"senders\.\*: must be at localhost"):
        put(world, "sendgrid", credentials=None)


@pytest.mark.mission("E-23")
def test_accounts_of_many_tenants_come_in_their_orders_with_one_statement(world: Any) -> None:
    put(world, "sendgrid", position=1, senders={"*": "A <a@localhost>"})
    put(world, "resend", position=0, credentials={"api_key": KEY})
    put(world, "postmark", position=1)
    put(world, "twilio", position=0)
    put(world, "ses", tenant="other")
    said: list[str] = []
    with world.begin() as connection:
        listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
        found = accounts_of(connection, "email", ["acme", "other", "acme", "gone"])
        assert credentials_of(connection, "gone", "resend") is None
    assert len(said) == 2
    assert {tenant: [row.provider for row in rows] for tenant, rows in found.items()} == {
        "acme": ["resend", "postmark", "sendgrid"],
        "other": ["ses"],
    }
    own, _, installations = found["acme"]
    assert own.credentials is not None
    assert opened_credentials(own.credentials) == {"api_key": KEY}
    assert (installations.credentials, installations.senders) == (None, {"*": "A <a@localhost>"})


def test_another_tenants_account_is_neither_seen_nor_changed(world: Any) -> None:
    put(world, "resend", credentials={"api_key": KEY})
    put(world, "resend", tenant="other", position=5)
    assert (shown(world, "resend") or {})["position"] == 0
    with world.begin() as connection:
        assert delete_account(connection, tenant="other", provider="resend", actor="cli") is not None
        assert [one["account"] for one in list_accounts(connection, tenant="acme")] == ["own"]
        assert list_accounts(connection, tenant="other") == []


def test_every_change_is_noticed_by_the_workers(world: Any) -> None:
    def version() -> int:
        return int(world.execute("SELECT version FROM tenants WHERE id = 'acme'")[0][0])

    before = version()
    put(world, "resend")
    put(world, "resend", position=3)
    with world.begin() as connection:
        delete_account(connection, tenant="acme", provider="resend", actor="cli")
    assert version() == before + 3


@pytest.mark.parametrize("reason", [Reason.NO_PROVIDER, Reason.ACCOUNT_REJECTED])
def test_what_waits_for_an_account_becomes_due_and_nothing_else(world: Any, reason: Reason) -> None:
    world.user("ana", email="ana@example.org", telegram_chat_id=7, roles=["operations"])
    world.publish({"type": "ssl_failure", "data": {"host": "a.example.org"}})
    waiting = world.settle("email", verdict.postponed(0, reason, 900.0))
    world.settle("telegram", verdict.postponed(0, reason, 900.0))
    world.publish({"type": "ssl_failure", "data": {"host": "b.example.org"}})
    for channel in ("email", "telegram"):
        world.settle(channel, verdict.postponed(0, Reason.RATE_LIMITED, 900.0))
    assert put(world, "resend", tenant="other").due == []
    assert put(world, "twilio").due == []
    changed = put(world, "resend", credentials={"api_key": KEY})
    assert (changed.channel, list(changed.due)) == ("email", waiting)
    due = world.execute("SELECT id::text FROM deliveries WHERE due_at <= now() AND channel IN ('email', 'telegram')")
    assert [row.id for row in due] == waiting


def test_an_account_that_no_key_opens_any_more_is_shown_and_replaced(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(world, "resend", credentials={"api_key": KEY})
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", "another key altogether")
    for cached in (settings, _seal, opened):
        cached.cache_clear()
    found = shown(world, "resend") or {}
    assert (found["account"], found["credentials"]) == ("own", [])
    with world.begin() as connection, pytest.raises(SettingsError):
        credentials_of(connection, "acme", "resend")
    assert put(world, "resend", credentials={"api_key": KEY}).shown["credentials"] == ["api_key"]
    opened.cache_clear()
