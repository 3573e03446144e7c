"""The process in which tenants' templates are read and filled: limited before it is shown the first of them.

It has no environment, no files and no network; it reads questions from standard input and writes answers to standard
output, each as a length and JSON.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from time import process_time
from types import FrameType, TracebackType
from typing import Any, Final

import jinja2.debug  # noqa: F401 - Jinja reads it when something is wrong, and then no file can be opened any more
from jinja2 import Template, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.exceptions import SecurityError, TemplateRuntimeError, UndefinedError

from config.catalogue import TEMPLATES
from pipeline import wording
from pipeline.language import SPOKEN, Language, Languages
from pipeline.prose import unmarked
from pipeline.sandbox import TooMuchError, Workshop, filled, kind_of
from pipeline.sandbox_frames import read_frame, write_frame
from pipeline.template_check import checked

CPU_SECONDS: Final = 0.5  # for one question; a healthy template needs a thousandth
MEMORY: Final = 128 * 2**20  # bytes beyond what is used when it starts
FILES: Final = 16  # that may be open while a language is read; none while a template runs
MOST_CHARACTERS: Final = 2_000_000  # of templates that are kept compiled; some ten bytes each
MOST_LANGUAGES: Final = 500
STYLED: Final = "<style"


class TooSlowError(BaseException):
    """The time is over. No part of Jinja catches it."""


class Flawed(Exception):  # noqa: N818 - it is what the template is
    """What is wrong with a template, and where.

    `is_sure`: whatever it is filled with. `is_spent`: the memory of this process is used up, perhaps by others.
    """

    def __init__(
        self, part: str, line: int | None, reason: str, *, is_sure: bool = True, is_spent: bool = False
    ) -> None:
        super().__init__(reason)
        self.is_sure = is_sure
        self.is_spent = is_spent
        self.shown = {"part": part, "line": line, "reason": reason}


class Desk:
    """Answers questions. Compiled templates are kept by the id of their version, which never changes."""

    def __init__(self) -> None:
        self.workshop = Workshop()
        self.languages = Languages(TEMPLATES)
        for locale in self.languages.known():
            self.languages.of(locale, None)
        self._compiled: dict[str, dict[str, Template]] = {}
        self._characters = 0  # of the sources of what is compiled
        self._spoken: dict[tuple[str | None, str | None, str], Language] = {}

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """What came of a question: ``said``, ``flaw`` or ``missing`` (the version is to be sent along)."""
        language = self._language(question.get("locale"), question.get("time_zone"), question.get("words") or "")
        if question["body"] is None and question["version"] not in self._compiled:
            return {"missing": True}
        before = SPOKEN.set(language)
        try:
            return self._in_time(question)
        finally:
            SPOKEN.reset(before)

    def _in_time(self, question: Mapping[str, Any]) -> dict[str, Any]:
        last = int(process_time() + 2 * CPU_SECONDS) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (last, resource.RLIM_INFINITY))  # for what Python cannot interrupt
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        try:
            return self._check(question) if question["do"] == "check" else {"said": self._render(question)}
        except Flawed as flawed:
            slow = flawed.shown["reason"] == _TOO_SLOW
            return {"flaw": flawed.shown, "spent": flawed.is_spent, "slow": slow}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _check(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The first flaw, else warnings, and what it says with each of the given values."""
        channel, body = question["channel"], question["body"]
        warnings = []
        for part, source in body.items():
            flaw, found = _guarded(part, partial(self._look, question, part, source))
            if flaw is not None:
                raise Flawed(part, *flaw)
            warnings += found
        templates = self._compile(channel, body)
        said = []
        for values in question["values"]:
            try:
                said.append(self._filled(templates, values, STYLED in body.get("html", "").lower()))
            except Flawed as flawed:
                if question["strict"] or flawed.is_sure:
                    raise
                warnings.append(flawed.shown)
        return {"warnings": warnings, "said": said}

    def _look(self, question: Mapping[str, Any], part: str, source: str) -> tuple[Any, list[dict[str, Any]]]:
        tree = self.workshop.parsed(part, kind_of(question["channel"], part), source)
        known = self.workshop.environments[kind_of(question["channel"], part)].globals
        return checked(tree, part, {**question["known"], **dict.fromkeys(known, None)})

    def _render(self, question: Mapping[str, Any]) -> dict[str, str]:
        version, body = question["version"], question["body"]
        if version not in self._compiled:
            self._characters += sum(map(len, body.values()))
            if self._characters > MOST_CHARACTERS:
                self._compiled.clear()
                self._characters = sum(map(len, body.values()))
            self._compiled[version] = self._compile(question["channel"], body)
        wanted = {part: self._compiled[version][part] for part in question["parts"]}
        values = dict.fromkeys(wanted, question["values"])
        return self._filled(wanted, values, question["styled"])

    def _compile(self, channel: str, body: Mapping[str, str]) -> dict[str, Template]:
        return {
            part: _guarded(part, partial(self.workshop.compiled, part, kind_of(channel, part), source))
            for part, source in body.items()
        }

    def _filled(
        self, templates: Mapping[str, Template], values: Mapping[str, Mapping[str, Any]], styled: bool
    ) -> dict[str, str]:
        """What each part says with its own values."""
        said = {
            part: _guarded(part, partial(filled, template, _revived(values[part])))
            for part, template in templates.items()
        }
        if "html" in said and styled:
            said["html"] = _guarded("html", partial(_inlined, said["html"]))
        return said

    def _language(self, locale: str | None, zone: str | None, words: str) -> Language:
        """The recipient's language. What it needs is read from files now: none can be opened afterwards."""
        key = locale, zone, words
        if key not in self._spoken:
            if len(self._spoken) >= MOST_LANGUAGES:
                self._spoken.clear()
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
            try:
                self._spoken[key] = self.languages.of(locale, zone, words)
                _warm(self._spoken[key])
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (0, FILES))
        return self._spoken[key]


