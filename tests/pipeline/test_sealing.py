"""Secrets at rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from config.settings import SettingsError, settings
from pipeline import sealing
from pipeline.sealing import opened, sealed, webhook_secret_bytes, webhook_secret_text

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Starts the process anew, so to speak, with other keys."""

    def keys(value: str) -> None:
        monkeypatch.setenv("BELLWIRE_SECRET_KEY", value)
        for cached in (settings, sealing._seal, opened):
            cached.cache_clear()

    yield keys
    opened.cache_clear()


@pytest.mark.mission("B-5")
def test_a_sealed_secret_shows_nothing_and_opens_again() -> None:
    stored = sealed(SECRET)
    assert SECRET.decode() not in stored
    assert opened(stored) == SECRET


def test_sealing_the_same_secret_twice_gives_two_texts() -> None:
    assert sealed(SECRET) != sealed(SECRET)


def test_a_new_key_in_front_opens_what_the_old_one_sealed(keys: Callable[[str], None]) -> None:
    keys("old-key")
    stored = sealed(SECRET)
    keys("new-key,old-key")
    assert opened(stored) == SECRET


def test_the_first_key_seals(keys: Callable[[str], None]) -> None:
    keys("new-key,old-key")
    stored = sealed(SECRET)
    keys("new-key")
    assert opened(stored) == SECRET


def test_without_the_key_that_sealed_it_the_error_names_the_setting(keys: Callable[[str], None]) -> None:
    keys("old-key")
    stored = sealed(SECRET)
    keys("new-key")
    with pytest.raises(SettingsError, match="BELLWIRE_SECRET_KEY"):
        opened(stored)


def test_what_was_changed_in_the_database_does_not_open() -> None:
    stored = sealed(SECRET)
    with pytest.raises(SettingsError):
        opened(stored[:-4] + "AAA=")


def test_without_any_key_nothing_is_sealed(keys: Callable[[str], None]) -> None:
    keys("")
    with pytest.raises(SettingsError, match="BELLWIRE_SECRET_KEY: is not set"):
        sealed(SECRET)


@pytest.mark.mission("B-5")
def test_a_webhook_secret_is_written_as_standard_webhooks_say() -> None:
    assert webhook_secret_text(SECRET) == "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    assert webhook_secret_bytes(webhook_secret_text(SECRET)) == SECRET


@pytest.mark.parametrize(
    "written",
    [
        "",
        "MDEyMzQ1",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_" + "QUFB" * 22,
        "whsec_!!!!",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZjAx\n",
    ],
    ids=["empty", "no-prefix", "nothing", "short", "long", "no-base64", "newline"],
)
def test_what_is_no_webhook_secret_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        webhook_secret_bytes(written)
