"""The example that publishes over HTTP: against an API, and against a server that first says no."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.api import Api

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "publish_http.py"


class Reluctant(HTTPServer):
    """Answers the next of `answers`; None hangs up without a word. Keeps the Idempotency-Keys."""

    def __init__(self, *answers: int | None) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers = list(answers)
        self.keys: list[str] = []


class Answer(BaseHTTPRequestHandler):
    """One answer."""

    server: Reluctant

    def do_POST(self) -> None:
        """What comes next."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Idempotency-Key"])
        status = self.server.answers.pop(0)
        if status is None:
            return
        body = json.dumps({"id": "the-id"}).encode()
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def reluctant() -> Iterator[Reluctant]:
    """A server that is busy, and then is not."""
    server = Reluctant(503, 429, 202)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def publish(server: Reluctant) -> Any:
    """What the example's function answers."""
    where = f"http://127.0.0.1:{server.server_address[1]}"
    return runpy.run_path(str(EXAMPLE))["publish"]({"type": "x"}, "bw_key", where)


def test_the_example_stores_one_event(api: Api) -> None:
    environment = os.environ | {"API": api.url, "KEY": api.key("publisher")}
    done = subprocess.run((sys.executable, EXAMPLE), env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    ((stored, data),) = api.rows("SELECT id::text, data FROM events")
    assert (stored, data["host"]) == (done.stdout.split()[-1], "http.example.org")


def test_it_waits_and_sends_the_same_again_when_it_is_told_to(reluctant: Reluctant) -> None:
    assert publish(reluctant) == "the-id"
    assert len(reluctant.keys) == 3
    assert len(set(reluctant.keys)) == 1


def test_it_gives_up_at_once_when_waiting_does_not_help(reluctant: Reluctant) -> None:
    reluctant.answers = [400]
    with pytest.raises(requests.HTTPError):
        publish(reluctant)
    assert len(reluctant.keys) == 1


def test_it_sends_the_same_again_when_nobody_can_say_whether_it_was_stored(reluctant: Reluctant) -> None:
    reluctant.answers = [None, 202]
    assert publish(reluctant) == "the-id"
    assert len(set(reluctant.keys)) == 1
