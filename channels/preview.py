"""Stands in for a channel without a provider: it accepts everything, and the pipeline keeps what was said."""

from __future__ import annotations

from typing import Final, Self

from channels.base import Address, Bulkhead, Capabilities, Message, Provider, Receipt
from config.settings import Settings

# A webhook needs no account, and in-app messages no provider.
PREVIEWED: Final = ("email", "sms", "push", "telegram", "whatsapp", "apprise")


class PreviewProvider(Provider):
    """Sends nothing anywhere; the name tells the deliver stage to store the message in the preview mailbox."""

    channel = "preview"
    name = "preview"
    capabilities = Capabilities(
        parts=frozenset({"title", "text", "html", "body", "attachments"}),
        bulkhead=Bulkhead(concurrent=256),
        deadline=1.0,
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the setting that switches previews on."""
        return cls() if settings.preview else None

    async def send(self, message: Message, address: Address) -> Receipt:
        """Accept it."""
        return Receipt(detail="kept in the preview mailbox")


def preview_of(channel: str) -> PreviewProvider:
    """The preview provider of one channel."""
    made = type(f"{channel.capitalize()}Preview", (PreviewProvider,), {"channel": channel})()
    assert isinstance(made, PreviewProvider)
    return made
