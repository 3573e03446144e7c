"""Every address that the API has, described or not: `python -m tests.support.addresses`, one `METHOD path` a line."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import WebSocketRoute


def addresses(app: FastAPI) -> Iterator[str]:
    """Method and path of each; ``WS`` for a WebSocket, ``MOUNT`` for an application of its own. GET covers HEAD."""
    for route in iter_route_contexts(app.routes):
        methods = route.methods or {"WS" if isinstance(route.original_route, WebSocketRoute) else "MOUNT"}
        for method in methods:
            yield f"{'GET' if method == 'HEAD' else method} {route.path_format or route.path}"


if __name__ == "__main__":
    from api.app import app

    print("\n".join(sorted(set(addresses(app)))))
