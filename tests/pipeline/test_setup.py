"""Tenants and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import settings
from domain.errors import InvalidInputError
from models.engine import engine as process_engine
from pipeline.setup import create_key, ensure_tenant, find_key, first_start, list_keys, revoke_key


def test_a_new_key_is_found_by_its_text_and_stored_only_as_a_hash(world: Any) -> None:
    with world.begin() as connection:
        new = create_key(connection, tenant="acme", role="publisher", actor="cli")
        found = find_key(connection, new.key)
    assert found is not None
    assert (found.id, found.tenant, found.role) == (new.id, "acme", "publisher")
    assert new.key.startswith("bw_")
    assert len(new.key) == 46
    (row,) = world.execute("SELECT k::text AS everything FROM api_keys k")
    assert new.key not in row.everything
    assert new.key not in repr(new)


@pytest.mark.parametrize("wrong", ["", "bw_", "bw_" + "a" * 43, "x" * 5000, "\x00", "\ud800", "ключ"])
def test_a_text_that_is_no_key_finds_nothing(world: Any, wrong: str) -> None:
    with world.begin() as connection:
        create_key(connection, tenant="acme", role="admin", actor="cli")
        assert find_key(connection, wrong) is None


def test_a_revoked_key_finds_nothing_and_is_revoked_once(world: Any) -> None:
    with world.begin() as connection:
        new = create_key(connection, tenant="acme", role="admin", actor="cli")
        assert revoke_key(connection, key_id=new.id, actor="cli")
        assert not revoke_key(connection, key_id=new.id, actor="cli")
        assert find_key(connection, new.key) is None
        (listed,) = list_keys(connection, tenant="acme")
    assert listed["revoked_at"] is not None
    assert [row.action for row in world.audit()] == ["key.create", "key.revoke"]


def test_a_tenant_cannot_revoke_the_key_of_another(world: Any) -> None:
    with world.begin() as connection:
        new = create_key(connection, tenant="acme", role="admin", actor="cli")
        assert not revoke_key(connection, key_id=new.id, actor="key:x", tenant="other")
        assert not revoke_key(connection, key_id="not-a-uuid", actor="cli")
        assert find_key(connection, new.key) is not None


def test_keys_are_listed_by_tenant_without_the_keys(world: Any) -> None:
    with world.begin() as connection:
        new = create_key(connection, tenant="acme", role="operator", actor="cli")
        create_key(connection, tenant="other", role="admin", actor="cli")
        assert [one["tenant"] for one in list_keys(connection)] == ["acme", "other"]
        (mine,) = list_keys(connection, tenant="acme")
    assert mine.keys() == {"id", "tenant", "role", "created_at", "revoked_at"}
    assert (mine["id"], mine["role"], mine["revoked_at"]) == (new.id, "operator", None)


@pytest.mark.parametrize(
    ("tenant", "role", "field"), [("acme", "root", "role"), ("nobody", "admin", "tenant"), ("a\0", "admin", "tenant")]
)
def test_a_key_needs_a_known_role_and_an_existing_tenant(world: Any, tenant: str, role: str, field: str) -> None:
    with world.begin() as connection, pytest.raises(InvalidInputError) as raised:
        create_key(connection, tenant=tenant, role=role, actor="cli")
    assert raised.value.field == field


def test_a_tenant_is_made_once(world: Any) -> None:
    with world.begin() as connection:
        assert ensure_tenant(connection, "new")
        assert not ensure_tenant(connection, "new")


@pytest.fixture
def own_process(world: Any, module_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """This process's own engine leads to the test's database."""
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", module_database_url)
    settings.cache_clear()
    process_engine.cache_clear()
    yield
    process_engine().dispose()
    process_engine.cache_clear()


def test_the_first_start_makes_an_admin_key_and_the_second_keeps_it(
    own_process: None, world: Any, tmp_path: Path
) -> None:
    key = first_start(tmp_path, demo=False)
    assert key is not None
    (tmp_path / "admin.key").write_text(key + "\n")
    assert first_start(tmp_path, demo=False) is None
    with world.begin() as connection:
        found = find_key(connection, key)
    assert found is not None
    assert (found.tenant, found.role) == ("default", "admin")


def test_the_key_of_the_demo_is_one_of_the_tenant_demo(own_process: None, world: Any, tmp_path: Path) -> None:
    ordinary = first_start(tmp_path, demo=False)
    assert ordinary is not None
    (tmp_path / "admin.key").write_text(ordinary)
    key = first_start(tmp_path, demo=True)
    assert key is not None
    with world.begin() as connection:
        found = find_key(connection, key)
        assert find_key(connection, ordinary) is not None
    assert found is not None
    assert found.tenant == "demo"


def test_a_key_file_of_another_database_is_replaced(own_process: None, tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("bw_" + "a" * 43)
    assert first_start(tmp_path, demo=False) is not None
