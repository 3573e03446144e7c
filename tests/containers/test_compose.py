"""docker-compose.yml, tried without Docker: each service's own command runs, and its own health check passes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.queue import queues
from workers.stack.postgres import PROGRAMS
from workers.stack.valkey import server

ROOT = Path(__file__).parents[2]
VARIABLES = {"POSTGRES_PASSWORD": "a-password", "FLOWER_PASSWORD": "another-password"}
OURS = ("api", "worker-ingest", "worker-messages", "worker-webhooks", "worker-sweep", "beat", "bus", "flower")
WORKERS = tuple(name for name in OURS if name.startswith("worker-"))


def interpolated(text: str) -> str:
    """What Docker Compose makes of ${NAME:?message}, ${NAME:-default} and $$."""

    def value(found: re.Match[str]) -> str:
        return VARIABLES[found[1]] if found[2] == ":?" else VARIABLES.get(found[1], found[3])

    return re.sub(r"\$\{(\w+)(:[?-])([^}]*)\}", value, text)


SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(interpolated((ROOT / "docker-compose.yml").read_text()))[
    "services"
]


def health_command(name: str) -> list[str]:
    """The health check as the container would run it."""
    kind, *rest = SERVICES[name]["healthcheck"]["test"]
    rest = [part.replace("$$", "$") for part in rest]
    return rest if kind == "CMD" else ["/bin/sh", "-c", *rest]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return str(found.getsockname()[1])


def test_every_queue_is_worked_on_by_one_service() -> None:
    served = [queue for name in WORKERS for queue in SERVICES[name]["command"][5].split(",")]
    assert sorted(served) == sorted(queue.name for queue in queues())


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_has_a_health_check_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert SERVICES[name]["restart"] == ("no" if name == "migrate" else "unless-stopped")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_fills_the_disk_with_its_log(name: str) -> None:
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


def test_events_that_wait_in_the_broker_survive_its_restart() -> None:
    command = SERVICES["valkey"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert SERVICES["valkey"]["volumes"] == ["valkey:/data"]


def test_the_example_of_settings_lists_what_the_file_needs_besides() -> None:
    assert set(re.findall(r"^#(\w+_PASSWORD)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)) == set(VARIABLES)


@pytest.mark.parametrize("name", OURS)
def test_our_services_wait_for_the_schema_and_have_no_power(name: str) -> None:
    service = SERVICES[name]
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_given_the_time_to_finish_what_it_claimed(name: str) -> None:
    assert SERVICES[name]["stop_grace_period"] == "60s"


@pytest.mark.parametrize("name", ["api", "flower"])
def test_nothing_is_open_to_the_network_by_itself(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_the_image_has_what_the_processes_import() -> None:
    wanted = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert wanted >= {"api", "channels", "config", "domain", "models", "pipeline", "tasks", "templates", "workers"}


class Containers:
    """The services of the file as processes of this machine, with ports and addresses of their own."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.replaced = {"8080": free_port(), "5555": free_port(), "0.0.0.0": "127.0.0.1", "/tmp/": f"{folder}/"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, **environment, "PATH": path, "BELLWIRE_HOME": str(folder)}
        self.folder = folder

    def adapted(self, parts: list[str]) -> list[str]:
        for old, new in self.replaced.items():
            parts = [part.replace(old, new) for part in parts]
        return parts

    def start(self, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                self.adapted(SERVICES[name]["command"]), env=self._environment(name), stdout=log, stderr=log
            )

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        """One run of the health check, with the time that the file gives it."""
        return subprocess.run(
            self.adapted(health_command(name)),
            env=self._environment(name),
            timeout=float(SERVICES[name]["healthcheck"]["timeout"].removesuffix("s")),
            capture_output=True,
            text=True,
            check=False,
        )

    def becomes_healthy(self, name: str, seconds: float = 60.0) -> bool:
        deadline = time.monotonic() + seconds
        while self.health(name).returncode != 0:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)  # each look starts a process
        return True

    def _environment(self, name: str) -> dict[str, str]:
        given = {key: value for key, value in SERVICES[name].get("environment", {}).items() if "FLOWER" in key}
        return self.environment | given


