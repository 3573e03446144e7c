"""The state machine of a delivery."""

from __future__ import annotations

import pytest

from domain.states import FINAL, MOVES, SENTENCES, WAITING, DeliveryStatus, may_move

S = DeliveryStatus


@pytest.mark.mission("B-9", "A-27")
def test_every_state_has_a_sentence_and_a_row_of_moves() -> None:
    assert set(SENTENCES) == set(MOVES) == set(DeliveryStatus)


@pytest.mark.mission("B-9")
@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        pytest.param(S.QUEUED, S.PROCESSING, True, id="claimed"),
        pytest.param(S.PROCESSING, S.SENT, True, id="sent"),
        pytest.param(S.PROCESSING, S.FAILED, True, id="failed"),
        pytest.param(S.FAILED, S.PROCESSING, True, id="tried-again"),
        pytest.param(S.PROCESSING, S.DEAD_LETTER, True, id="given-up"),
        pytest.param(S.DEAD_LETTER, S.QUEUED, True, id="replayed"),
        pytest.param(S.SENT, S.DELIVERED, True, id="receipt"),
        pytest.param(S.QUEUED, S.SENT, False, id="never-sent-without-a-claim"),
        pytest.param(S.SENT, S.QUEUED, False, id="never-sent-again"),
        pytest.param(S.SENT, S.PROCESSING, False, id="never-claimed-again"),
        pytest.param(S.DELIVERED, S.FAILED, False, id="delivered-is-the-end"),
        pytest.param(S.CANCELLED, S.QUEUED, False, id="cancelled-is-the-end"),
        pytest.param(S.DEAD_LETTER, S.PROCESSING, False, id="a-dead-letter-is-not-claimed"),
    ],
)
def test_a_delivery_moves_only_like_this(before: S, after: S, allowed: bool) -> None:
    assert may_move(before, after) is allowed


@pytest.mark.parametrize("status", list(DeliveryStatus))
def test_staying_is_no_move(status: S) -> None:
    assert may_move(status, status)


def test_every_state_can_be_reached() -> None:
    reached, frontier = {S.QUEUED}, [S.QUEUED]
    while frontier:
        new = MOVES[frontier.pop()] - reached
        reached |= new
        frontier += new
    assert reached == set(DeliveryStatus)


def test_waiting_processing_and_final_states_are_all_there_are() -> None:
    assert WAITING | FINAL | {S.PROCESSING} == set(DeliveryStatus)
    assert not WAITING & FINAL


def test_whatever_waits_can_be_claimed() -> None:
    assert all(may_move(status, S.PROCESSING) for status in WAITING)
