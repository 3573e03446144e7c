"""What an HTML document says, as plain text: for mails whose text nobody wrote (E-25)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

# Set where a link begins, where its address begins and ends, before cells and around tables: what they become depends
# on the text around them, which is known only at the end.
_LINK, _ADDRESS, _LINK_END, _CELL, _TABLE = "\x02", "\x03", "\x04", "\x05", "\x06"

_LINKED: Final = re.compile(f"{_LINK}([^{_LINK}{_ADDRESS}]*){_ADDRESS}([^{_LINK}{_ADDRESS}{_LINK_END}]*){_LINK_END}")
_SHOWN: Final = re.compile(r"(?:https?://|mailto:|tel:)\S", re.IGNORECASE)  # what a reader can do something with
_HIDDEN: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_MARKS: Final = re.compile(f"[{_LINK}{_ADDRESS}{_LINK_END}{_CELL}{_TABLE}]")


def text_of_html(html: str) -> str:
    """The text of `html` with the addresses of its links, one line for a row of a table; no blanks at ends of lines.

    About 2 ms for a mail. Loaded when it is first needed: most mails have a text, and the parser takes 10 MiB.
    A document that cannot be read says nothing.
    """
    from inscriptis import get_text  # type: ignore[import-untyped]

    try:
        laid_out = get_text(html, _config())
    except (ValueError, RecursionError):
        return ""
    return _tidy(_LINKED.sub(_linked, laid_out))


def _tidy(text: str) -> str:
    lines = (_row(line) for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _row(line: str) -> str:
    """A line whose cells stand side by side, those with links one below the other; empty cells are left out."""
    if _CELL not in line:
        return _MARKS.sub("", line).rstrip()
    cells = [cell for each in line.split(_CELL) if (cell := _MARKS.sub("", each).strip())]
    is_menu = sum("://" in cell for cell in cells) > 1
    return ("\n" if is_menu else "  ").join(cells)


def _linked(match: re.Match[str]) -> str:
    """``View details: https://...``; the address alone where the link says it already."""
    said, address = match[1].strip(), match[2].strip()
    bare = re.sub(r"(?i)^(?:https?://|mailto:|tel:)", "", address)
    if not said or said in (address, bare, bare.rstrip("/")):
        return match[1].replace(said, bare if "@" in said else address) if said else address
    return f"{match[1].rstrip()}: {address}"


@cache
def _config() -> Any:
    """Tables are how mails are laid out, not what they say: rows are lines, and no column is padded."""
    from inscriptis.css_profiles import CSS_PROFILES  # type: ignore[import-untyped]
    from inscriptis.html_properties import Display  # type: ignore[import-untyped]
    from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]
    from inscriptis.model.html_element import HtmlElement  # type: ignore[import-untyped]
    from inscriptis.model.tag import CustomHtmlTagHandlerMapping  # type: ignore[import-untyped]

    def hide(value: str, element: Any) -> None:
        if _HIDDEN.search(value) or not value:
            element.display = Display.none

    starts = {"a": _link_starts, "td": _cell_starts, "th": _cell_starts, "table": _table_edge, "tr": _nothing}
    ends = {"a": _link_ends, "td": _nothing, "th": _nothing, "table": _table_edge}
    lines = {tag: HtmlElement(display=Display.block) for tag in ("table", "tr", "hr")}
    config = ParserConfig(
        css={**CSS_PROFILES["strict"], **lines},
        custom_html_tag_handler_mapping=CustomHtmlTagHandlerMapping(starts, ends),
    )
    config.attribute_handler.attribute_mapping = {"style": hide, "hidden": hide}
    return config


def _nothing(*_: Any) -> None:
    """Takes the place of what the library does with tables."""


def _link_starts(state: Any, attributes: Any) -> None:
    address = attributes.get("href", "").strip()
    state.link_target = address if _SHOWN.match(address) else ""
    if state.link_target:
        state.tags[-1].write(_LINK)


def _link_ends(state: Any) -> None:
    if state.link_target:
        state.tags[-1].write(f"{_ADDRESS}{state.link_target}{_LINK_END}")


def _cell_starts(state: Any, _: Any) -> None:
    state.tags[-1].write(_CELL)


def _table_edge(state: Any, *_: Any) -> None:
    """A table stands apart; margins would come between its rows as well."""
    state.tags[-1].write(_TABLE)
