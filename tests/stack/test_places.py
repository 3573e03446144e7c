"""Folders, sockets and addresses of a home."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest
import redis
from kombu import Connection

from config.settings import Settings
from workers.stack.environment import generated
from workers.stack.errors import StackError
from workers.stack.places import Places


def test_sockets_lie_below_an_ordinary_home(home: Path) -> None:
    assert Places.of(home).sockets == home / "run"


@pytest.mark.parametrize("name", ["deep/" * 30 + "home", "with space", "ünïcode", "per%cent", "at@sign"])
def test_a_home_that_no_socket_or_url_can_carry_has_a_short_folder_for_them(name: str) -> None:
    places = Places.of(Path("/srv") / name)
    for socket in (places.sockets / ".s.PGSQL.5432", places.valkey_socket, places.sockets / "notify"):
        assert len(os.fsencode(socket)) < 104
    assert unquote(places.database_url) == places.database_url


def test_two_deep_homes_do_not_share_their_sockets() -> None:
    deep = Path("/srv") / ("d" * 100)
    assert Places.of(deep / "a").sockets != Places.of(deep / "b").sockets


def test_a_relative_home_is_found_from_every_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Places.of(Path(".bellwire")).home == tmp_path / ".bellwire"


def test_folders_are_private(home: Path) -> None:
    places = Places.of(home / "new")
    places.make()
    assert {folder.stat().st_mode & 0o777 for folder in (places.home, places.run, places.logs, places.valkey)} == {
        0o700
    }


def test_a_folder_for_sockets_that_others_may_enter_is_refused(home: Path) -> None:
    (home / "run").mkdir()
    (home / "run").chmod(0o755)
    with pytest.raises(StackError, match="is open to others"):
        Places.of(home).make()


def test_a_home_that_cannot_be_made_is_explained(home: Path) -> None:
    (home / "file").touch()
    with pytest.raises(StackError, match="Set BELLWIRE_HOME"):
        Places.of(home / "file" / "home").make()


def test_the_addresses_are_understood_by_their_clients(servers: dict[str, str]) -> None:
    with psycopg.connect(servers["postgres"]) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(servers["redis"]) as valkey:
        assert valkey.ping()
    with Connection(servers["broker"]) as broker:
        assert broker.ensure_connection(max_retries=1)


def test_the_broker_is_the_database_that_programs_take_unasked(servers: dict[str, str]) -> None:
    assert "?" not in servers["broker"]
    with Connection(servers["broker"]) as broker, redis.Redis.from_url(servers["redis"]) as valkey:
        broker.SimpleQueue("asked_for_nothing").put("hello")
        assert valkey.connection_pool.connection_kwargs["db"] == 1
        assert not valkey.exists("asked_for_nothing")
        valkey.select(0)
        assert valkey.llen("asked_for_nothing") == 1
        valkey.delete("asked_for_nothing")


def test_commands_know_that_the_running_stack_takes_only_tokens_that_are_signed_elsewhere(home: Path) -> None:
    places, given = Places.of(home), Settings(_env_file=None, jwt_secret=None, jwt_jwks_url=None)
    places.make()
    places.note_published_keys("https://id.example.org/keys")
    assert generated(places, given)["BELLWIRE_JWT_JWKS_URL"] == "https://id.example.org/keys"
    assert "BELLWIRE_JWT_SECRET" not in generated(places, given)
    places.note_published_keys(None)
    assert generated(places, given).keys() == {"BELLWIRE_SECRET_KEY", "BELLWIRE_JWT_SECRET"}
