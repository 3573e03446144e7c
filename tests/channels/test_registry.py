"""Which providers a process has, by its settings."""

from __future__ import annotations

import pytest

from channels.registry import PROVIDERS, configured
from config.settings import SettingsError
from domain.vocabulary import CHANNELS

ACCOUNTS = {"smtp_url": "smtp://127.0.0.1", "telegram_bot_token": "1:token"}


def names(found):
    return {channel: [provider.name for provider in providers] for channel, providers in found.items()}


# Their accounts are in the addresses.
WITHOUT_ACCOUNT = {"apprise": ["apprise"], "webhook": ["webhook"]}


def test_without_accounts_only_what_needs_none_can_be_sent(make_settings):
    assert names(configured(make_settings(), preview=False)) == WITHOUT_ACCOUNT


def test_an_account_configures_its_channel(make_settings):
    found = configured(make_settings(**ACCOUNTS), preview=False)
    assert names(found) == {"email": ["smtp"], "telegram": ["telegram"], **WITHOUT_ACCOUNT}


def test_with_previews_every_other_channel_keeps_its_messages(make_settings):
    found = configured(make_settings(telegram_bot_token="1:token", preview=True))
    assert names(found) == {
        **{channel: ["preview"] for channel in ("email", "sms", "push", "whatsapp", "apprise")},
        "telegram": ["telegram"],
        "webhook": ["webhook"],
    }


def test_the_settings_decide_about_previews_unless_told_otherwise(make_settings):
    assert "sms" in configured(make_settings(preview=True))
    assert "sms" not in configured(make_settings(preview=True), preview=False)


def test_a_provider_says_the_channel_it_is_configured_for(make_settings):
    for channel, providers in configured(make_settings(**ACCOUNTS), preview=True).items():
        assert {provider.channel for provider in providers} == {channel}


def test_the_table_names_known_channels_only():
    assert set(PROVIDERS) <= set(CHANNELS)


def test_an_order_that_names_an_unknown_provider_is_explained(make_settings):
    with pytest.raises(SettingsError, match=r"BELLWIRE_EMAIL_PROVIDERS: must be of smtp, .*, not pigeon"):
        configured(make_settings(email_providers="smtp,pigeon"), preview=False)
