"""Idempotency keys: a request that is sent again within 24 hours gets the answer of the first, from the database.

The key is taken in the transaction that does the work, so that it is there exactly if the work is. Who comes second
waits at the row until the first has ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

# Sorted, so that two batches with the same keys never wait for each other in a circle.
TAKE = text("""
INSERT INTO idempotency_keys AS k (tenant, endpoint, key, body_hash, status, response)
SELECT tenant, endpoint, key, decode(body_hash, 'hex'), 0, 'null'
FROM jsonb_to_recordset(cast(:claims AS jsonb)) AS r(tenant text, endpoint text, key text, body_hash text)
ORDER BY tenant, endpoint, key
ON CONFLICT (tenant, endpoint, key) DO UPDATE
SET body_hash = excluded.body_hash, status = excluded.status, response = excluded.response, created_at = now()
WHERE k.created_at < now() - interval '24 hours'
RETURNING tenant, endpoint, key
""")

LOOK = text("""
SELECT k.tenant, k.endpoint, k.key, k.body_hash, k.response
FROM jsonb_to_recordset(cast(:claims AS jsonb)) AS r(tenant text, endpoint text, key text)
JOIN idempotency_keys k USING (tenant, endpoint, key)
""")

REMEMBER = text("""
UPDATE idempotency_keys k SET status = r.status, response = r.response
FROM jsonb_to_recordset(cast(:answers AS jsonb))
    AS r(tenant text, endpoint text, key text, status smallint, response jsonb)
WHERE k.tenant = r.tenant AND k.endpoint = r.endpoint AND k.key = r.key
""")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an answer is kept."""

    tenant: str
    endpoint: str
    key: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that a slot holds, and the SHA-256 of the body it was given to."""

    body_hash: bytes
    response: Any


def take(connection: Connection, claims: Mapping[Slot, bytes]) -> dict[Slot, Kept]:
    """Take slots for bodies with these hashes, and return those that somebody had taken before.

    Whoever takes a slot calls `remember` before the transaction ends.
    """
    if not claims:
        return {}
    document = [_row(slot) | {"body_hash": body_hash.hex()} for slot, body_hash in claims.items()]
    taken = {Slot(*row) for row in connection.execute(TAKE, {"claims": json.dumps(document)})}
    held = [_row(slot) for slot in claims.keys() - taken]
    if not held:
        return {}
    rows = connection.execute(LOOK, {"claims": json.dumps(held)})
    return {Slot(row.tenant, row.endpoint, row.key): Kept(row.body_hash, row.response) for row in rows}


def remember(connection: Connection, answers: Collection[tuple[Slot, int, Any]]) -> None:
    """Keep the HTTP status and the body of the answers to slots that were taken in this transaction."""
    if answers:
        document = [_row(slot) | {"status": status, "response": response} for slot, status, response in answers]
        connection.execute(REMEMBER, {"answers": json.dumps(document)})


def _row(slot: Slot) -> dict[str, Any]:
    return {"tenant": slot.tenant, "endpoint": slot.endpoint, "key": slot.key}
