"""Which events of one batch are the same issue, before the database is asked about older ones."""

from __future__ import annotations

from collections.abc import Sequence

from domain.event import Event


def rounds(events: Sequence[Event]) -> list[list[tuple[Event, str]]]:
    """Split a batch so that each round leads with at most one event per fingerprint.

    Each event comes with the id of its leader in the batch (its own if it leads). An event folds into the leader before
    it unless its condition differs or its severity is higher: then it leads the next round, because one statement may
    decide only once about a fingerprint. Nearly every batch is one round.
    """
    result: list[list[tuple[Event, str]]] = [[]]
    leaders: dict[tuple[str, bytes], tuple[Event, int]] = {}
    for event in events:
        if event.dedupe_window == 0:
            result[0].append((event, event.id))
            continue
        key = (event.tenant, event.fingerprint)
        leader, depth = leaders.get(key, (None, -1))
        if leader is None or leader.condition != event.condition or event.severity.rank > leader.severity.rank:
            leader, depth = event, depth + 1
            leaders[key] = leader, depth
        if depth == len(result):
            result.append([])
        result[depth].append((event, leader.id))
    return result
