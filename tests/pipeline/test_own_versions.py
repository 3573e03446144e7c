"""Versions of tenants' own templates, as the console lists them."""

from __future__ import annotations

import tracemalloc
from typing import Any

from pipeline.templates import get_template, publish

MANY = """
INSERT INTO template_versions (id, tenant, event, channel, locale, number, body, fallback, created_by)
SELECT gen_random_uuid(), 'acme', 'ssl_expiry', 'email', '', number,
       jsonb_build_object('html', repeat('x', 150000) || number), false, 'cli' FROM generate_series(1, 200) AS number
"""


def test_a_list_of_many_large_versions_costs_no_more_memory_than_one_of_them(world: Any) -> None:
    place = ("ssl_expiry", "email", "")
    world.execute(MANY)
    with world.begin() as connection:
        publish(connection, tenant="acme", place=place, number=7, actor="cli")
        tracemalloc.start()
        found = get_template(connection, tenant="acme", place=place)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (found["published"], found["body"]["html"][150_000:]) == (7, "7")
    assert [one["version"] for one in found["versions"]] == list(range(200, 0, -1))
    assert most < 5_000_000
