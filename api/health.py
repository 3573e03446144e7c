"""Health: whether this process serves, and whether what it needs is there, in words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from fastapi import APIRouter, Request, Response

from api.answers import Json
from api.errors import Problem
from api.probes import Servers
from channels.registry import PROVIDERS, configured
from config.settings import SettingsError, settings

router = APIRouter(tags=["health"])


@router.get("/health/live")
@router.head("/health/live", include_in_schema=False)
async def live() -> Response:
    """This process serves. Whatever it needs may be down: it takes events again as soon as it is back."""
    return Json({"live": True})


@router.get("/health/ready")
@router.head("/health/ready", include_in_schema=False)
async def ready(request: Request) -> Response:
    """What is down, in words. A channel without a provider is a warning: its deliveries wait."""
    servers: Servers = request.app.state.servers
    down = await servers.down()
    checks = {name: down.get(name, "ok") for name in servers.names}
    warned = [
        *warnings(),
        *_open(servers.holes),
        *(_rejected(provider, count) for provider, count in sorted(servers.rejected.items())),
    ]
    if not down:
        return Json({"ready": True, "checks": checks, "warnings": warned})
    said = "; ".join(f"the {name} {problem}" for name, problem in down.items())
    detail = f"{said[0].upper()}{said[1:]}."
    more = {"ready": False, "checks": checks, "warnings": warned}
    raise Problem(503, "bellwire.not_ready", detail, headers={"Retry-After": "2"}, **more)


def _open(holes: Sequence[str]) -> list[str]:
    if not holes:
        return []
    named = ", ".join(holes[:3]) + (" ..." if len(holes) > 3 else "")
    return [f"there is no second wall between tenants ({named}): `bellwire migrate` puts it up or says why it cannot"]


def _rejected(provider: str, count: int) -> str:
    """Without the tenants' names: nobody needs a key to read this."""
    accounts = "an account" if count == 1 else f"{count} accounts"
    return f"{provider} does not accept {accounts}: `bellwire status` says whose; what would go there waits"


@cache
def warnings() -> list[str]:
    """What works less than somebody might expect, as the settings have it."""
    try:
        found = configured(settings())
    except (SettingsError, ValueError) as error:
        return [str(error)]
    return [
        f"{channel} has no provider: its deliveries wait as queued, no_provider"
        for channel in PROVIDERS
        if channel not in found
    ]