def main() -> None:
    """Get ready, give up everything, say so, and answer until nobody asks any more."""
    asked, answered = sys.stdin.buffer, sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks decides when it ends
    signal.signal(signal.SIGPROF, _time_is_over)
    desk = Desk()
    unmarked("*")  # loads the parser
    _inlined("<p>x</p>")
    gc.freeze()
    _limit()
    write_frame(answered, json.dumps({"used": process_time()}).encode())
    while (frame := read_frame(asked)) is not None:
        answer = _answer(desk, frame)
        write_frame(answered, json.dumps({**answer, "used": process_time()}).encode())


def _answer(desk: Desk, frame: bytes) -> dict[str, Any]:
    try:
        return desk.answer(json.loads(frame))
    except TooSlowError:  # between two pieces of work
        return {"flaw": {"part": "", "line": None, "reason": _TOO_SLOW}, "slow": True}
    except Exception as error:  # a bug of ours, or memory that is used up between two pieces of work
        return {"flaw": {"part": "", "line": None, "reason": _reason(error)}, "spent": _is_spent()}


def _limit() -> None:
    """From here on no file, no connection, no core, no larger than now and a little."""
    used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, FILES))


def _time_is_over(_: int, __: FrameType | None) -> None:
    raise TooSlowError


_BY_VALUES: Final = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, TemplateRuntimeError)
_TOO_SLOW: Final = f"takes more than {CPU_SECONDS:g} s"


def _guarded(part: str, work: Callable[[], Any]) -> Any:
    """What `work` returns; everything that it raises as a flaw of `part`."""
    try:
        return work()
    except TemplateSyntaxError as error:
        raise Flawed(part, error.lineno, error.message or "cannot be compiled") from None
    except (Exception, TooSlowError) as error:
        line = _line(part, error.__traceback__)
        reason = _reason(error)
        is_sure = not isinstance(error, _BY_VALUES) or isinstance(error, SecurityError | TooMuchError)
        is_memory = isinstance(error, MemoryError)
    raise Flawed(part, line, reason, is_sure=is_sure, is_spent=is_memory and _is_spent())


def _reason(error: BaseException) -> str:
    """In words, and without any value that the template was filled with."""
    match error:
        case TooSlowError():
            return _TOO_SLOW
        case MemoryError():
            return f"needs more than {MEMORY // 2**20} MB of memory"
        case RecursionError():
            return "calls itself without end, or is nested too deeply"
        case SyntaxError():
            return "is nested too deeply"
        case TemplateNotFound():
            return "names a template that does not exist; there is only base"
        case SecurityError():
            return "calls what templates cannot call"
        case OverflowError():
            return "makes a number or range that is too large"
        case TooMuchError():
            return str(error)
        case UndefinedError():
            return "uses a value that is not there"
        case TemplateError():
            return "uses a filter or test in a way that it does not take"
        case _:
            return f"uses a value in a way that it does not take ({type(error).__name__})"


def _line(part: str, trace: TracebackType | None) -> int | None:
    """The innermost line of `part` that a traceback passes through."""
    line = None
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None and template.name == part:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


def _is_spent() -> bool:
    """Whether it is this process that has no memory left, and not one template that wants too much at once."""
    try:
        return not bytearray(MEMORY // 2)
    except MemoryError:
        return True


def _revived(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they were before they travelled: when an event happened is a time."""
    event = dict(values["event"])
    event["occurred_at"] = datetime.fromisoformat(event["occurred_at"])
    return {**values, "event": event}


def _inlined(html: str) -> str:
    """`html` with the rules of its own stylesheets on its elements; what only a mail program can decide stays there.

    Done with what a template made and not with the template: only then is it HTML.
    """
    from css_inline import CSSInliner

    return CSSInliner(keep_at_rules=True, load_remote_stylesheets=False).inline(html)


def _warm(language: Language) -> None:
    before = SPOKEN.set(language)
    try:
        wording.money("1", "EUR")
        for moment in ("2026-01-01T00:00:00Z", "2026-01-01"):
            wording.moment(moment)
        wording.words(1234.5)
    finally:
        SPOKEN.reset(before)


if __name__ == "__main__":
    main()
