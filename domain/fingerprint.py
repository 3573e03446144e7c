"""The identity of "the same issue"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from unicodedata import is_normalized, normalize

# Made once: json.dumps would make an encoder at every call, which costs as much as the encoding itself.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def canonical(value: Any) -> str:
    """JSON with sorted keys, without spaces, not escaped. Raises ValueError on NaN and infinities."""
    return _ENCODER.encode(value)


def fingerprint(
    *,
    tenant: str,
    event_type: str,
    branch: str | None,
    customer_id: str | None,
    recipients: Sequence[Any] | None,
    key: Sequence[str],
    data: dict[str, Any],
    data_json: str,
    given: str | None = None,
    send_at: str | None = None,
) -> bytes:
    """SHA-256 over who, what and where, in NFC; what is to be told at another time is another issue.

    `given` stands for the key fields. Without it the values at `key` (dotted paths) count, or all of `data` if the
    catalogue names no key or the event has none of the fields.
    """
    if given is not None:
        identity: Any = {"given": given}
    else:
        identity = {path: value for path in key if (value := lookup(data, path)) is not None} or data
    place = [tenant, event_type, branch, customer_id, *([] if send_at is None else [send_at])]
    text = _text(place, recipients, data_json if identity is data else canonical(identity))
    if not text.isascii() and not is_normalized("NFC", text):
        text = _text(_composed(place), _composed(recipients), canonical(_composed(identity)))
    return sha256(text.encode()).digest()


def _text(place: Sequence[str | None], recipients: Sequence[Any] | None, identity: str) -> str:
    named = None if recipients is None else sorted(canonical(one) for one in recipients)
    return canonical([*place, named]) + identity


def _composed(value: Any) -> Any:
    """The value with every text in NFC: before it is sorted, for composed letters sort elsewhere."""
    if isinstance(value, str):
        return normalize("NFC", value)
    if isinstance(value, dict):
        return {_composed(name): _composed(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_composed(inner) for inner in value]
    return value


def lookup(data: Any, path: str) -> Any:
    """The value at a dotted path such as ``order.customer.id``; None where there is none."""
    for step in path.split("."):
        if not isinstance(data, dict):
            return None
        data = data.get(step)
    return data
