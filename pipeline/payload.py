"""Payload: the data of an event, as text that is hashed and stored, and what in it can be neither."""

from __future__ import annotations

from typing import Any, Final

from domain.errors import InvalidInputError
from domain.fingerprint import canonical

MOST_DATA_BYTES: Final = 256 * 1024
MOST_DATA_DEPTH: Final = 32


def data_text(data: dict[str, Any]) -> str:
    """The canonical text of `data`, after checks that cost one look at that text for almost every event."""
    try:
        text = canonical(data)
        size = len(text.encode())
    except RecursionError:
        raise InvalidInputError("data", f"is nested deeper than {MOST_DATA_DEPTH}") from None
    except (ValueError, TypeError):
        raise _odd_value(data, "data", 0) or InvalidInputError("data", "cannot be written as JSON") from None
    if size > MOST_DATA_BYTES:
        raise InvalidInputError("data", f"is larger than {MOST_DATA_BYTES} bytes", too_large=True)
    if "\\u0000" in text or text.count("{") + text.count("[") > MOST_DATA_DEPTH:
        problem = _odd_value(data, "data", 0)
        if problem is not None:
            raise problem
    return text


def check_data(data: dict[str, Any], field: str) -> dict[str, Any]:
    """`data` as an event could carry it. Raises InvalidInputError, naming what is wrong below `field`."""
    try:
        data_text(data)
    except InvalidInputError as error:
        raise InvalidInputError(field + error.field.removeprefix("data"), error.problem) from None
    return data


def printable(field: str) -> str:
    """A sender's own name for a field, fit for an answer, a log line and a column of text."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in field[:200])


def _odd_value(value: Any, path: str, depth: int) -> InvalidInputError | None:
    """What in `value` cannot be stored, and where: too deep, NUL, a lone surrogate, NaN, not JSON at all."""
    if depth >= MOST_DATA_DEPTH and isinstance(value, dict | list):
        return InvalidInputError("data", f"is nested deeper than {MOST_DATA_DEPTH}")
    if isinstance(value, dict):
        for key, inner in value.items():
            if (problem := _odd_text(key, path)) or (
                problem := _odd_value(inner, f"{path}.{printable(str(key))}", depth + 1)
            ):
                return problem
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if problem := _odd_value(inner, f"{path}[{index}]", depth + 1):
                return problem
    elif isinstance(value, str):
        return _odd_text(value, path)
    elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return InvalidInputError(path, "must be a finite number")
    elif value is not None and not isinstance(value, int | float):
        return InvalidInputError(path, "is not a JSON value")
    return None


def _odd_text(value: Any, path: str) -> InvalidInputError | None:
    if not isinstance(value, str):
        return InvalidInputError(path, "has a key that is not a string")
    if "\x00" in value:
        return InvalidInputError(path, "has a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in value):
        return InvalidInputError(path, "has half a surrogate pair")
    return None
