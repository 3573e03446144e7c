"""Condition: whether a claimed delivery that depends on the others of its notification goes out, waits or ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row

from domain.catalogue import OnlyIf
from domain.conditions import Wait, judge
from domain.states import DeliveryStatus
from domain.verdict import Verdict, held, withdrawn
from domain.vocabulary import Reason


def asks_for_presence(rows: Iterable[Row[Any]]) -> list[tuple[str, str]]:
    """The users, as tenant and id, of whom somebody must know whether they are connected."""
    return [
        (row.tenant, row.user_id)
        for row in rows
        if row.only_if is not None and row.only_if["only_if"] == OnlyIf.UNSEEN and not row.only_if["seen"]
    ]


def look_at_condition(row: Row[Any], present: Mapping[tuple[str, str], float], grace: float) -> Verdict | None:
    """What the condition of a delivery comes to; None when it has none or is to be sent.

    Args:
        present: since when users have a live connection, in seconds since 1970. Whoever is not among them counts as
            gone: rather told twice than never.
        grace: seconds that a live connection is given to be looked at.
    """
    if row.only_if is None:
        return None
    found = judge(
        OnlyIf(row.only_if["only_if"]),
        seen=row.only_if["seen"],
        since=present.get((row.tenant, row.user_id)),
        shown_at=row.only_if["shown_at"],
        age=row.only_if["age"],
        grace=grace,
        others=row.only_if["others"] or {},
    )
    if found is None:
        return None
    if isinstance(found, Wait):
        return held(row.failures, Reason.CONDITION, found.seconds)
    return withdrawn(row.failures, DeliveryStatus.SUPPRESSED, found.reason)
