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
) -> bytes:
    """SHA-256 over who, what and where, in NFC.

    `given` stands for the key fields. Without it the values at `key` (dotted paths) count, or all of `data` if the
    catalogue names no key or the event has none of the fields.
    """
    if given is not None:
        identity = canonical({"given": given})
    elif key and (found := {path: value for path in key if (value := lookup(data, path)) is not None}):
        identity = canonical(found)
    else:
        identity = data_json
    named = None if recipients is None else sorted(canonical(one) for one in recipients)
    text = canonical([tenant, event_type, branch, customer_id, named]) + identity
    if not text.isascii() and not is_normalized("NFC", text):
        text = normalize("NFC", text)
    return sha256(text.encode()).digest()


def lookup(data: Any, path: str) -> Any:
    """The value at a dotted path such as ``order.customer.id``; None where there is none."""
    for step in path.split("."):
        if not isinstance(data, dict):
            return None
        data = data.get(step)
    return data
