"""The page on channels says what the providers declare, and its examples configure them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from channels.base import Limit, Provider
from channels.registry import PROVIDERS, configured
from config.settings import Settings
from workers.receivers.desks import fcm

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
ALL = [(channel, name, kind) for channel, table in PROVIDERS.items() for name, kind in table.items()]
EXAMPLES = [one for one in ALL if one[1] not in {"apprise", "webhook"}]  # these need nothing


def table(first: str) -> list[list[str]]:
    """The rows of the table whose head begins with these columns."""
    head = next(line for line in PAGE.splitlines() if line.startswith(first))
    lines = PAGE.split(head, 1)[1].strip("\n").split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


ROWS = {(row[0].strip("`"), row[1].strip("`")): row[2:] for row in table("| channel | provider |")}


def quoted(cell: str) -> list[str]:
    """What stands in code marks."""
    return re.findall(r"`([^`]+)`", cell)


def in_words(limits: tuple[Limit, ...]) -> str:
    """Limits as the table writes them."""
    said = [
        f"{limit.amount:,} {'a second' if limit.seconds == 1 else f'in {limit.seconds} s'}"
        + (" to one address" if limit.scope == "address" else "")
        for limit in limits
    ]
    return ", and ".join(said) or "none"


def test_the_table_has_every_provider_and_no_other() -> None:
    assert list(ROWS) == [(channel, name) for channel, name, _ in ALL]


@pytest.mark.parametrize(("channel", "name", "kind"), ALL, ids=[name for _, name, _ in ALL])
def test_a_provider_is_described_as_it_declares_itself(channel: str, name: str, kind: type[Provider]) -> None:
    _, credentials, limits, once, later = ROWS[channel, name]
    assert quoted(credentials) == list(kind.credentials)
    assert limits == in_words(kind.capabilities.limits)
    assert once == ("yes" if kind.capabilities.idempotent else "no")
    assert later == ("yes" if kind.capabilities.receipts else "no")


def test_a_channel_is_described_by_its_bulkhead_and_cap() -> None:
    rows = {row[0].strip("`"): row[2:] for row in table("| channel | the address is |")}
    caps = Settings.model_fields["recipient_caps"].default
    assert set(rows) == set(PROVIDERS)
    for channel, (at_a_time, cap) in rows.items():
        (bulkhead,) = {kind.capabilities.bulkhead for kind in PROVIDERS[channel].values()}
        shared = f"{bulkhead.concurrent} over all workers, {bulkhead.waiting} more waiting"
        assert at_a_time == (shared if bulkhead.shared else f"{bulkhead.concurrent} in a process")
        assert cap == (f"{caps[channel][0]} in {caps[channel][1]} s" if channel in caps else "none")


@pytest.mark.parametrize(("channel", "name", "_kind"), EXAMPLES, ids=[name for _, name, _ in EXAMPLES])
def test_the_example_of_a_provider_configures_it(
    channel: str, name: str, _kind: type[Provider], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_keys(tmp_path)
    given = example(name)
    made = configured(Settings(_env_file=None, **given))
    assert name in [provider.name for provider in made[channel]]
    assert {name.removeprefix("BELLWIRE_").lower() for name in quoted(ROWS[channel, name][0])} <= set(given)


def example(name: str) -> dict[str, Any]:
    """The settings in the section of a provider."""
    section = PAGE.split(f"(`{name}`)\n", 1)[1].split("\n## ")[0].split("\n### ")[0]
    lines = re.findall(r"^BELLWIRE_(\w+)=(.*)$", section, re.MULTILINE)
    assert lines, name
    return {variable.lower(): value for variable, value in lines}


def write_keys(folder: Path) -> None:
    """The files that the examples name."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "apns.p8").write_bytes(key)
    (folder / "vapid.pem").write_bytes(key)
    content = fcm.service_account("https://oauth2.googleapis.com/token")
    (folder / "fcm.json").write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def test_the_default_order_of_email_providers_is_said() -> None:
    assert f"(default `{','.join(Settings.model_fields['email_providers'].default)}`)" in PAGE
