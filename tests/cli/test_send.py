"""`bellwire send`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.engine import transaction
from pipeline.setup import ensure_tenant
from pipeline.users import put_user


def events() -> list[Any]:
    with transaction() as connection:
        return list(connection.execute(text("SELECT * FROM events ORDER BY id")))


def in_a_process(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "workers.cli", *arguments)
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=False)


def write(folder: Path, *lines: Any) -> str:
    file = folder / "events.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return str(file)


def test_an_event_is_stored_and_rung_for(bellwire: Any) -> None:
    said = bellwire("send", "ssl_expiry", "--tenant", "acme", "--data", '{"host": "shop.example.org"}', "--to", "ada",
                    "--to", "bo", "--severity", "low", "--branch", "berlin",
                    "--customer", "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01")  # fmt: skip
    assert said.code == 0
    (event,) = events()
    assert event.id.hex in said.out.replace("-", "")
    assert (event.type, event.severity, event.branch) == ("ssl_expiry", "low", "berlin")
    assert event.data == {"host": "shop.example.org"}
    assert event.recipients == ["ada", "bo"]
    assert str(event.customer_id) == "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01"
    assert {"queue": "ingest", "messages": 1} in bellwire("status", "--json").json["queues"]


def test_the_answer_as_json_is_that_of_the_api(bellwire: Any) -> None:
    first = bellwire("send", "ssl_failure", "--tenant", "acme", "--json").json
    second = bellwire("send", "ssl_failure", "--tenant", "acme", "--json").json
    assert first.keys() == {"id", "status", "duplicate_of", "fingerprint"}
    assert (first["status"], second["status"], second["duplicate_of"]) == ("accepted", "duplicate", first["id"])


def test_an_event_can_close_its_issue(bellwire: Any) -> None:
    bellwire("send", "ssl_failure", "--tenant", "acme", "--resolved")
    assert events()[0].condition == "resolved"


def test_a_file_is_published_line_by_line(bellwire: Any, tmp_path: Path) -> None:
    file = write(
        tmp_path, {"type": "order.created", "data": {"order_id": 1}}, "", {"type": "odd.one", "tenant": "acme"}
    )
    said = bellwire("send", "--file", file, "--tenant", "acme")
    assert said.out.strip() == "2 events accepted, 0 duplicates folded."
    assert [event.type for event in events()] == ["order.created", "odd.one"]


def test_a_long_file_takes_several_transactions_and_shows_how_far_it_is(bellwire: Any, tmp_path: Path) -> None:
    file = write(tmp_path, *({"type": "order.created", "data": {"order_id": n % 2400}} for n in range(2500)))
    said = bellwire("send", "--file", file, "--tenant", "acme")
    assert said.out.strip() == "2,400 events accepted, 100 duplicates folded."
    assert "2500/2500" in said.err
    assert len(events()) == 2500
    answers = bellwire("send", "--file", file, "--tenant", "acme", "--json")
    assert len(answers.json["results"]) == 2500
    assert answers.err == ""


def test_standard_input_is_a_file_too(bellwire: Any) -> None:
    said = in_a_process("send", "--file", "-", "--tenant", "acme", typed='{"type": "odd.one"}\n')
    assert (said.returncode, said.stdout) == (0, "1 event accepted, 0 duplicates folded.\n")
    assert len(events()) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "events.jsonl:3: is not valid JSON (line 1, column 2)"),
        ({"type": "a", "severity": "worst"}, "events.jsonl:3: severity: must be"),
        ({"type": "a", "tenant": "nobody"}, "tenant: does not exist; there are acme"),
        ({"typ": "a"}, "events.jsonl:3: typ"),
        ([1], "events.jsonl:3: must be a JSON object"),
    ],
)
def test_a_file_with_one_wrong_line_publishes_nothing(bellwire: Any, tmp_path: Path, line: Any, words: str) -> None:
    said = bellwire("send", "--file", write(tmp_path, {"type": "a"}, "", line), "--tenant", "acme")
    assert said.code == 1
    assert words in said.err
    assert said.err.count("\n") == 1
    assert events() == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Name a TYPE of event"),
        (("a b",), 1, "type: has characters that are not allowed"),
        (("odd", "--data", "{host: 1}"), 1, "--data: is not valid JSON (line 1, column 2)"),
        (("odd", "--data", "[1]"), 1, "data: must be"),
        (("odd", "--severity", "worst"), 2, "Invalid value for '--severity': 'worst' is not one of"),
        (("odd", "--customer", "7"), 1, "customer_id: must be a UUID"),
        (("odd", "--tenant", "nobody"), 1, "tenant: does not exist; there are acme"),
        (("odd", "--file", "x.jsonl"), 1, "--file: stands alone"),
        (("--file", "missing.jsonl"), 1, "missing.jsonl: cannot be read: No such file or directory"),
        (("--file", "."), 1, "cannot be read: Is a directory"),
    ],
)
def test_a_mistake_is_one_clear_sentence(bellwire: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    said = bellwire("send", *arguments)
    assert said.code == code
    assert words in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert events() == []


def test_an_empty_file_is_a_mistake(bellwire: Any, tmp_path: Path) -> None:
    said = bellwire("send", "--file", write(tmp_path, "", "  "))
    assert said.code == 1
    assert said.err.strip().endswith("has no events")


def test_with_the_broker_away_the_event_is_stored_all_the_same(bellwire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_BROKER_URL", "redis://127.0.0.1:1/0")
    said = in_a_process("send", "odd.one", "--tenant", "acme")
    assert (said.returncode, said.stderr) == (0, "")
    assert len(events()) == 1


def test_without_a_tenant_the_only_one_with_users_is_meant_and_said(bellwire: Any) -> None:
    said = bellwire("send", "odd.one")
    assert said.code == 0
    assert "Tenant acme" in said.out
    assert events()[0].tenant == "acme"


def test_with_several_tenants_an_event_without_one_is_of_the_first(bellwire: Any) -> None:
    with transaction() as connection:
        for tenant in ("default", "other"):
            ensure_tenant(connection, tenant)
        put_user(connection, tenant="other", user_id="cy", body={"email": "cy@example.org"}, actor="cli")
    said = bellwire("send", "odd.one")
    assert "Tenant default" in said.out
    assert (
        said.err.strip() == "Tenant default has no users and no webhooks: only addresses in the event itself are told."
    )
    assert events()[0].tenant == "default"
