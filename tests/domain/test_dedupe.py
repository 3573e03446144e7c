"""Which events of one batch are the same issue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from domain.dedupe import rounds
from domain.event import Condition, Event
from domain.vocabulary import Severity

FIRING, RESOLVED = Condition.FIRING, Condition.RESOLVED
LOW, HIGH, CRITICAL = Severity.LOW, Severity.HIGH, Severity.CRITICAL
Make = Callable[..., Event]


def shape(events: Sequence[Event]) -> list[list[tuple[int, int]]]:
    """The rounds with events and leaders by their place in the batch."""
    place = {event.id: index for index, event in enumerate(events)}
    return [[(place[event.id], place[leader]) for event, leader in batch] for batch in rounds(events)]


@pytest.mark.mission("B-8", "D-31")
@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        pytest.param([("a", FIRING, HIGH), ("b", FIRING, HIGH)], [[(0, 0), (1, 1)]], id="two-issues"),
        pytest.param([("a", FIRING, HIGH), ("a", FIRING, HIGH)], [[(0, 0), (1, 0)]], id="a-repeat-folds"),
        pytest.param([("a", FIRING, HIGH), ("a", FIRING, LOW)], [[(0, 0), (1, 0)]], id="a-milder-repeat-folds"),
        pytest.param([("a", FIRING, LOW), ("a", FIRING, HIGH)], [[(0, 0)], [(1, 1)]], id="a-graver-one-leads-anew"),
        pytest.param([("a", FIRING, HIGH), ("a", RESOLVED, HIGH)], [[(0, 0)], [(1, 1)]], id="resolved-leads-anew"),
        pytest.param(
            [("a", FIRING, HIGH), ("a", RESOLVED, LOW), ("a", FIRING, HIGH)],
            [[(0, 0)], [(1, 1)], [(2, 2)]],
            id="firing-again-after-resolved",
        ),
        pytest.param(
            [("a", FIRING, LOW), ("a", FIRING, CRITICAL), ("a", FIRING, HIGH)],
            [[(0, 0)], [(1, 1), (2, 1)]],
            id="what-follows-an-escalation-folds-into-it",
        ),
        pytest.param(
            [("a", FIRING, LOW), ("a", FIRING, HIGH), ("b", FIRING, LOW), ("b", RESOLVED, LOW)],
            [[(0, 0), (2, 2)], [(1, 1), (3, 3)]],
            id="issues-share-rounds",
        ),
    ],
)
def test_a_round_decides_once_about_an_issue(
    event: Make, batch: list[tuple[str, Condition, Severity]], expected: list[list[tuple[int, int]]]
) -> None:
    events = [event(data={"host": host}, condition=condition, severity=severity) for host, condition, severity in batch]
    assert shape(events) == expected


def test_what_has_no_window_folds_never(event: Make) -> None:
    assert shape([event(dedupe_window=0)] * 1 + [event(dedupe_window=0)]) == [[(0, 0), (1, 1)]]


def test_the_same_issue_of_another_tenant_is_another_one(event: Make) -> None:
    same = b"x" * 32
    assert shape([event(fingerprint=same), event(fingerprint=same, tenant="u")]) == [[(0, 0), (1, 1)]]


def test_an_empty_batch_is_one_empty_round() -> None:
    assert rounds([]) == [[]]
