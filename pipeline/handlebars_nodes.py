"""What a Handlebars template consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


class HandlebarsError(Exception):
    """What cannot be read or translated. `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(slots=True)
class Content:
    """Text between tags. `original` is what it was before white space was taken away."""

    value: str
    original: str = ""
    left_stripped: bool = False
    right_stripped: bool = False

    def __post_init__(self) -> None:
        self.original = self.value


@dataclass(slots=True)
class Tag:
    """Something in braces. `opens`, `closes`: a tilde on that side; `sign`: what stands before its words, or nothing.

    `raw`: three braces.
    """

    line: int
    sign: str
    words: str
    opens: bool = False
    closes: bool = False
    raw: bool = False


@dataclass(slots=True)
class Block:
    """``{{#open}} body {{else}} inverse {{/close}}``. `chained`: the inverse is one ``{{else if}}``."""

    open: Tag
    body: list[Node]
    inverse: list[Node] | None = None
    otherwise: Tag | None = None
    close: Tag | None = None
    chained: bool = False
    is_inverted: bool = False


@dataclass(slots=True)
class Partial:
    """``{{> name}}``; `indent` is put before each of its lines."""

    tag: Tag
    indent: str = ""


@dataclass(slots=True)
class Comment:
    """Says nothing."""

    tag: Tag


Node: TypeAlias = Content | Tag | Block | Partial | Comment
