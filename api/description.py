"""The API's description: OpenAPI with the schemas of bodies that FastAPI does not parse, and a page that shows it.

The page is one file of ours: the usual one loads its scripts from the internet, which many installations have not.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi

from api.codes import problems
from api.examples import ANSWERS, HEARD, TEXTS
from pipeline.envelope import EventIn

router = APIRouter(include_in_schema=False)

PAGE: Final = Path(__file__).with_name("docs.html")
ABOUT: Final = (
    "Events in, the right people told over the right channels, nothing lost, and anybody can see why. "
    "Who may call what: docs/access.md. Beside Server-Sent Events there are a WebSocket, /v1/notifications/ws, and "
    "Socket.IO, /socket.io/, for which OpenAPI has no words: docs/live.md."
)
PROBLEM: Final = {
    "type": "object",
    "description": (
        "RFC 9457. `code` is what programs decide by; `field` names what was wrong with the input, and is null when "
        "that is no single field."
    ),
    "required": ["type", "title", "status", "detail", "code", "field"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["bellwire.invalid_input", "notifications_m.not_found"]},
        "field": {"type": ["string", "null"], "examples": ["events[3].severity"]},
    },
}
IDENTITIES: Final = {
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "bw_..., or as a Bearer token."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (bw_...) or a user's token (JWT)."},
}
PROVIDERS: Final = {
    "provider": {"type": "http", "scheme": "basic", "description": "Postmark's; the others have schemes of their own."}
}


def install(app: FastAPI) -> None:
    """Let `app` describe itself at /openapi.json and /docs."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
    app.include_router(router)


@router.get("/docs")
async def page() -> Response:
    """The description for people, with a form to try each call."""
    body, policy = _page()
    return Response(body, media_type="text/html", headers={"Content-Security-Policy": policy})


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title="Bellwire", version=version("bellwire"), description=ABOUT, routes=app.routes)
    event = EventIn.model_json_schema(ref_template="#/components/schemas/{model}")
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= event.pop("$defs", {}) | {"EventIn": event, "Problem": PROBLEM}
    components["securitySchemes"] = IDENTITIES | PROVIDERS
    document["security"] = [{name: []} for name in IDENTITIES]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _summarize(operation)
            _read_examples(operation)
            _show_answers(f"{method.upper()} {path}", operation)
            _describe_errors(method, path, operation)
    return document


def _summarize(operation: dict[str, Any]) -> None:
    """The first sentence is the summary; the framework's own is only the function's name."""
    operation["description"] = operation.get("description", "").replace("``", "`")
    words = " ".join(operation["description"].split("\n\n")[0].split())
    operation["summary"] = re.split(r"(?<=\w[.;:)])\s", words, maxsplit=1)[0].rstrip(".;:")


def _read_examples(operation: dict[str, Any]) -> None:
    """See `api.examples.answered`."""
    for answer in operation["responses"].values():
        content = answer.get("content", {}).get("application/json", {})
        if "example" in content:
            content["example"] = json.loads(content["example"])


def _show_answers(address: str, operation: dict[str, Any]) -> None:
    """See `api.examples.ANSWERS`; and what a provider sends, for a body that each has in a form of its own."""
    if address in ANSWERS:
        operation["responses"]["200"]["content"] = {"application/json": {"example": ANSWERS[address]}}
    if raw := operation.get("requestBody", {}).get("content", {}).get("*/*"):
        raw["example"] = HEARD
    if address in TEXTS:
        schema = {"type": "string"}
        operation["responses"]["200"]["content"] = {"text/plain": {"schema": schema, "example": TEXTS[address]}}


def _describe_errors(method: str, path: str, operation: dict[str, Any]) -> None:
    """Errors are problems, and never 422."""
    operation["responses"].pop("422", None)
    if "health" in operation.get("tags", ()):
        operation["security"] = []
    operation["responses"] |= problems(method, path, operation)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"]["default"] = {"description": "Any other problem, as RFC 9457 has it.", "content": problem}


@cache
def _page() -> tuple[bytes, str]:
    """The page, and a policy under which nothing but its own script and style runs."""
    text = PAGE.read_text(encoding="utf-8")
    hashes = {}
    for tag in ("script", "style"):
        inline = text.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
        hashes[tag] = b64encode(sha256(inline.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy
