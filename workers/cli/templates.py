"""`bellwire templates`: a tenant's own templates as files and versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import InvalidInputError
from pipeline import templates as stored
from pipeline.custom import SandboxAwayError
from pipeline.published import Place
from pipeline.setup import check_tenant
from pipeline.template_body import Body, check_place, check_whole, read_body
from pipeline.template_trial import Background, Trial, in_words, read_background, try_out
from workers.cli.app import app
from workers.cli.output import JsonOption, counted, print_json, say, show_table, warn
from workers.cli.stack import ACTOR, database
from workers.cli.template_files import Found, file_name, read_file, read_folder
from workers.stack.errors import StackError

templates = typer.Typer(help="A tenant's own templates.", no_args_is_help=True)
app.add_typer(templates, name="templates")

COLUMNS = ("event", "channel", "locale", "published", "newest", "versions")
OwnerOption = Annotated[str, typer.Option("--tenant", help="Whose templates they are.")]
EventArgument = Annotated[str, typer.Argument(metavar="EVENT", help="An event type.")]
ChannelArgument = Annotated[str, typer.Argument(metavar="CHANNEL", help="email, sms, push, telegram ...")]
LocaleOption = Annotated[str | None, typer.Option(help="de or de-AT; for all by default.")]
VersionOption = Annotated[int | None, typer.Option(help="The newest by default.", min=1)]


@templates.command("list")
def list_all(*, tenant: OwnerOption, json: JsonOption = False) -> None:
    """Templates of which the tenant has versions, and which of them is in force."""
    with database() as connection:
        check_tenant(connection, tenant)
        found = _every(connection, tenant)
    if json:
        print_json({"templates": found})
    else:
        show_table(found, COLUMNS, nothing="No templates of the tenant's own; the shipped ones are used.")


@templates.command()
def show(
    event: EventArgument,
    channel: ChannelArgument,
    *,
    tenant: OwnerOption,
    locale: LocaleOption = None,
    json: JsonOption = False,
) -> None:
    """The template in force with its words, and its versions."""
    place = check_place(event, channel, locale)
    with database() as connection:
        check_tenant(connection, tenant)
        found = stored.get_template(connection, tenant=tenant, place=place)
    if json:
        print_json(found)
        return
    say(f"Version {found['published']} is in force." if found["own"] else "The shipped template is in force.")
    for part, words in found["body"].items():
        if words:
            say(f"\n{part}:", "bold")
            typer.echo(words)
    show_table(found["versions"], ("version", "state", "created_by", "created_at"))


@templates.command("export")
def write_files(
    folder: Annotated[Path, typer.Argument(help="Where to; made if it does not exist.")],
    *,
    tenant: OwnerOption,
) -> None:
    """Write what is in force to files, or the newest draft where nothing is; `import` reads them back."""
    with database() as connection:
        check_tenant(connection, tenant)
        every = _every(connection, tenant)
        for one in every:
            place = check_place(one["event"], one["channel"], one["locale"])
            version = stored.find_version(
                connection, tenant=tenant, place=place, number=one["published"] or one["newest"]
            )
            for part, words in (version.body if version else {}).items():
                path = folder / file_name(place, part)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(words, encoding="utf-8")
    say(f"{counted(len(every), 'template')} below {folder}.", "green")


@templates.command("import")
def read_files(
    path: Annotated[Path, typer.Argument(help="A file, or a folder with a folder for each event type.", exists=True)],
    *,
    tenant: OwnerOption,
    event: Annotated[str | None, typer.Option(help="For a file: the event type.")] = None,
    channel: Annotated[str, typer.Option(help="For a file: the channel.")] = "email",
    locale: LocaleOption = None,
    publish: Annotated[bool, typer.Option("--publish", help="Put it in force at once.")] = False,
    json: JsonOption = False,
) -> None:
    """Save templates as new versions. What ends in .hbs is translated from Handlebars.

    A folder is all or nothing: one that cannot be used leaves everything as it was.
    """
    found = read_folder(path) if path.is_dir() else read_file(path, check_place(event or path.stem, channel, locale))
    with database() as connection:
        check_tenant(connection, tenant)
        saved = [_save(connection, tenant, place, one, publish=publish) for place, one in found.items()]
    if json:
        print_json({"templates": saved})
        return
    for one in saved:
        state = "in force" if publish else "a draft"
        say(f"{one['event']} for {one['channel']}: version {one['version']} is {state}.", "green")


@templates.command("publish")
def put_in_force(
    event: EventArgument,
    channel: ChannelArgument,
    *,
    tenant: OwnerOption,
    locale: LocaleOption = None,
    version: VersionOption = None,
) -> None:
    """Put a version in force; every process uses it within a second."""
    place = check_place(event, channel, locale)
    with database() as connection:
        check_tenant(connection, tenant)
        done = stored.publish(connection, tenant=tenant, place=place, number=version, actor=ACTOR)
        if done is None:
            raise StackError("There is no such version; `bellwire templates show` lists them.")
    say(f"Version {done['published']} is in force.", "green")


def _every(connection: Any, tenant: str) -> list[dict[str, Any]]:
    found, cursor = stored.list_templates(connection, tenant=tenant)
    while cursor is not None:
        page, cursor = stored.list_templates(connection, tenant=tenant, cursor=cursor)
        found += page
    return found


def _save(connection: Any, tenant: str, place: Place, found: Found, *, publish: bool) -> dict[str, Any]:
    body = _whole(place, found)
    trial = _tried(read_background(connection, tenant, place[0]), place, found)
    draft = stored.save_draft(connection, tenant=tenant, place=place, body=body, actor=ACTOR)
    if publish:
        stored.publish(connection, tenant=tenant, place=place, number=draft["version"], actor=ACTOR)
    named = {"event": place[0], "channel": place[1], "locale": place[2] or None}
    return {**named, "version": draft["version"], "warnings": trial.warnings}


def _whole(place: Place, found: Found) -> Body:
    """The parts, with the files, the event and the channel named in what is wrong."""
    try:
        return check_whole(place[1], read_body(place[1], found.parts))
    except InvalidInputError as error:
        files = found.files.get(error.field) or ", ".join(str(path) for path in found.files.values())
        raise StackError(f"{files}: {error} ({place[0]} for {place[1]}).") from None


def _tried(background: Background, place: Place, found: Found) -> Trial:
    """A trial, with the files named in what is wrong."""
    try:
        trial = try_out(place, found.parts, background.cases, background, strict=bool(background.samples))
    except InvalidInputError as error:
        raise StackError(f"{found.files.get(error.field, error.field)}: {error.problem}.") from None
    except SandboxAwayError as error:
        raise StackError(f"{error}; please try again.") from None
    for one in trial.warnings:
        warn(f"{found.files.get(one['part'], place[0])}: {in_words(one).removesuffix('?')}.")
    return trial
