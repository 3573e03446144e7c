"""`bellwire telegram`: tell Telegram where to call, or to call no more."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from channels.base import SendError
from channels.telegram_calls import UPDATES, BotApi, Call
from config.logging import configure
from config.settings import Settings, settings
from workers.cli.app import app
from workers.cli.output import JsonOption, print_json, say, warn
from workers.stack.errors import StackError

telegram = typer.Typer(no_args_is_help=True, help="Telegram's side of button presses and of /start.")
app.add_typer(telegram, name="telegram")

PATH: Final = "/v1/receipts/telegram"
PORTS: Final = (443, 80, 88, 8443)  # https://core.telegram.org/bots/api#setwebhook
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


@telegram.callback()
def every_call() -> None:
    """Telegram's side of button presses and of /start."""


@telegram.command()
def webhook(
    *,
    remove: Annotated[
        bool, typer.Option("--remove", help="No calls any more; updates can be asked for again.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Let Telegram call BELLWIRE_PUBLIC_URL when somebody presses a button or writes /start."""
    configure("ERROR")
    given = settings()
    call = Call("deleteWebhook", {}) if remove else _set(given)
    asyncio.run(_make(given, call))
    url = None if remove else call.fields["url"]
    if json:
        print_json({"url": url, "allowed_updates": None if remove else list(UPDATES)})
        return
    say("Telegram calls no more." if remove else f"Telegram calls {url} from now on.")
    if not remove and given.telegram_updates != "webhook":
        warn("BELLWIRE_TELEGRAM_UPDATES is off, so messages have no buttons; set it to webhook.")


def _set(given: Settings) -> Call:
    """The call. Raises StackError for what Telegram would refuse, or what would then not work."""
    secret = given.telegram_webhook_secret.get_secret_value() if given.telegram_webhook_secret else ""
    if not _SECRET.fullmatch(secret):
        problem = "is not set" if not secret else "must be 1 to 256 of A-Z, a-z, 0-9, _ and -"
        raise StackError(f"BELLWIRE_TELEGRAM_WEBHOOK_SECRET {problem}; `openssl rand -hex 32` makes one.")
    if given.telegram_updates == "polling":
        raise StackError("BELLWIRE_TELEGRAM_UPDATES is polling; Telegram answers nobody while it calls somebody.")
    url = f"{given.public_url.rstrip('/')}{PATH}"
    parsed = urlsplit(url)
    if parsed.scheme != "https" or (parsed.port or 443) not in PORTS:
        ports = ", ".join(map(str, PORTS))
        raise StackError(
            f"BELLWIRE_PUBLIC_URL must begin with https:// and use one of the ports {ports}, for Telegram."
        )
    return Call("setWebhook", {"url": url, "secret_token": secret, "allowed_updates": list(UPDATES)})


async def _make(given: Settings, call: Call) -> Any:
    bot = BotApi.from_settings(given)
    if bot is None:
        raise StackError("BELLWIRE_TELEGRAM_BOT_TOKEN is not set, so there is no bot.")
    try:
        return await bot.call(call)
    except SendError as error:
        raise StackError(f"Telegram did not do it: {error.detail}.") from None
    finally:
        await bot.close()
