"""Tenants' templates are hostile until proven otherwise: what they cannot do, and what becomes of who tries."""

from __future__ import annotations

import os
import re
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from pipeline.custom import OwnTemplateError, Patience, plain, render_custom
from pipeline.published import Published
from pipeline.render import Context, render
from pipeline.sandbox_pool import WALL_SECONDS, LostError, Pool, SandboxAwayError
from tests.render.conftest import Make
from tests.support.waiting import wait_until

KNOWN: dict[str, Any] = {
    "data": {"fields": ["host", "entries"], "open": True},
    "event": {"fields": ["type", "severity", "occurred_at"], "open": False},
    **{name: {"fields": [], "open": True} for name in ("title", "brand", "user")},
}


@pytest.fixture(scope="module")
def processes() -> Iterator[Pool]:
    """A pool of this file's own."""
    made = Pool(1)
    yield made
    made.close()


@pytest.fixture
def told(context: Make) -> dict[str, Any]:
    """What a template is filled with."""
    noted: dict[str, Any] = {}

    class Noted:
        def has(self, name: str) -> bool | None:
            return name == "email.html" or None

        def run(self, name: str, values: Any) -> str:
            noted.update(plain(values))
            return ""

    data = {"host": "a<b>.example.org", "entries": [1, 2, 3], "password": "hunter2"}
    render("email", "ssl_failure", context("ssl_failure", data), own=Noted())
    return noted


def question(source: str, told: dict[str, Any], part: str = "html") -> dict[str, Any]:
    """Whether a template can be used."""
    named = {"do": "check", "version": None, "channel": "email", "locale": None, "time_zone": None}
    return {**named, "body": {part: source}, "known": KNOWN, "values": [{part: told}], "strict": True}


NEVER = [
    ("{{ ''.__class__ }}", 1, "names __class__, which templates may not"),
    ("\n{{ cycler.__init__.__globals__.os }}", 2, "names __"),
    ("{{ ''['__class__']['__mro__'] }}", 1, "names __"),
    ("{{ data.host|attr('__class__') }}", 1, "No filter named 'attr'"),
    ("{{ '{0.__class__}'.format(data) }}", 1, "calls what templates cannot call"),
    ("{{ data.host.upper() }}", 1, "calls what templates cannot call"),
    ("{{ self._TemplateReference__context }}{{ data.x() }}", 1, "calls what templates cannot call"),
    ("{{ namespace()['_Namespace__attrs']() }}", 1, "calls what templates cannot call"),
    ("{% include '/etc/passwd' %}", 1, "names a template that does not exist"),
    ("{% import data.host as x %}", 1, "names a template that does not exist"),
    ("{% extends 'base/../../config/settings.py' %}", 1, "names a template that does not exist"),
    ("x\n{% extends 'ssl_failure/email.html' %}", 2, "names a template that does not exist"),
    ("\n\n{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}", 3, "takes more than 0.5 s"),
    ("{% for i in range(10000000000) %}x{% endfor %}", 1, "makes a number or range that is too large"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", 1, "calls itself without end"),
    ("{{ 'a' * 200000000 }}", 1, "makes a number or text that is too large"),
    ("{{ [[1] * 1000] * 100000000 }}", 1, "makes a number or text that is too large"),
    ("{{ 9 ** (9 ** 9) }}", 1, "makes a number that is too large"),
    ("{{ '%999999999d'|format(1) }}", 1, "needs more than 128 MB of memory"),
    ("{{ 'x'|center(999999999) }}", 1, "needs more than 128 MB of memory"),
    ("{% set n = namespace(a='x') %}{% for i in range(99) %}\n{% set n.a = n.a ~ n.a %}{% endfor %}", 2, "128 MB"),
    ("{% for i in range(99999) %}\n0123456789 0123456789{% endfor %}", 1, "makes more than 1,000,000 characters"),
    ("{{" + "(" * 3000 + "1" + ")" * 3000 + "}}", None, "nested too deeply"),
    ("{% if true %}" * 60 + "{% for i in [1] %}" * 30 + "{% endfor %}" * 30 + "{% endif %}" * 60, None, "too deeply"),
    ("{{ data.host }}\n{{ nobody }}", 2, "names nobody, which is not known; there are brand, data, event, title, user"),
    ("{{ event.colour }}", 1, "names event.colour, which is not known; there are occurred_at, severity, type"),
    ("{{ data.host|shout }}", 1, "No filter named 'shout'"),
    ("{{ data.host is divisibleby(0) }}", 1, "uses a value in a way that it does not take"),
    ("{% if data.host %}", 1, "Unexpected end of template"),
    ("a\nb {{ data. }}", 2, "expected name or number"),
    ("{{ lipsum(9999) }}", 1, "names lipsum, which is not known"),
]


@pytest.mark.mission("A-15", "A-16")
@pytest.mark.parametrize(("source", "line", "reason"), NEVER, ids=[source[:40] for source, _, _ in NEVER])
def test_what_a_template_must_not_do_is_refused_with_line_and_reason(
    processes: Pool, told: dict[str, Any], source: str, line: int | None, reason: str
) -> None:
    processes.ask(question("x", told))
    before = processes.pids()
    flaw = processes.ask(question(source, told))["flaw"]
    assert flaw["part"] == "html"
    assert reason in flaw["reason"]
    assert line is None or flaw["line"] == line
    assert "hunter2" not in str(flaw)
    assert processes.pids() == before, "the process has outlived it"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% if false %}{{ 9**(9**9) }}{% endif %}", ""),
        ("{{ data.host }}", "a&lt;b&gt;.example.org"),
        ("{% for e in data.entries %}{{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}", "1,2,3"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(1) }}{{ m(x=2) }}", "[1][2]"),
        ("{% set n = namespace(a=1) %}{% for i in [1, 2] %}{% set n.a = n.a + i %}{% endfor %}{{ n.a }}", "4"),
        ("{% block a %}x{% endblock %}{{ self.a() }}", "xx"),
        ("{{ data.entries[0] }}{{ data['entries'][:2]|length }}{{ data.keys }}{{ data.nothing.at.all }}", "12"),
        ("{{ '1280'|money('EUR') }} {{ event.occurred_at|moment }}", "€1,280.00 20 November 2026, 09:00 UTC"),
        ("{{ cycler('a', 'b').next() }}{{ joiner()() }}{{ dict(a=1).a }}{{ range(3)|join }}", "a1012"),
    ],
)
def test_what_a_template_may_do(processes: Pool, told: dict[str, Any], source: str, said: str) -> None:
    assert processes.ask(question(source, told))["said"][0]["html"] == said


