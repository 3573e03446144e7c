"""Request bodies: read with a limit while they arrive, and parsed by the one door that all events pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from api.errors import Problem
from pipeline.envelope import MOST_BODY_BYTES, loads

MOST_SETTINGS_BYTES: Final = 256 * 1024  # a user, a route, a webhook; the longest list of ids to replay

# Above this a body is parsed beside the event loop, where others wait 1 ms for every 100 KiB.
LARGE: Final = 64 * 1024


async def read_body(request: Request, most: int = MOST_BODY_BYTES) -> bytes:
    """The whole body. A larger one is refused at its first byte too many, whatever Content-Length said.

    Raises:
        Problem: 413, or 415 for a compressed body.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "bellwire.unsupported_encoding", "The body must not be compressed.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
        raise _too_large(most)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


async def parsed(body: bytes) -> Any:
    """The JSON of a body, whatever its Content-Type says. Raises InvalidInputError."""
    return loads(body) if len(body) <= LARGE else await run_in_threadpool(loads, body)


async def _json(request: Request) -> Any:
    return await parsed(await read_body(request, MOST_SETTINGS_BYTES))


async def _optional_json(request: Request) -> Any:
    body = await read_body(request, MOST_SETTINGS_BYTES)
    return await parsed(body) if body.strip() else None


JsonBody = Annotated[Any, Depends(_json)]
"""A body that must be JSON."""

OptionalJsonBody = Annotated[Any, Depends(_optional_json)]
"""A body that may be left out (None)."""


def described(schema: Mapping[str, Any], *, required: bool = True, examples: Mapping[str, Any]) -> dict[str, Any]:
    """What the API's description says about a body that FastAPI does not parse; for ``openapi_extra``."""
    shown = {name: {"value": value} for name, value in examples.items()}
    content = {"application/json": {"schema": schema, "examples": shown}}
    return {"requestBody": {"required": required, "content": content}}


def _too_large(most: int) -> Problem:
    return Problem(413, "bellwire.too_large", f"The body is larger than {most} bytes.")
