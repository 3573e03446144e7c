"""The `bellwire` command: the table of its commands, and how it fails: one sentence and a code that is not zero."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

from config.settings import SettingsError
from domain.errors import InvalidInputError
from workers.stack.errors import StackError

# Each module adds its command or group to `app` when it is imported. Only the one that is called is imported, so that
# `up`, which lives as long as the product, stays small.
COMMANDS = {
    "up": "workers.cli.up",
    "demo": "workers.cli.demo",
    "send": "workers.cli.send",
    "status": "workers.cli.status",
    "deliveries": "workers.cli.deliveries",
    "dead-letters": "workers.cli.deliveries",
    "replay": "workers.cli.replay",
    "previews": "workers.cli.previews",
    "suppressions": "workers.cli.suppressions",
    "templates": "workers.cli.templates",
    "ack": "workers.cli.ack",
    "explain": "workers.cli.explain",
    "keys": "workers.cli.keys",
    "token": "workers.cli.token",
    "telegram": "workers.cli.telegram",
    "check": "workers.cli.check",
    "env": "workers.cli.env",
    "migrate": "workers.cli.migrate",
}
EXPECTED = (StackError, SettingsError, InvalidInputError)

app = typer.Typer(
    name="bellwire",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bellwire {version('bellwire')}")
        raise typer.Exit


@app.callback()
def every_command(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Events in, the right people told over the right channels, nothing lost, and anybody can see why."""


def main() -> None:
    """Run the command of this process's arguments and exit with its code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(run(arguments, debug="--debug" in sys.argv[1:]))


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run one command; an error becomes one sentence on stderr unless `debug` asks for all of it.

    Returns:
        0, the command's own code, 2 for arguments that cannot be understood, 130 for Ctrl-C, otherwise 1.
    """
    load(arguments)
    try:
        return int(app(list(arguments), prog_name="bellwire", standalone_mode=False) or 0)
    except TyperException as error:
        return _fail(_in_words(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("Interrupted.", 130)
    except typer.Abort:
        return _fail("Stopped, nothing was changed.", 1)
    except EXPECTED as error:
        if debug:
            raise
        return _fail(str(error), 1)
    except Exception as error:
        if debug:
            raise
        first = (str(error).strip() or "no more is known").splitlines()[0]
        return _fail(f"{type(error).__name__}: {first} (--debug shows where)", 1)


def load(arguments: Sequence[str]) -> None:
    """Import the module of the command that is called; all of them when none is, for the list."""
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    for module in [COMMANDS[named]] if named in COMMANDS else dict.fromkeys(COMMANDS.values()):
        importlib.import_module(module)


def _in_words(error: TyperException) -> str:
    """What is wrong with the arguments; where one is missing, which the command needs."""
    sentence = error.format_message().replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    if context is None or not sentence.startswith("Missing "):
        return sentence
    needed = [one for one in context.command.params if one.required]
    words = [
        (one.metavar or one.name.upper()) if one.param_type_name == "argument" else _with_value(one) for one in needed
    ]
    return f"{sentence}\nUsage: {' '.join((context.command_path, *words))} [OPTIONS]"


def _with_value(option: Any) -> str:
    return f"{option.opts[0]} {option.metavar or option.name.upper()}"


def _fail(sentence: str, code: int) -> int:
    Console(stderr=True, highlight=False, soft_wrap=True).print(sentence, style="red", markup=False)
    return code
