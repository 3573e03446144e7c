"""keys and token."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from config.settings import settings
from models.engine import transaction
from pipeline.setup import find_key

CUSTOMER = "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01"


def test_a_new_key_is_alone_on_the_last_line_and_works(bellwire: Any) -> None:
    said = bellwire("keys", "create", "--tenant", "acme", "--role", "publisher")
    key = said.out.splitlines()[-1]
    with transaction() as connection:
        found = find_key(connection, key)
    assert found is not None
    assert (found.tenant, found.role) == ("acme", "publisher")
    assert key not in bellwire("keys", "list").out


def test_a_key_for_a_new_tenant_makes_the_tenant_and_says_so(bellwire: Any) -> None:
    said = bellwire("keys", "create", "--tenant", "fresh", "--role", "admin")
    assert said.err == "Tenant fresh is new.\n"
    answer = bellwire("keys", "create", "--tenant", "fresh", "--role", "admin", "--json").json
    assert answer.keys() == {"id", "tenant", "role", "key"}
    assert len(bellwire("keys", "list", "--tenant", "fresh", "--json").json["keys"]) == 2


@pytest.mark.parametrize("name", ["a b", " acme", "a\tb", ""])
def test_a_name_that_only_a_slip_can_be_makes_no_tenant(bellwire: Any, name: str) -> None:
    said = bellwire("keys", "create", "--tenant", name, "--role", "admin")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("tenant: must not ")
    assert bellwire("keys", "list").out.strip() == "There are no keys."


def test_a_revoked_key_works_no_more_and_is_listed_as_revoked(bellwire: Any) -> None:
    new = bellwire("keys", "create", "--tenant", "acme", "--role", "admin", "--json").json
    assert "is revoked" in bellwire("keys", "revoke", new["id"]).out
    with transaction() as connection:
        assert find_key(connection, new["key"]) is None
    (listed,) = bellwire("keys", "list", "--json").json["keys"]
    assert listed["revoked_at"] is not None
    again = bellwire("keys", "revoke", new["id"])
    assert again.code == 1
    assert "was revoked before" in again.err


def test_a_key_needs_a_known_role_and_makes_nothing_otherwise(bellwire: Any) -> None:
    said = bellwire("keys", "create", "--tenant", "fresh", "--role", "root")
    assert said.code == 1
    assert said.err.strip() == "role: must be one of publisher, operator, admin"
    assert "tenant: does not exist; there are acme" in bellwire("token", "--tenant", "fresh", "--user", "u1").err
    assert bellwire("keys", "list").out.strip() == "There are no keys."


def test_a_token_carries_what_was_asked_for_alone_on_the_last_line(bellwire: Any) -> None:
    said = bellwire("token", "--tenant", "acme", "--user", "u1", "--customer", CUSTOMER, "--role", "operator")
    assert said.code == 0
    (line,) = said.out.splitlines()
    claims = jwt.decode(line, "j" * 40, algorithms=["HS256"], audience="bellwire")
    assert (claims["sub"], claims["tenant"], claims["customers"], claims["role"]) == (
        "u1",
        "acme",
        [CUSTOMER],
        "operator",
    )
    assert claims["exp"] - claims["iat"] == 86400


def test_an_ordinary_users_token_has_no_role_and_lasts_as_long_as_asked(bellwire: Any) -> None:
    answer = bellwire("token", "--tenant", "acme", "--user", "u1", "--hours", "2", "--json").json
    claims = jwt.decode(answer["token"], "j" * 40, algorithms=["HS256"], audience="bellwire")
    assert "role" not in claims
    assert claims["exp"] - claims["iat"] == 7200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tenant", "nobody", "--user", "u"), "tenant: does not exist; there are acme"),
        (("--tenant", "acme", "--user", ""), "--user: must not be empty"),
        (("--tenant", "acme", "--user", "u", "--customer", "7"), "--customer: must be a UUID"),
        (("--tenant", "acme", "--user", "u", "--role", "root"), "--role: must be one of publisher, operator, admin"),
    ],
)
def test_a_token_that_cannot_be_is_refused(bellwire: Any, options: tuple[str, ...], words: str) -> None:
    said = bellwire("token", *options)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(words)


def test_without_a_secret_of_ours_no_token_can_be_signed(bellwire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BELLWIRE_JWT_SECRET")
    settings.cache_clear()
    assert "BELLWIRE_JWT_SECRET is not set" in bellwire("token", "--tenant", "acme", "--user", "u1").err
    monkeypatch.setenv("BELLWIRE_JWT_JWKS_URL", "https://id.example.org/keys")
    settings.cache_clear()
    assert "signed elsewhere" in bellwire("token", "--tenant", "acme", "--user", "u1").err
