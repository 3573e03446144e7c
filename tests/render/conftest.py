"""Contexts to render: any event, and those of the samples."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.catalogue import TEMPLATES, shipped
from config.demo import sample_events
from domain.vocabulary import Severity
from pipeline.faces import Faces
from pipeline.render import Context, EventView, Person

LINK = "https://bellwire.example.org/inbox"
WORDS_BESIDE = ("unsubscribe_url", "acknowledge_url", "preferences_url", "more", "more_count")
Make = Callable[..., Context]


def make(event_type: str, data: dict[str, Any], **more: Any) -> Context:
    """An event of a listed or unlisted type as routing would hand it over."""
    listed = shipped().event_types.get(event_type)
    event = EventView(
        id="0198c0de-0000-7000-8000-000000000001",
        type=event_type,
        severity=Severity(more.get("severity") or (listed.severity if listed else "medium")),
        occurred_at=more.get("occurred_at", datetime(2026, 11, 20, 9, 0, tzinfo=UTC)),
        status=more.get("status", "firing"),
        branch=more.get("branch"),
        title=more.get("title", listed.title if listed else ""),
    )
    return Context(
        event=event,
        data=data,
        tenant=more.get("tenant", "Nordwind Cloud"),
        user=Person(None, None, more.get("locale"), more.get("time_zone")),
        link=more.get("link", LINK),
        secret=more.get("secret", listed.secret if listed else ()),
        **{name: more[name] for name in WORDS_BESIDE if name in more},
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `sample` runs once for every sample event."""
    if "sample" in metafunc.fixturenames:
        samples = sample_events()
        ids = [f"{index}-{sample['type']}" for index, sample in enumerate(samples)]
        metafunc.parametrize("sample", samples, ids=ids)


@pytest.fixture(scope="session")
def context() -> Make:
    """Makes a context: `context("ssl_failure", {"host": "a"}, status="resolved")`."""
    return make


@pytest.fixture
def sample_context(sample: dict[str, Any]) -> Context:
    """The context of a sample event."""
    more = {key: sample[key] for key in ("severity", "status", "branch") if key in sample}
    return make(sample["type"], sample["data"], **more)


@pytest.fixture
def template(sample: dict[str, Any]) -> str:
    """The template of a sample event."""
    return shipped().event_types[sample["type"]].template


@pytest.fixture
def own_faces(tmp_path: Path) -> Faces:
    """A copy of what templates share and of the default, to which a test adds its own."""
    for name in ("base", "default"):
        shutil.copytree(TEMPLATES / name, tmp_path / name)
    (tmp_path / "own").mkdir()
    return Faces(tmp_path)
