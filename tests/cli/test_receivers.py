"""`python -m workers.receivers` starts the lab by hand."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from channels.registry import PROVIDERS, configured
from config.settings import settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The process, and a file with what it printed."""
    command = [sys.executable, "-m", "workers.receivers"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [line := process.stdout.readline()]
        while line and not line.startswith("# Webhooks: "):
            lines.append(line := process.stdout.readline())
        (tmp_path / "lab.env").write_text("".join(lines), encoding="utf-8")
        yield process, tmp_path / "lab.env"
        process.kill()


def test_what_it_prints_sets_every_provider_up(
    started: tuple[subprocess.Popen[str], Path], nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLWIRE_ENV_FILE", str(started[1]))
    settings.cache_clear()
    found = configured(settings(), preview=False)
    assert {channel: [one.name for one in made] for channel, made in found.items()} == {
        channel: list(table) for channel, table in PROVIDERS.items()
    }


def test_it_listens_until_it_is_stopped(started: tuple[subprocess.Popen[str], Path]) -> None:
    process, printed = started
    url = printed.read_text(encoding="utf-8").rpartition("# Webhooks: ")[2].strip()
    assert urlsplit(url).hostname == "127.0.0.1"
    with urlopen(Request(url, b"{}", method="POST"), timeout=10) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
