"""Secrets that are made once."""

from __future__ import annotations

from pathlib import Path

from workers.stack.keys import flower_password, jwt_secret, secret_key, write_private
from workers.stack.places import Places


def test_a_secret_is_made_once_and_kept(home: Path) -> None:
    places = Places.of(home)
    assert secret_key(places) == secret_key(places)
    assert len({secret_key(places), jwt_secret(places), flower_password(places)}) == 3


def test_a_secret_is_long_enough_and_for_its_user_alone(home: Path) -> None:
    assert len(jwt_secret(Places.of(home))) >= 32
    assert (home / "jwt.secret").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_was_half_written_does_not_stand_in_the_way(home: Path) -> None:
    (home / "admin.key.new").write_text("half")
    write_private(home / "admin.key", "whole")
    assert (home / "admin.key").read_text() == "whole"
    assert not (home / "admin.key.new").exists()
