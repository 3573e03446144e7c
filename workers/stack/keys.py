"""Secrets that the local stack makes once and keeps below its home, readable by its user alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from workers.stack.places import Places


def secret_key(places: Places) -> str:
    """What signs links and encrypts secrets; a new one would make stored secrets unreadable."""
    return _once(places.home / "secret.key")


def jwt_secret(places: Places) -> str:
    """What signs users' tokens."""
    return _once(places.home / "jwt.secret")


def flower_password(places: Places) -> str:
    """What Flower asks for, user `bellwire`."""
    return _once(places.home / "flower.password")


def write_private(file: Path, text: str) -> None:
    """Write `file` whole or not at all, readable by this user alone."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.rename(file)


def _once(file: Path) -> str:
    if not file.exists():
        write_private(file, secrets.token_urlsafe(48) + "\n")
    return file.read_text().strip()
