"""Brings a database to the newest schema."""

from __future__ import annotations

import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import DatabaseNotAtHead


def upgrade(database_url: str) -> None:
    """Run every migration that `database_url` has not seen. Safe to call from several machines at once."""
    command.upgrade(_config(database_url), "head")


def is_newest(database_url: str) -> bool:
    """Whether `database_url` has seen every migration."""
    try:
        command.current(_config(database_url), check_heads=True)
    except DatabaseNotAtHead:
        return False
    return True


def _config(database_url: str) -> Config:
    # What Alembic prints for people at a terminal goes nowhere: ours say it in their own words.
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["database_url"] = database_url
    return config
