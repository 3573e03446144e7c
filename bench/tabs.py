"""A process with a crowd in it: reads what to do as JSON lines, and answers each with one.

Run as ``python -m bench.tabs HOST PORT`` with the secret that signs tokens in ``BELLWIRE_JWT_SECRET``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import jwt
import uvloop

from bench.crowd import Crowd
from bench.listeners import listener
from bench.people import TENANT


def _token(user: str) -> str:
    claims = {"sub": user, "tenant": TENANT, "aud": "bellwire", "exp": time.time() + 3600, "customers": []}
    return jwt.encode(claims, os.environ["BELLWIRE_JWT_SECRET"], algorithm="HS256")


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition; whoever asked sees from the answer whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - no event says so
        await asyncio.sleep(0.005)


async def _answer(crowd: Crowd, asked: dict[str, Any]) -> dict[str, Any]:
    match asked["do"]:
        case "open":
            numbers = range(asked["first"], asked["first"] + asked["count"])
            users = [listener(number) for number in numbers]
            await asyncio.wait_for(crowd.open((asked["framing"], user, _token(user)) for user in users), 300)
        case "latencies":
            await _until(lambda: len(crowd.latencies) >= asked["count"], asked["seconds"])
            found, crowd.latencies = crowd.latencies, []
            return {"latencies_ns": found}
        case "broadcasts":
            await _until(lambda: crowd.broadcasts >= asked["count"], asked["seconds"])
            at = time.monotonic()
            return {"broadcasts": crowd.broadcasts, "at": at, "opened": crowd.opened, "cuts": crowd.cuts}
    return {"opened": crowd.opened}


async def main(host: str, port: int) -> None:
    """Answer until the input ends."""
    crowd = Crowd([(host, port)])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await _answer(crowd, json.loads(line))), flush=True)
    await crowd.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
