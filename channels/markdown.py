"""Telegram's MarkdownV2, as far as a message must be shortened or stripped without breaking it."""

from __future__ import annotations

import re
from typing import Final

TEXT_LIMIT: Final = 4096  # UTF-16 code units after the entities are parsed (Bot API, sendMessage)

_LINK: Final = r"!?\[(?:\\.|[^\]\\])*\]\((?:\\.|[^)\\])*\)"
_TOKEN: Final = re.compile(rf"\\.|```|`|\|\||__|[_*~]|{_LINK}|.", re.DOTALL)
_CODE_TOKEN: Final = re.compile(r"\\.|```|`|.", re.DOTALL)
_MARKERS: Final = frozenset({"```", "`", "||", "__", "_", "*", "~"})
_CODE: Final = frozenset({"```", "`"})
_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")


def units(text: str) -> int:
    """The length as Telegram counts it: UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def cut_markdown(text: str, limit: int = TEXT_LIMIT) -> str:
    """At most `limit` visible units, ending in ``…``, with every open entity closed and no escape or link torn."""
    if units(text) <= limit:
        return text
    open_entities: list[str] = []
    position = visible = kept = 0
    closers = ""
    while position < len(text):
        code = bool(open_entities) and open_entities[-1] in _CODE
        match = (_CODE_TOKEN if code else _TOKEN).match(text, position)
        token = match[0] if match else text[position]
        if token in _MARKERS and (not code or token == open_entities[-1]):
            _toggle(open_entities, token)
        else:
            visible += _visible(token, code)
        position += len(token)
        if visible > limit:
            return text[:kept] + "…" + closers
        if visible < limit:
            kept, closers = position, _closing(open_entities)
    return text


def _closing(open_entities: list[str]) -> str:
    """What closes them, the innermost first.

    Where italic ends inside underline, ``___`` would be read as the end of the underline first (Bot API, MarkdownV2
    style); a carriage return, which is not shown, keeps the two apart.
    """
    closers = ""
    for marker in reversed(open_entities):
        closers += f"\r{marker}" if closers.endswith("_") and marker == "__" else marker
    return closers


def _toggle(open_entities: list[str], marker: str) -> None:
    if marker in open_entities:
        open_entities.remove(marker)
    else:
        open_entities.append(marker)


def _visible(token: str, code: bool) -> int:
    """How many units of it are shown: an escape shows its character, a link its label."""
    if token[0] == "\\" and len(token) == 2:
        return units(token[1])
    if not code and len(token) > 1:
        label = token[token.index("[") + 1 : token.rindex("](")]
        return units(_ESCAPE.sub(r"\1", label))
    return units(token)


def plain(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text without its escapes, as Telegram shows it when no parse mode is given; cut at `limit` units."""
    unescaped = _ESCAPE.sub(r"\1", text)
    if units(unescaped) <= limit:
        return unescaped
    cut = unescaped[: limit - 1]
    while units(cut) > limit - 1:
        cut = cut[:-1]
    return cut + "…"
