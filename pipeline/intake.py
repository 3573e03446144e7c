"""Intake: the events of many requests in one transaction, each with its own answer; a repeated one gets its first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import islice

from sqlalchemy import Connection, text

from domain.event import Event
from pipeline.idempotency import Kept, Slot, remember, take
from pipeline.publish import Answer, accept_only

ACCEPTED = 202  # what a kept answer's request was answered with

# Which keys are good, and as of which version the tenants are: in one look.
STANDING = text("""
SELECT t.id AS tenant, t.version,
       ARRAY(SELECT k.id::text FROM api_keys k
             WHERE k.id = ANY(cast(:ids AS uuid[])) AND k.tenant = t.id AND k.revoked_at IS NULL) AS unrevoked
FROM tenants t WHERE t.id = ANY(:tenants)
""")


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """The events of one request.

    Attributes:
        key_id: the API key it came with; it may have been revoked meanwhile. None for a user's token.
        version: the tenant's, as of which its events were read; None where it does not matter.
        slot: where its answer is kept, if it has an idempotency key; `body_hash` is the SHA-256 of its body.
    """

    events: Sequence[Event]
    key_id: str | None
    slot: Slot | None = None
    body_hash: bytes = b""
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The answers to a submission's events. `fresh`: they were stored now and wait for routing."""

    answers: list[Answer]
    fresh: bool


class Refusal(Enum):
    """Why nothing of a submission was stored."""

    REVOKED = "the API key was revoked"
    OTHER_BODY = "the idempotency key came with another body before"
    STALE = "the tenant's event types may have changed since its events were read"


def take_in(connection: Connection, submissions: Sequence[Submission]) -> list[Taken | Refusal]:
    """Store what is new, in the order given. The answers count once the caller's transaction commits.

    A fixed number of statements, however many submissions there are.
    """
    versions, good = _standing(connection, submissions)
    stale = {one for one in submissions if one.version is not None and _version(one, versions) != one.version}
    admitted = [one for one in submissions if one not in stale and (one.key_id is None or one.key_id in good)]
    first = _first_of_each(admitted)
    kept = take(connection, {slot: one.body_hash for slot, one in first.items()})
    fresh = [one for one in admitted if one.slot is None or (one is first[one.slot] and one.slot not in kept)]
    stored = _store(connection, fresh)
    answers = [(one.slot, ACCEPTED, [asdict(answer) for answer in stored[one]]) for one in fresh if one.slot]
    remember(connection, answers)
    known = kept | {slot: Kept(first[slot].body_hash, answer) for slot, _, answer in answers}
    return [Refusal.STALE if one in stale else _outcome(one, good, stored, known) for one in submissions]


def _standing(connection: Connection, submissions: Sequence[Submission]) -> tuple[dict[str, int], set[str]]:
    """The tenants' versions, and those of the keys that are good."""
    ids = {one.key_id for one in submissions if one.key_id is not None}
    tenants = {one.events[0].tenant for one in submissions if one.key_id is not None or one.version is not None}
    if not tenants:
        return {}, set()
    rows = connection.execute(STANDING, {"ids": list(ids), "tenants": list(tenants)}).all()
    return {row.tenant: row.version for row in rows}, {key for row in rows for key in row.unrevoked}


def _version(one: Submission, versions: Mapping[str, int]) -> int | None:
    return versions.get(one.events[0].tenant, one.version)


def _first_of_each(submissions: Sequence[Submission]) -> dict[Slot, Submission]:
    """Requests with the same idempotency key may meet in one batch: the first counts."""
    first: dict[Slot, Submission] = {}
    for one in submissions:
        if one.slot is not None:
            first.setdefault(one.slot, one)
    return first


def _store(connection: Connection, fresh: Sequence[Submission]) -> dict[Submission, list[Answer]]:
    events = [event for one in fresh for event in one.events]
    answers = iter(accept_only(connection, events) if events else ())
    return {one: list(islice(answers, len(one.events))) for one in fresh}


def _outcome(
    one: Submission, good: Collection[str], stored: Mapping[Submission, list[Answer]], known: Mapping[Slot, Kept]
) -> Taken | Refusal:
    if one in stored:
        return Taken(stored[one], fresh=True)
    if one.slot is None or (one.key_id is not None and one.key_id not in good):
        return Refusal.REVOKED
    before = known[one.slot]
    if before.body_hash != one.body_hash:
        return Refusal.OTHER_BODY
    return Taken([Answer(**answer) for answer in before.response], fresh=False)
