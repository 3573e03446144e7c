"""Moments as they are written and read, and the ids that begin with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from uuid_utils import uuid7

from domain.errors import InvalidInputError
from pipeline.identifiers import check_uuid, cursor_after, key_of
from pipeline.moments import first_id, read_moment, written

NOW = datetime(2026, 11, 20, 9, 0, 0, 123456, UTC)


def test_a_moment_is_written_in_utc_to_the_millisecond() -> None:
    assert written(NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2026-11-20T09:00:00.123Z"
    assert written(None) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T10:00:00+01:00", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T09:00:00Z", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
    ],
)
def test_a_moment_is_read_as_a_time_or_an_age(text: str, moment: datetime) -> None:
    assert read_moment(text, "since", NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "h", "-2h", "2w", "2026-11-20", "2026-11-20T09:00:00", "٢h", "now", "0001-01-01T00:00:00+14:00"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        read_moment(text, "since", NOW)
    assert raised.value.field == "since"


def test_ids_made_from_a_moment_on_are_not_below_its_first_id() -> None:
    before = datetime.now(UTC)
    made = UUID(str(uuid7()))
    assert first_id(before) <= made < first_id(before + timedelta(seconds=60))
    assert first_id(before).version == 7


def test_a_cursor_leads_back_to_its_key_and_nothing_else_does() -> None:
    for key in ("u1", "имя", "a b/c", "x" * 255):
        assert key_of(cursor_after(key)) == key
    for wrong in ("", "u1", "====", "YQ==", "имя", "AA"):
        with pytest.raises(InvalidInputError):
            key_of(wrong)


@pytest.mark.parametrize(
    "wrong", ["", "x", 7, None, "{0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01}", "0192f0c12f6a7b1e8e556f1f3c1a9d01"]
)
def test_only_the_usual_form_of_a_uuid_is_taken(wrong: object) -> None:
    with pytest.raises(InvalidInputError):
        check_uuid(wrong, "id")
