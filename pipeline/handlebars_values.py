"""What Handlebars makes of values, as filters for templates that were translated from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import Undefined
from markupsafe import Markup

_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "`": "&#x60;", "=": "&#x3D;"}
)


def said(value: object) -> str:
    """`value` as JavaScript writes it: ``true``, ``a,b``, ``1`` for 1.0, nothing for null."""
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return ",".join(map(said, value))
    return "[object Object]" if isinstance(value, Mapping) else str(value)


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value).replace("e-0", "e-").replace("e+0", "e+")


def truthy(value: object, zero: bool = False) -> bool:
    """Whether ``{{#if}}`` takes it: an empty list is nothing, an empty object is something; so is 0 with `zero`."""
    if isinstance(value, Mapping):
        return True
    if zero and isinstance(value, int | float) and not isinstance(value, bool):
        return True
    return not isinstance(value, Undefined) and bool(value)


def walked(value: object) -> list[dict[str, Any]]:
    """What ``{{#each}}`` walks through: entries of a list or fields of an object."""
    if isinstance(value, Mapping):
        pairs: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list | tuple):
        pairs = list(enumerate(value))
    else:
        return []
    last = len(pairs) - 1
    return [
        {"this": entry, "key": key, "index": at, "first": at == 0, "last": at == last}
        for at, (key, entry) in enumerate(pairs)
    ]


def within(value: object) -> list[dict[str, Any]]:
    """What ``{{#with}}`` goes into: the value itself where there is one."""
    return [{"this": value, "key": None}] if truthy(value, zero=True) else []


def section(value: object, this: object) -> list[dict[str, Any]]:
    """What ``{{#field}}`` goes through: a list's entries, the value itself; for ``true`` it stays where it is."""
    if isinstance(value, list | tuple):
        return walked(value)
    if value is None or value is False or isinstance(value, Undefined):
        return []
    return [{"this": this if value is True else value, "key": None}]


def at(value: object, key: object) -> object:
    """A field of an object, an entry or the length of a list."""
    if isinstance(value, Mapping):
        return value.get(key if key in value else said(key))
    if isinstance(value, list | tuple | str):
        if key == "length":
            return len(value)
        number = said(key)
        return value[int(number)] if number.isascii() and number.isdigit() and int(number) < len(value) else None
    return None


def indented(value: object, indent: str) -> object:
    """Every line of a partial behind the blanks that stood before it."""
    lines = str(value).split("\n")
    last = len(lines) - 1
    text = "\n".join(line if at == last and not line else indent + line for at, line in enumerate(lines))
    return Markup(text) if isinstance(value, Markup) else text  # noqa: S704


def _escaped(value: object) -> Markup:
    return Markup(said(value).translate(_ESCAPES))  # noqa: S704


def _as_it_is(value: object) -> Markup:
    return Markup(said(value))  # noqa: S704


_COMMON: Final[Mapping[str, Callable[..., Any]]] = {
    "hbs_at": at,
    "hbs_each": walked,
    "hbs_if": truthy,
    "hbs_indent": indented,
    "hbs_section": section,
    "hbs_with": within,
}
FILTERS: Final[Mapping[str, Mapping[str, Callable[..., Any]]]] = {
    "html": {**_COMMON, "hbs": _escaped, "hbs_raw": _as_it_is},
    "text": {**_COMMON, "hbs": said, "hbs_raw": said},
}
