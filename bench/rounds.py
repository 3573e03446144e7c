"""Runs the measurements one after the other, round after round, so that all see the same machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.bellwire import Bellwire, EmptyBellwire, FullBellwire
from bench.candidates import Bench, Candidate, Chain, Load, Obvious, Run
from bench.channels import ChannelBellwire, Library
from bench.plan import Measurement

CANDIDATES: dict[str, Callable[[Bench], Candidate]] = {
    "celery": Chain,
    "obvious": Obvious,
    "bellwire": Bellwire,
    "bellwire_empty": EmptyBellwire,
    "bellwire_million": FullBellwire,
    "channels": ChannelBellwire,
    "library": Library,
}


def run_rounds(
    bench: Bench,
    measurements: Sequence[Measurement],
    rounds: int,
    runs: dict[str, list[Run]],
    *,
    quick: bool,
    say: Callable[[str], None],
) -> None:
    """Warm up every measurement once, size it, then measure each once a round and add what came to `runs`.

    Raises:
        BenchmarkError: something did not start, did not end, or ended with figures that do not agree.
    """
    candidates: dict[str, Candidate] = {}
    for one in measurements:
        if one.candidate not in candidates:
            say(f"starting {one.candidate}")
            candidates[one.candidate] = CANDIDATES[one.candidate](bench)
    loads: dict[str, Load] = {}
    for one in measurements:
        say(f"warming up: {one.title}")
        loads[one.name] = one.sized(candidates[one.candidate].run(one.load).rate, quick=quick)
    for number in range(1, rounds + 1):
        for one in measurements:
            run = candidates[one.candidate].run(loads[one.name])
            runs.setdefault(one.name, []).append(run)
            say(f"round {number} of {rounds}: {one.title}: {run.rate:,.0f} {one.unit} a second")
