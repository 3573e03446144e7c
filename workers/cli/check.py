"""`bellwire check`: what is wrong with the settings, the catalogue, the routes and the templates, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import typer

from channels.registry import PROVIDERS, configured
from config.problems import problems as catalogue_problems
from config.queue import queues
from config.settings import Settings, SettingsError, settings
from config.variables import unknown_variables
from domain.errors import InvalidInputError
from pipeline.faces import SHIPPED as TEMPLATES
from pipeline.translations import problems as language_problems
from workers.cli.app import app
from workers.cli.half_set import doubtful, half_set
from workers.cli.output import JsonOption, counted, print_json, say
from workers.stack.places import Places

PREVIEW: Final = "preview"
HOW_TO_SET: Final = {
    "email": "set BELLWIRE_SMTP_URL, or another provider's account (docs/channels.md)",
    "push": "set BELLWIRE_APNS_KEY, BELLWIRE_FCM_CREDENTIALS or BELLWIRE_VAPID_PRIVATE_KEY",
    "sms": "set BELLWIRE_TWILIO_ACCOUNT_SID, _AUTH_TOKEN and _FROM, or BELLWIRE_SNS_ENABLED",
    "telegram": "set BELLWIRE_TELEGRAM_BOT_TOKEN",
    "whatsapp": "set BELLWIRE_WHATSAPP_TOKEN and BELLWIRE_WHATSAPP_PHONE_NUMBER_ID",
}


@app.command()
def check(*, json: JsonOption = False) -> None:
    """Say what is wrong and where, and by whom each channel goes. Fails when something is wrong."""
    wrong = {
        "settings": _settings(),
        "catalogue and routes": catalogue_problems(),
        "queues": _queues(),
        "templates": list(dict.fromkeys(TEMPLATES.problems())),
        "languages": language_problems(),
    }
    count = sum(map(len, wrong.values()))
    providers = {} if wrong["settings"] else _providers(settings())
    notes = [] if wrong["settings"] else [*_notes(providers), *doubtful(settings(), providers)]
    notes += unknown_variables()
    if json:
        print_json({"problems": wrong, "providers": providers, "notes": notes})
    else:
        _show(wrong, providers, notes, count)
    if count:
        raise typer.Exit(1)


def _settings() -> list[str]:
    """One sentence for each setting that cannot be used, those of providers and of their receipts too."""
    try:
        given = settings()
    except SettingsError as error:
        return _sentences(error)
    try:
        configured(given, preview=False)
    except SettingsError as error:
        return [*_sentences(error), *half_set(given)]
    return half_set(given)


def _sentences(error: SettingsError) -> list[str]:
    return re.split("; (?=BELLWIRE_)", str(error))


def _queues() -> list[str]:
    try:
        queues()
    except InvalidInputError as error:
        return [f"config/queue.yaml: {error}"]
    return []


def _providers(given: Settings) -> dict[str, list[str]]:
    """By whom each channel goes, in the order in which they are tried."""
    found = configured(given, preview=given.preview or _keeps_previews(given))
    return {channel: [provider.name for provider in found.get(channel, ())] for channel in PROVIDERS}


def _notes(providers: Mapping[str, Sequence[str]]) -> list[str]:
    """Channels whose deliveries would wait or are only kept, and how that is changed."""
    notes = []
    for channel, names in providers.items():
        if not names:
            notes.append(f"{channel} has no provider, so its deliveries wait: {HOW_TO_SET[channel]}.")
        elif list(names) == [PREVIEW]:
            notes.append(
                f"{channel} has no provider; its messages are kept in the preview mailbox: `bellwire previews`."
            )
    return notes


def _keeps_previews(given: Settings) -> bool:
    """What `up --demo` decided counts here too, unless the settings decide otherwise."""
    return "preview" not in given.model_fields_set and Places.of(given.home).keeps_previews


def _show(
    wrong: Mapping[str, Sequence[str]], providers: Mapping[str, Sequence[str]], notes: Iterable[str], count: int
) -> None:
    for what, found in wrong.items():
        say(f"{what}: {counted(len(found), 'problem') if found else 'in order'}", "bold red" if found else "green")
        for problem in found:
            say(f"  {problem}")
    for channel, names in providers.items():
        if list(names) == [channel]:
            say(f"{channel} is set up")
        elif names and list(names) != [PREVIEW]:
            say(f"{channel} goes by {', '.join(names)}")
    for note in notes:
        say(note, "yellow")
    if count:
        say(f"{counted(count, 'problem')}.", "bold red")
