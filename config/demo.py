"""The sample events and the demo tenant of ``config/samples/``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

SAMPLES: Final = Path(__file__).with_name("samples")

_SUBSCRIPTION: Final = re.compile(r"\{subscription:([\w-]+)\}")


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo tenant: its branding, and `users`, `devices` and `webhooks` by id and name, are bodies of the API."""

    tenant: str
    branding: Mapping[str, Any]
    users: Mapping[str, Mapping[str, Any]]
    devices: Mapping[str, Sequence[Mapping[str, Any]]]
    webhooks: Mapping[str, Mapping[str, Any]]


def demo(webhook_url: str, subscribe: Callable[[str], str] | None = None) -> Demo:
    """The demo tenant with its receivers at `webhook_url`, each on a path of its own: ``/flaky``, ``/broken``, ...

    Args:
        subscribe: gives the PushSubscription of a named browser; without it there are no browsers among the devices.
    """
    body = yaml.safe_load((SAMPLES / "demo.yaml").read_text(encoding="utf-8"))
    webhooks = {
        name: {**webhook, "url": webhook["url"].replace("{webhook_url}", webhook_url.rstrip("/"))}
        for name, webhook in body["webhooks"].items()
    }
    devices = {user: list(_devices(listed, subscribe)) for user, listed in body["devices"].items()}
    return Demo(body["tenant"], body["branding"], body["users"], devices, webhooks)


def _devices(
    listed: Sequence[Mapping[str, Any]], subscribe: Callable[[str], str] | None
) -> Iterator[Mapping[str, Any]]:
    for device in listed:
        browser = _SUBSCRIPTION.fullmatch(device["token"])
        if browser is None:
            yield device
        elif subscribe is not None:
            yield {**device, "token": subscribe(browser[1])}


def sample_events() -> list[dict[str, Any]]:
    """Every sample event in the form of ``POST /v1/events``, file by file, line by line."""
    lines = (line for path in sorted(SAMPLES.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines())
    return [json.loads(line) for line in lines]


def sample(event_type: str) -> dict[str, Any] | None:
    """The first sample event of a type in the form of ``POST /v1/events``, as previews show it; None without one."""
    text = _samples().get(event_type)
    return None if text is None else json.loads(text)


@cache
def _samples() -> dict[str, str]:
    """The first of each type, as JSON: whoever is given a sample may change it."""
    return {event["type"]: json.dumps(event) for event in reversed(sample_events())}
