"""The database lets a delivery move only as domain/states.py says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from domain.states import DeliveryStatus, may_move
from models.engine import new_engine

INSERT = text("""
INSERT INTO deliveries (id, tenant, event_id, channel, address, template, priority, status)
VALUES (gen_random_uuid(), 't', gen_random_uuid(), 'email', 'a@example.org', 'default', 1, :status) RETURNING id
""")
MOVE = text("UPDATE deliveries SET status = :status WHERE id = :id")


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[Connection]:
    """One connection for all pairs; each rolls back."""
    engine = new_engine(module_database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.mission("B-9", "A-27")
@pytest.mark.parametrize("after", list(DeliveryStatus), ids=lambda status: f"to-{status}")
@pytest.mark.parametrize("before", list(DeliveryStatus), ids=lambda status: f"from-{status}")
def test_the_database_allows_the_moves_of_the_table_and_no_other(
    connection: Connection, before: DeliveryStatus, after: DeliveryStatus
) -> None:
    with connection.begin() as transaction:
        delivery = connection.execute(INSERT, {"status": before}).scalar_one()
        try:
            connection.execute(MOVE, {"status": after, "id": delivery})
            moved = True
        except IntegrityError as error:
            assert f"cannot move from {before} to {after}" in str(error.orig)
            moved = False
        transaction.rollback()
    assert moved is may_move(before, after)


def test_what_is_stored_is_a_status_that_we_know(connection: Connection) -> None:
    with connection.begin() as transaction:
        delivery = connection.execute(INSERT, {"status": "queued"}).scalar_one()
        with pytest.raises(IntegrityError):
            connection.execute(MOVE, {"status": "nonsense", "id": delivery})
        transaction.rollback()
