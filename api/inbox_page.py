"""The inbox for people: the page /inbox, and under /static the component that platforms put into pages of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.errors import not_found

router = APIRouter(include_in_schema=False)

LOOK: Final = ["GET", "HEAD"]
FOLDER: Final = Path(__file__).with_name("static")

# What is served under which name. The component is written in bellwire-inbox.js; `make inbox` makes it small.
FILES: Final = {
    "bellwire-inbox.js": ("bellwire-inbox.min.js", "text/javascript"),
    "inbox-page.js": ("inbox-page.js", "text/javascript"),
    "inbox.css": ("inbox.css", "text/css"),
}

# An address with the content's own number never means anything else. Without it a page notices a new version after five
# minutes, which costs it a question answered with 304.
FOR_EVER: Final = "public, max-age=31536000, immutable"
FOR_NOW: Final = "public, max-age=300, must-revalidate"

# The page loads nothing of others and is shown in no frame, so that nobody can click in it with the user's hand.
POLICY: Final = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that is served. `number` is of its content."""

    content: bytes
    kind: str
    number: str


@router.api_route("/", methods=LOOK)
def go_in() -> Response:
    """Whoever types the bare address is a person; programs know where they want to go."""
    return RedirectResponse("/inbox", 307)


@router.api_route("/inbox", methods=LOOK)
def show_inbox() -> Response:
    """The page. It knows nobody: the user's token comes from the address behind the # or is asked for."""
    return Response(_page(), headers=PAGE_HEADERS, media_type="text/html")


@router.api_route("/static/{name}", methods=LOOK)
def serve(request: Request, name: str, v: str | None = None) -> Response:
    """One of `FILES`. Pages of any origin may load them: they hold nothing but what is public."""
    if name not in FILES:
        raise not_found("address")
    asset = read_asset(name)
    headers = {
        "Cache-Control": FOR_EVER if v == asset.number else FOR_NOW,
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": f'"{asset.number}"',
        "X-Content-Type-Options": "nosniff",
    }
    if _has(request.headers.get("if-none-match", ""), asset.number):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.kind)


@cache
def read_asset(name: str) -> Asset:
    """One of `FILES`, read once: a new version comes with a new process."""
    file, kind = FILES[name]
    content = FOLDER.joinpath(file).read_bytes()
    return Asset(content, kind, sha256(content).hexdigest()[:16])


def address(name: str) -> str:
    """Where a file is, for a page of ours; another content has another address."""
    return f"/static/{name}?v={read_asset(name).number}"


@cache
def _page() -> str:
    folder = FileSystemLoader(Path(__file__).with_name("pages"))
    made = Environment(loader=folder, autoescape=True, undefined=StrictUndefined)
    return made.get_template("inbox.html").render(address=address)


def _has(asked: str, number: str) -> bool:
    """Whether `If-None-Match` names this content. What a proxy compressed comes back as a weak one."""
    named = {one.strip().removeprefix("W/").strip('"') for one in asked.split(",")}
    return number in named or "*" in named