def test_the_process_has_no_files_no_environment_and_little_memory(processes: Pool, told: dict[str, Any]) -> None:
    assert "said" in processes.ask(question("x", told))
    process = Path(f"/proc/{processes.pids()[0]}")
    assert sorted(int(one.name) for one in (process / "fd").iterdir()) == [0, 1, 2]
    assert (process / "environ").read_bytes().split(b"\0") == [b"LC_ALL=C.UTF-8", b""]
    limits = (process / "limits").read_text(encoding="utf-8")
    assert re.search(r"Max open files +0 ", limits)
    assert re.search(r"Max file size +0 ", limits)
    assert re.search(r"Max core file size +0 ", limits)
    assert int(re.findall(r"Max address space +(\d+)", limits)[0]) < 2 * 2**30


def test_a_process_that_dies_is_replaced_and_a_healthy_one_is_kept(processes: Pool, told: dict[str, Any]) -> None:
    processes.ask(question("x", told))
    before = processes.started
    for _ in range(20):
        processes.ask(question("x", told))
    assert processes.started == before
    (pid,) = processes.pids()
    threading.Timer(0.1, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(LostError):
        processes.ask(question("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}", told))
    assert processes.ask(question("y", told))["said"] == [{"html": "y"}]
    os.kill(processes.pids()[0], signal.SIGKILL)
    wait_until(lambda: _is_gone(processes.pids()[0]), lambda: "the process")
    assert processes.ask(question("z", told))["said"] == [{"html": "z"}]
    assert processes.started == before + 2


def test_memory_that_others_have_used_up_is_nobodys_fault(processes: Pool, told: dict[str, Any]) -> None:
    processes.ask(question("x", told))
    (pid,) = processes.pids()
    used = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (used + 2**20, used + 2**20))
    said = processes.ask(question("{% set a = range(99999)|list %}{{ (a + a + a)|length }}", told))["said"]
    assert said == [{"html": "299997"}]
    assert processes.pids() != [pid]


def test_a_process_that_gets_no_processor_says_nothing_of_the_template(processes: Pool, told: dict[str, Any]) -> None:
    processes.ask(question("x", told))
    os.kill(processes.pids()[0], signal.SIGSTOP)
    processes.seconds = 0.2
    with pytest.raises(SandboxAwayError):
        processes.ask(question("x", told))
    processes.seconds = WALL_SECONDS


def test_whoever_gives_up_before_a_process_has_started_leaves_no_more_than_there_may_be(told: dict[str, Any]) -> None:
    processes = Pool(1)
    for _ in range(4):
        with pytest.raises(SandboxAwayError):
            processes.ask(question("x", told), monotonic() + 0.01)
    wait_until(processes.pids, "the process that was begun")
    assert (processes.started, len(processes.pids())) == (1, 1)
    assert processes.ask(question("x", told), monotonic() + 20)["said"] == [{"html": "x"}]
    assert processes.started == 1
    processes.close()


def test_a_version_that_costs_one_process_after_the_other_rests_for_a_minute() -> None:
    patience = Patience()
    for second in (0.0, 1.0, 30.0):
        assert not patience.rests("slow", second)
        patience.lost("slow", second)
    assert patience.rests("slow", 59.0)
    assert not patience.rests("another", 59.0)
    assert not patience.rests("slow", 61.0)
    patience.lost("slow", 61.0)
    assert not patience.rests("slow", 62.0)


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_reason_names_no_value_of_the_event(context: Make) -> None:
    made: Context = context("provisioning.completed", {"password": "hunter2", "service": "s"})
    for source in ("{{ data.password + 1 }}", "{{ data[data.password]() }}", "{{ 1|round(1, data.password) }}"):
        own = Published(str(uuid4()), "provisioning.completed", "email", "", {"html": source}, number=4)
        with pytest.raises(OwnTemplateError) as caught:
            render_custom(own, "email", made)
        assert "hunter2" not in str(caught.value)
        assert str(caught.value).startswith("template of provisioning.completed for email, version 4: html, line 1: ")
