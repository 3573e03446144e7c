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
    """`value` as JavaScript writes it: ``true``, ``a,b``, ``1`` for 1.0, nothing for null and false alone."""
    if value is None or value is False or isinstance(value, Undefined):
        return ""
    return _joined(value)


def _joined(value: object) -> str:
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, list | tuple):
        return ",".join(map(_joined, value))
    return "[object Object]" if isinstance(value, Mapping) else str(value)


def truthy(value: object) -> bool:
    """Whether ``{{#if}}`` takes it: an empty list is nothing, an empty object is something."""
    if isinstance(value, Mapping):
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


def blocked(value: object) -> list[Any]:
    """What ``{{#field}}`` walks through: a list's entries, the value itself where it says something."""
    if isinstance(value, list | tuple):
        return list(value)
    return [value] if (isinstance(value, int | float) and value is not False) or truthy(value) else []


def _escaped(value: object) -> Markup:
    return Markup(said(value).translate(_ESCAPES))  # noqa: S704


def _as_it_is(value: object) -> Markup:
    return Markup(said(value))  # noqa: S704


_COMMON: Final[Mapping[str, Callable[..., Any]]] = {"hbs_if": truthy, "hbs_each": walked, "hbs_block": blocked}
FILTERS: Final[Mapping[str, Mapping[str, Callable[..., Any]]]] = {
    "html": {**_COMMON, "hbs": _escaped, "hbs_raw": _as_it_is},
    "text": {**_COMMON, "hbs": said, "hbs_raw": said},
}