@pytest.fixture(scope="module")
def containers(
    servers: dict[str, str], module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Containers]:
    environment = {
        "BELLWIRE_DATABASE_URL": module_database_url,
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
        "BELLWIRE_SECRET_KEY": "a-secret-key-for-the-containers-of-this-test",
        "BELLWIRE_JWT_SECRET": "a-secret-for-tokens-for-the-containers-of-this-test",
    }
    made = Containers(environment, tmp_path_factory.mktemp("containers"))
    with ExitStack() as stack:
        processes = [stack.enter_context(made.start(name)) for name in OURS]
        yield made
        for process in processes:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("name", OURS)
def test_the_service_becomes_healthy(containers: Containers, name: str) -> None:
    assert containers.becomes_healthy(name), (containers.folder / f"{name}.log").read_text()[-2000:]


def test_migrate_runs_to_its_end_and_is_healthy_then(containers: Containers) -> None:
    assert containers.start("migrate").wait(timeout=30) == 0
    assert containers.health("migrate").returncode == 0


def test_migrate_is_not_healthy_before_it_ran(containers: Containers, empty_database_url: str) -> None:
    elsewhere = Containers({**containers.environment, "BELLWIRE_DATABASE_URL": empty_database_url}, containers.folder)
    checked = elsewhere.health("migrate")
    assert checked.returncode == 1
    assert checked.stderr.startswith("The database does not have the newest schema")


@pytest.mark.parametrize("name", ["api", "worker-sweep", "bus", "flower"])
def test_a_service_that_does_not_run_is_not_healthy(containers: Containers, tmp_path: Path, name: str) -> None:
    broker = containers.environment["BELLWIRE_BROKER_URL"] + "?virtual_host=9"
    elsewhere = Containers({**containers.environment, "BELLWIRE_BROKER_URL": broker}, tmp_path)
    assert elsewhere.health(name).returncode != 0


# Becomes the owner of the home if root's, then the program itself.
LAUNCH = """
import os, sys
from pathlib import Path
from workers.stack.privileges import leave_root
leave_root(Path(sys.argv[1]), (Path(sys.argv[2]),))
os.execv(sys.argv[2], sys.argv[2:])
"""


def passes_while_running(command: list[str], check: list[str]) -> bool:
    """Whether `check` fails before `command` runs and passes within ten seconds of its start."""

    def passes() -> bool:
        return subprocess.run(check, capture_output=True, check=False, timeout=5).returncode == 0

    assert not passes()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 10
            while not passes() and time.monotonic() < deadline:
                time.sleep(0.05)
            return passes()
        finally:
            process.send_signal(signal.SIGINT)


def test_the_postgres_service_becomes_healthy(home: Path) -> None:
    with subprocess.Popen((sys.executable, "-m", "workers.stack.servers", str(home)), stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline()
        maker.terminate()
    name, *options = SERVICES["postgres"]["command"]
    port = free_port()
    place = ["-D", str(home / "postgres"), "-k", str(home / "run"), "-h", "127.0.0.1", "-p", port]
    command = [sys.executable, "-c", LAUNCH, str(home), str(PROGRAMS / name), *options, *place]
    tool, *arguments = health_command("postgres")
    assert passes_while_running(command, [str(PROGRAMS / tool), *arguments, "--port", port])


def test_a_server_on_the_socket_alone_is_not_healthy() -> None:
    arguments = health_command("postgres")
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"


def test_the_valkey_service_becomes_healthy(home: Path) -> None:
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if client is None:
        pytest.skip("neither valkey-cli nor redis-cli is installed (Debian: redis-tools)")
    port = free_port()
    command = [str(server()), *SERVICES["valkey"]["command"][1:], "--port", port, "--dir", str(home)]
    assert passes_while_running(command, [client, "-p", port, *health_command("valkey")[1:]])
