"""`bellwire templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TENANT = ("--tenant", "acme")


def write(folder: Path, **files: str) -> Path:
    """Files by their names, with ``__`` for a slash."""
    for name, words in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words, encoding="utf-8")
    return folder


@pytest.mark.mission("A-15", "A-16", "A-19")
def test_a_folder_of_handlebars_is_imported_published_and_exported_again(bellwire: Any, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in",
        **{
            "ssl_failure__email.hbs": "<p>{{host}}</p>{{#if error}}{{> note}}{{/if}}",
            "ssl_failure__email.subject.hbs": "{{host}} fails\n",
            "ssl_failure__sms.de-AT.txt": "{{ data.host }} ist kaputt",
            "partials__note.hbs": "<i>{{error}}</i>",
        },
    )
    saved = bellwire("templates", "import", str(folder), *TENANT, "--publish", "--json").json["templates"]
    assert [(one["channel"], one["locale"], one["version"]) for one in saved] == [
        ("email", None, 1),
        ("sms", "de-AT", 1),
    ]
    listed = bellwire("templates", "list", *TENANT, "--json").json["templates"]
    assert [(one["channel"], one["published"]) for one in listed] == [("email", 1), ("sms", 1)]
    shown = bellwire("templates", "show", "ssl_failure", "email", *TENANT)
    assert "Version 1 is in force." in shown.out
    assert "{{ data.host|hbs }}" in shown.out
    assert bellwire("templates", "export", str(tmp_path / "out"), *TENANT).code == 0
    assert sorted(path.name for path in (tmp_path / "out" / "ssl_failure").iterdir()) == [
        *("email.html", "email.subject.txt", "sms.de-AT.txt")
    ]
    again = bellwire("templates", "import", str(tmp_path / "out"), *TENANT, "--json").json["templates"]
    assert [one["version"] for one in again] == [2, 2]
    assert "Version 2 is in force." in bellwire("templates", "publish", "ssl_failure", "email", *TENANT).out


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"ssl_failure__email.hbs": "a\n{{upper host}}"}, "email.hbs: line 2: calls the helper upper"),
        ({"ssl_failure__email.html": "a\n\n{{ nobody }}"}, "email.html: line 3: names nobody, which is not known"),
        ({"ssl_failure__email.subject.txt": "x"}, "email.subject.txt: html: is missing (ssl_failure for email)"),
        ({"ssl_failure__sms.txt": "{{host}}"}, "sms.txt: line 1: names host, which is not known; write data.host"),
        ({"ssl_failure__pigeon.txt": "x"}, "pigeon.txt: its name does not say for what it is: channel: must be one of"),
        ({"ssl_failure__sms.html": "x"}, "sms.html: sms has no html"),
        ({}, "holds no templates"),
    ],
)
def test_what_cannot_be_imported_is_said_with_its_file_and_changes_nothing(
    bellwire: Any, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    if files:
        write(folder, **files, **{"ssl_expiry__sms.txt": "fine"})
    failed = bellwire("templates", "import", str(folder), *TENANT)
    assert failed.code == 1
    assert said in failed.err
    assert bellwire("templates", "list", *TENANT, "--json").json["templates"] == []


def test_one_file_is_named_by_the_command(bellwire: Any, tmp_path: Path) -> None:
    file = write(tmp_path, **{"words.hbs": "{{host}}!"}) / "words.hbs"
    done = bellwire("templates", "import", str(file), *TENANT, "--event", "ssl_failure", "--channel", "sms")
    assert "ssl_failure for sms: version 1 is a draft." in done.out
    assert bellwire("templates", "publish", "ssl_failure", "push", *TENANT).code == 1
