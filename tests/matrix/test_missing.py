"""A package that is not there is told by name, and where the tests must run it is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.debian import program

pytestmark = pytest.mark.matrix


def test_a_missing_package_fails_where_it_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(
        pytest.fail.Exception, match="rabbitmq-server is not installed: apt-get install rabbitmq-server"
    ):
        program("rabbitmq-server", Path("/nowhere"))


def test_elsewhere_it_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="rabbitmq-server is not installed"):
        program("rabbitmq-server", Path("/nowhere"))
