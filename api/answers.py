"""How answers are written: JSON in UTF-8, kept by no cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Response

PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_bytes(content: Any) -> bytes:
    """JSON as it is sent: compact, no NaN."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class Json(Response):
    """An answer of ours. Everything in it was stored or made here, so it is text that UTF-8 can write."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, {**PRIVATE, **(headers or {})})

    def render(self, content: Any) -> bytes:
        """The body's bytes."""
        return json_bytes(content)


def nothing() -> Response:
    """204: done, and nothing to say."""
    return Response(status_code=204, headers=dict(PRIVATE))
