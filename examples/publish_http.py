"""Publish an event over HTTP. 202 means stored; sent again under the same Idempotency-Key it is still one event.

KEY=$(cat .bellwire/admin.key) .venv/bin/python examples/publish_http.py
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any
from uuid import uuid4

import requests

API = os.environ.get("API", "http://127.0.0.1:8080")
EVENT = {"type": "ssl_expiry", "data": {"host": "http.example.org", "days_left": 7}}
TRIES = 5
SECONDS = 10  # for an answer
LATER = (429, 503)  # the key published too much in a minute; the database is away


def publish(event: dict[str, Any], key: str, api: str = API) -> str:
    """The id of the stored event. Without an answer nobody knows whether it was stored, so it is sent again too."""
    headers = {"X-API-Key": key, "Idempotency-Key": str(uuid4())}
    for number in range(1, TRIES + 1):
        wait = float(number)
        try:
            answer = requests.post(f"{api}/v1/events", json=event, headers=headers, timeout=SECONDS)
        except (requests.ConnectionError, requests.Timeout):
            if number == TRIES:
                raise
        else:
            if answer.status_code not in LATER or number == TRIES:
                answer.raise_for_status()
                return str(answer.json()["id"])
            wait = float(answer.headers.get("Retry-After", wait))
        time.sleep(wait)
    raise AssertionError("the last try answers or raises")


if __name__ == "__main__":
    if "KEY" not in os.environ:
        sys.exit("Set KEY to an API key: KEY=$(cat .bellwire/admin.key)")
    print("published", publish(EVENT, os.environ["KEY"]))
