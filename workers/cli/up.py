"""`bellwire up`: the whole product on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from config.settings import settings
from workers.cli.app import app
from workers.stack.supervisor import run


@app.command()
def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="With the demo tenant; messages can be seen without providers.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where the API listens; 0 takes a free port.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Where data, logs and keys are kept.")] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Start everything, print `ready` and the address, and stay until Ctrl-C or SIGTERM."""
    if home is not None:
        os.environ["BELLWIRE_HOME"] = str(home.absolute())
    if port is not None:
        os.environ["BELLWIRE_PORT"] = str(port)
    run(settings(), demo=demo, with_parent=with_parent)
