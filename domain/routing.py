"""Which routes an event takes, and why it does not take the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from domain.catalogue import Plan, Route
from domain.vocabulary import Priority, Reason, Severity


@lru_cache(maxsize=4096)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def glob_matches(glob: str, value: str) -> bool:
    """Case-sensitive shell pattern, as in ``billing.*``."""
    return glob == "*" or _pattern(glob).match(value) is not None


def mismatch(route: Route, event_type: str, severity: Severity, branch: str | None) -> Reason | None:
    """Why the route does not match; None when it does. An event without a branch matches only ``*``."""
    if not glob_matches(route.event, event_type):
        return Reason.EVENT_MISMATCH
    if route.severity and severity not in route.severity:
        return Reason.SEVERITY_MISMATCH
    if route.branch != "*" and not glob_matches(route.branch, branch or ""):
        return Reason.BRANCH_MISMATCH
    return None


@dataclass(frozen=True, slots=True)
class Routing:
    """What routing decided for a type, severity and branch.

    Attributes:
        matched: the routes taken, the leading one (priority, then the tenant's own, then name) first.
        explanation: for every route of the tenant its name, whether it matched, and the reason if not.
    """

    matched: tuple[Route, ...]
    explanation: tuple[tuple[str, bool, str | None], ...]
    priority: Priority
    plan: Plan


def resolve(routes: Iterable[Route], event_type: str, severity: Severity, branch: str | None) -> Routing:
    """Compare an event with every route of its tenant."""
    explanation, matched = [], []
    for route in routes:
        reason = mismatch(route, event_type, severity, branch)
        explanation.append((route.name, reason is None, reason and reason.value))
        if reason is None:
            matched.append(route)
    ordered = _leading_first(matched)
    telling = [route for route in ordered if route.recipients] or ordered
    critical = severity is Severity.CRITICAL
    return Routing(
        matched=tuple(ordered),
        explanation=tuple(explanation),
        priority=Priority.CRITICAL if critical else telling[0].priority if telling else Priority.NORMAL,
        plan=Plan.SIMULTANEOUS if critical or not telling else telling[0].plan,
    )


def _leading_first(routes: Sequence[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: (-route.priority.rank, not route.own, route.name))
