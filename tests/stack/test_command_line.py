"""How `bellwire` fails: one sentence on stderr, a code that is not zero, a traceback only when asked for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from workers.cli.app import COMMANDS


def bellwire(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
    return subprocess.run(
        (sys.executable, "-m", "workers.cli", *arguments),
        env={
            **others,
            "BELLWIRE_ENV_FILE": os.devnull,
            **{f"BELLWIRE_{name.upper()}": value for name, value in settings.items()},
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_wrong_setting_is_named_with_what_it_should_be(home: Path) -> None:
    done = bellwire("up", home=str(home), retry_schedule="soon")
    assert done.returncode == 1
    assert done.stderr == (
        "BELLWIRE_RETRY_SCHEDULE: must be whole seconds separated by commas, such as 60,300,900,1800,3600\n"
    )


def test_the_traceback_is_shown_when_asked_for(home: Path) -> None:
    done = bellwire("up", "--debug", home=str(home), retry_schedule="soon")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nonsense",), "No such command 'nonsense'.\n"),
        (("up", "--nonsense"), "No such option: --nonsense\n"),
        (("up", "--port", "high"), "Invalid value for '--port': "),
    ],
)
def test_arguments_that_cannot_be_understood_end_with_2(arguments: tuple[str, ...], sentence: str) -> None:
    done = bellwire(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert bellwire("--version").stdout == f"bellwire {project['version']}\n"


@pytest.mark.parametrize(("by_make", "ways"), [(False, "--port or BELLWIRE_PORT"), (True, "BELLWIRE_PORT")])
def test_a_port_that_is_taken_is_said_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, by_make: bool, ways: str
) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    if by_make:
        monkeypatch.setenv("MAKELEVEL", "1")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = bellwire("up", "--home", str(home), "--port", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"The API cannot listen on 127.0.0.1:{port} (Address already in use); choose another with {ways}.\n"
    )
    assert not (home / "postgres").exists()


def test_a_command_without_a_stack_says_how_to_start_one(home: Path) -> None:
    done = bellwire("migrate", home=str(home))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Bellwire does not run on {home}: start it with `bellwire up`, or set ")


def test_a_database_that_cannot_be_reached_is_one_sentence(home: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    done = bellwire("migrate", home=str(home), database_url=url, broker_url="redis://x", redis_url="redis://x")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_migrate_brings_an_empty_database_to_the_newest_schema(empty_database_url: str) -> None:
    elsewhere = {"database_url": empty_database_url, "broker_url": "redis://x", "redis_url": "redis://x"}
    assert bellwire("migrate", "--check", **elsewhere).returncode == 1
    assert bellwire("migrate", **elsewhere).returncode == 0
    assert bellwire("migrate", "--check", **elsewhere).returncode == 0


def test_the_list_names_every_command() -> None:
    listed = bellwire("--help").stdout
    assert [name for name in COMMANDS if f" {name} " not in listed] == []


def test_up_does_not_load_what_only_the_others_need() -> None:
    """It lives as long as the product: SQLAlchemy, Celery and FastAPI would cost it 100 MiB."""
    program = (
        "import sys; from workers.cli.app import load; load(['up']); "
        "print([name for name in ('sqlalchemy', 'celery', 'fastapi', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that nobody knows")
def test_a_user_without_a_name_is_told_what_to_do(home: Path) -> None:
    os.chown(home, 61234, 61234)
    done = bellwire("up", "--home", str(home), "--port", "0")
    assert done.returncode == 1
    assert "User id 61234 has no entry in /etc/passwd" in done.stderr
    assert len(done.stderr.splitlines()) == 1
