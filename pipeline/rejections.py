"""Messages from the broker: which were seen before, and those that are no event, kept for a person.

Nobody waits for an answer there, so a message that cannot be taken must not vanish with its error.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, text
from uuid_utils import uuid7

SEE = text("""
INSERT INTO letters (source, id)
SELECT :source, id FROM jsonb_array_elements_text(cast(:ids AS jsonb)) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING id
""")

KEEP = text("""
INSERT INTO rejections (id, source, tenant, error, payload) VALUES (:id, :source, :tenant, :error, :payload)
""")

MOST_KEPT_BYTES = 256 * 1024
LONGEST_ID = 255


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that is no event, and why. `tenant`: whose it is, where the message itself does not say."""

    source: str
    error: str
    payload: bytes
    tenant: str | None = None


def unseen(connection: Connection, source: str, ids: Collection[str]) -> set[str]:
    """Those message ids that no committed transaction has seen in the last six hours.

    A broker may deliver a message twice, after a worker died for example; its events must not happen twice.
    """
    keys = {_key(id_): id_ for id_ in ids}
    rows = connection.execute(SEE, {"source": source, "ids": json.dumps(sorted(keys))})
    return {keys[key] for key in rows.scalars()}


def _key(id_: str) -> str:
    """The id as it can be stored: the publisher chose it, and a NUL or a megabyte must not stop its whole batch."""
    if len(id_) <= LONGEST_ID and id_.isascii() and id_.isprintable():
        return id_
    return "sha256:" + sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()


def keep(connection: Connection, rejected: Sequence[Rejected]) -> None:
    """Store rejected messages, each cut at 256 KiB."""
    if rejected:
        connection.execute(
            KEEP,
            [
                {
                    "id": str(uuid7()),
                    "source": one.source,
                    "tenant": one.tenant,
                    "error": one.error,
                    "payload": one.payload[:MOST_KEPT_BYTES],
                }
                for one in rejected
            ],
        )
