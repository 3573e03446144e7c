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

from config.catalogue import shipped
from domain.event import MASK
from domain.fingerprint import canonical
from pipeline.secrets_of_events import replaced

SEE = text("""
INSERT INTO letters (source, id)
SELECT :source, id FROM jsonb_array_elements_text(cast(:ids AS jsonb)) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING id
""")

KEEP = text("""
INSERT INTO rejections (id, source, tenant, error, payload) VALUES (:id, :source, :tenant, :error, :payload)
""")

SECRET_NAMES = text("SELECT DISTINCT jsonb_array_elements_text(body -> 'secret') FROM event_types")

NOT_KEPT = b"(not kept: it cannot be read, and names a field that is secret)"
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
    """Store rejected messages, each cut at 256 KiB, with dots for what any event type calls secret."""
    if rejected:
        names = {name for one in shipped().event_types.values() for name in one.secret}
        names.update(connection.execute(SECRET_NAMES).scalars())
        connection.execute(
            KEEP,
            [
                {
                    "id": str(uuid7()),
                    "source": one.source,
                    "tenant": one.tenant,
                    "error": one.error,
                    "payload": without_secrets(one.payload, frozenset(names))[:MOST_KEPT_BYTES],
                }
                for one in rejected
            ],
        )


def without_secrets(payload: bytes, names: frozenset[str]) -> bytes:
    """A message as it may be kept: with dots in every field of these names, and not at all where none can be told."""
    bare = payload.replace(b"\0", b"")  # as in UTF-16
    named = any(name.encode() in bare for name in names)
    if not named and b"\\u" not in payload:
        return payload
    try:
        content = json.loads(payload)
        shown = replaced(content, names, lambda _: MASK)
        return payload if shown == content else canonical(shown).encode()
    except (ValueError, RecursionError):  # canonical too: NaN, half a surrogate
        return NOT_KEPT if named else payload
