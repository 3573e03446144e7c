"""The sample events and the demo tenant of ``config/samples/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

SAMPLES: Final = Path(__file__).with_name("samples")


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo tenant: `users` and `webhooks` are the bodies that the API takes, by id and by name."""

    tenant: str
    users: Mapping[str, Mapping[str, Any]]
    webhooks: Mapping[str, Mapping[str, Any]]


def demo(webhook_url: str) -> Demo:
    """The demo tenant with its receivers at `webhook_url`, each on a path of its own: ``/flaky``, ``/broken``, ..."""
    body = yaml.safe_load((SAMPLES / "demo.yaml").read_text(encoding="utf-8"))
    webhooks = {
        name: {**webhook, "url": webhook["url"].replace("{webhook_url}", webhook_url.rstrip("/"))}
        for name, webhook in body["webhooks"].items()
    }
    return Demo(body["tenant"], body["users"], webhooks)


def sample_events() -> list[dict[str, Any]]:
    """Every sample event in the form of ``POST /v1/events``, file by file, line by line."""
    lines = (line for path in sorted(SAMPLES.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines())
    return [json.loads(line) for line in lines]
