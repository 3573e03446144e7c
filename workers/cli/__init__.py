"""The command line, `bellwire`: one file per command or group of commands, named in the table of workers.cli.app."""

from workers.cli.app import main

__all__ = ["main"]
