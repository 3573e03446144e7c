"""The randomness of a run: one seed, printed at its end, that repeats it when it is given as FAULT_SEED."""

from __future__ import annotations

import os
import secrets

import pytest

VARIABLE = "FAULT_SEED"


def pytest_configure() -> None:
    """Choose it before parallel processes are started, which inherit it."""
    os.environ.setdefault(VARIABLE, secrets.token_hex(4))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it, should one of the tests have used it."""
    ran = (report for reports in terminalreporter.stats.values() for report in reports)
    if any("faults" in getattr(report, "keywords", ()) for report in ran):
        terminalreporter.write_line(f"{VARIABLE}={os.environ[VARIABLE]} makes the same faults again")
