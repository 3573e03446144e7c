"""Finds the servers that come as wheels without importing them: that would make folders and exit handlers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def wheel_folder(package: str) -> Path:
    """The folder of an installed package.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    found = find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(package)
    return Path(found.origin).parent
