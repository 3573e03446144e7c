"""`bellwire check`: what is wrong with the settings, the catalogue, the routes and the templates, and where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import typer

from channels.registry import PROVIDERS, configured
from config.problems import problems as catalogue_problems
from config.queue import queues
from config.settings import Settings, SettingsError, settings
from domain.errors import InvalidInputError
from pipeline.faces import SHIPPED as TEMPLATES
from workers.cli.app import app
from workers.cli.output import JsonOption, counted, print_json, say
from workers.stack.places import Places

HOW_TO_SET: Final = {
    "email": "set BELLWIRE_SMTP_URL",
    "push": "set BELLWIRE_APNS_KEY, BELLWIRE_FCM_CREDENTIALS or BELLWIRE_VAPID_PRIVATE_KEY",
    "sms": "set BELLWIRE_TWILIO_ACCOUNT_SID",
    "telegram": "set BELLWIRE_TELEGRAM_BOT_TOKEN",
    "whatsapp": "set BELLWIRE_WHATSAPP_TOKEN",
}


@app.command()
def check(*, json: JsonOption = False) -> None:
    """Say what is wrong and where, and which channels have no provider. Fails when something is wrong."""
    wrong = {
        "settings": _settings(),
        "catalogue and routes": catalogue_problems(),
        "queues": _queues(),
        "templates": list(dict.fromkeys(TEMPLATES.problems())),
    }
    count = sum(map(len, wrong.values()))
    notes = [] if wrong["settings"] else _channels(settings())
    if json:
        print_json({"problems": wrong, "notes": notes})
    else:
        _show(wrong, notes, count)
    if count:
        raise typer.Exit(1)


def _settings() -> list[str]:
    """One sentence for each setting that cannot be used, those of providers too."""
    try:
        configured(settings(), preview=False)
    except SettingsError as error:
        return str(error).split("; ")
    return []


def _queues() -> list[str]:
    try:
        queues()
    except InvalidInputError as error:
        return [f"config/queue.yaml: {error}"]
    return []


def _channels(given: Settings) -> Iterable[Any]:
    """Channels whose deliveries would wait, and how that is changed."""
    providers = configured(given, preview=given.preview or _keeps_previews(given))
    notes = []
    for channel in PROVIDERS:
        names = [provider.name for provider in providers.get(channel, ())]
        if not names:
            notes.append(f"{channel} has no provider, so its deliveries wait: {HOW_TO_SET[channel]}.")
        elif names == ["preview"]:
            notes.append(
                f"{channel} has no provider; its messages are kept in the preview mailbox: `bellwire previews`."
            )
    return notes


def _keeps_previews(given: Settings) -> bool:
    """What `up --demo` decided counts here too, unless the settings decide otherwise."""
    return "preview" not in given.model_fields_set and Places.of(given.home).keeps_previews


def _show(wrong: dict[str, list[str]], notes: Iterable[str], count: int) -> None:
    for what, found in wrong.items():
        say(f"{what}: {counted(len(found), 'problem') if found else 'in order'}", "bold red" if found else "green")
        for problem in found:
            say(f"  {problem}")
    for note in notes:
        say(note, "yellow")
    if count:
        say(f"{counted(count, 'problem')}.", "bold red")
