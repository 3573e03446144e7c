"""A tenant whose alert was sent to a chat, with its button, at a Bot API on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from channels.base import Address, Message
from channels.telegram import TelegramProvider
from config.catalogue import shipped
from config.settings import settings
from models.engine import engine, transaction
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route
from pipeline.sealing import _seal
from pipeline.setup import ensure_tenant
from pipeline.telegram import button
from pipeline.users import put_user
from workers.receivers.telegram import TOKEN, TelegramReceiver
from workers.receivers.together import Running

ADA = {"id": 71, "is_bot": False, "first_name": "Ada"}


@dataclass
class Chat:
    """Ada's chat with the bot.

    Attributes:
        environment: the settings, for processes.
    """

    bot_api: TelegramReceiver
    environment: Mapping[str, str]

    def alert(self, said: str = "It is *down*\\.") -> str:
        """Something happens, and Ada is told of it; the notification's id."""
        event = {"type": "ssl_failure", "data": {"host": said}}
        parsed = parse_many([event], tenant="acme", catalogue=shipped().event_types)
        with transaction() as connection:
            tenants = Directory().look_up(connection, {"acme"})
            answers, _ = accept_and_route(connection, tenants, parsed, {"telegram": True})
            statement = text("SELECT id::text FROM notifications WHERE event_id = cast(:id AS uuid)")
            found: str = connection.execute(statement, {"id": answers[0].id}).scalar_one()
        asyncio.run(self._send(found, said))
        return found

    async def _send(self, notification_id: str, said: str) -> None:
        provider = TelegramProvider.from_settings(settings())
        assert provider is not None
        data = button("acme", notification_id)
        await provider.send(Message("d1", "acme", "e1", "ssl_failure", text=said, acknowledge=data), Address("71"))
        await provider.close()

    def press(self) -> dict[str, Any]:
        return self.bot_api.press("71", ADA)

    def shown(self) -> dict[str, Any]:
        """The newest message of the chat, as it now stands."""
        return [message for (chat, _), message in self.bot_api.messages.items() if chat == "71"][-1]

    def taken_by(self, notification_id: str) -> str | None:
        with transaction() as connection:
            statement = text("SELECT ack_by_user_id FROM notifications WHERE id = cast(:id AS uuid)")
            found: str | None = connection.execute(statement, {"id": notification_id}).scalar()
        return found


@pytest.fixture
def chat(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Chat]:
    bot_api = TelegramReceiver()
    with Running(bot_api):
        values = {
            "HOME": str(tmp_path),
            "DATABASE_URL": database_url,
            "SECRET_KEY": "k" * 40,
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_URL": bot_api.url,
            "TELEGRAM_UPDATES": "polling",
        }
        environment = {f"BELLWIRE_{name}": value for name, value in values.items()}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        _forget()
        with transaction() as connection:
            ensure_tenant(connection, "acme")
            body = {"telegram_chat_id": 71, "roles": ["operations"]}
            put_user(connection, tenant="acme", user_id="ada", body=body, actor="cli")
        yield Chat(bot_api, environment)
        engine().dispose()
    _forget()


def _forget() -> None:
    for cached in (settings, engine, _seal):
        cached.cache_clear()
