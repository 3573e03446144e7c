"""The round that forgets: in small transactions, once a minute however many workers there are."""

from __future__ import annotations

from typing import Any

from tasks.retention import forget_finished

OLD = """
INSERT INTO events (id, tenant, type, status, condition, severity, fingerprint, data, occurred_at)
    SELECT uuidv7(-:days * interval '1 day'), 'acme', 'x', 'routed', 'firing', 'low', sha256(n::text::bytea), '{}',
           now()
    FROM generate_series(1, :many) n
"""


def test_what_is_older_than_the_setting_says_goes_in_one_round_a_minute(process: Any) -> None:
    process.execute(OLD, days=91, many=1200)
    process.execute(OLD, days=89, many=3)
    assert forget_finished() == 1200
    process.execute(OLD, days=91, many=1)
    assert forget_finished() == 0
    process.execute("UPDATE rounds SET at = at - interval '61 seconds'")
    assert forget_finished() == 1
    assert process.execute("SELECT count(*) AS n FROM events")[0].n == 3
