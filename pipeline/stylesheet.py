"""Puts the looks of emails onto their elements, once, when a template is loaded; a mail costs nothing for it.

Many mail programs heed only `style` attributes. Templates name classes, ``base/email.css`` says how they look.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader

_TAG: Final = re.compile(r'<[a-z][a-z0-9]*\s[^<>]*?\bclass="([^"{}<>]*)"[^<>]*>')
_CLASS: Final = re.compile(r'\sclass="[^"]*"')
_STYLE: Final = re.compile(r'\sstyle="([^"]*)"')
_CLASS_NAME: Final = re.compile(r"\.([a-z][a-z0-9-]*)")


class Stylesheet:
    """The looks of the classes.

    `css`: rules for single classes, written onto the elements. `live`: what only a mail program can decide, such as
    narrow windows and dark mode; it stays a stylesheet, so the classes that it names stay in the page and others go.
    """

    def __init__(self, css: str, live: str = "") -> None:
        self._css = css
        self._live = " ".join(live.split())
        self._named = frozenset(_CLASS_NAME.findall(live))
        self._known: dict[str, str] = {}

    @classmethod
    def below(cls, folder: Path) -> Stylesheet:
        """The two stylesheets of a folder; either may be missing."""
        return cls(*(_read(folder / name) for name in ("email.css", "live.css")))

    def style(self, classes: str) -> str:
        """What `classes` look like together, as the value of a `style` attribute; nothing for unknown ones."""
        if classes not in self._known:
            self._known[classes] = self._inlined(classes)
        return self._known[classes]

    def onto(self, source: str) -> str:
        """A template's source with `style` attributes beside its classes; an element's own style wins.

        The comment ``/* live.css */`` in it becomes that stylesheet.
        """
        return _TAG.sub(self._styled, source).replace("/* live.css */", self._live)

    def attributes(self, classes: str) -> dict[str, str]:
        """The attributes of an element of `classes`, for whoever builds it without a template."""
        kept = " ".join(name for name in classes.split() if name in self._named)
        return {name: value for name, value in (("class", kept), ("style", self.style(classes))) if value}

    def _styled(self, tag: re.Match[str]) -> str:
        text = tag[0]
        found = self.attributes(tag[1])
        if own := _STYLE.search(text):
            found["style"] = ";".join(style for style in (found.get("style"), own[1]) if style)
            text = _STYLE.sub("", text, count=1)
        said = "".join(f' {name}="{value}"' for name, value in found.items())
        return _CLASS.sub(lambda _: said, text, count=1)

    def _inlined(self, classes: str) -> str:
        """By css-inline, which knows which of several rules wins. Imported here: a worker needs it while it starts."""
        from css_inline import inline_fragment

        probe = inline_fragment(f'<i class="{classes}"></i>', self._css, load_remote_stylesheets=False)
        found = _STYLE.search(probe)
        return re.sub(r"([:;,]) +", r"\1", found[1]).rstrip(";") if found else ""


class StyledLoader(FileSystemLoader):
    """Reads templates from a folder, those of HTML with their looks on."""

    def __init__(self, folder: Path, stylesheet: Stylesheet) -> None:
        super().__init__(folder)
        self._stylesheet = stylesheet

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, fresh = super().get_source(environment, template)
        return (self._stylesheet.onto(source) if template.endswith(".html") else source), path, fresh


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
