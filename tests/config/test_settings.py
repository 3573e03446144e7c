"""Settings with a form of their own, as they stand in the environment."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from config.settings import Settings
from domain.vocabulary import UnknownPolicy


def read(**values: str) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        (
            "email_senders",
            "billing.*=B <b@example.org>; *=A <a@example.org>",
            (
                ("billing.*", "B <b@example.org>"),
                ("*", "A <a@example.org>"),
            ),
        ),
        ("email_senders", "", ()),
        ("rate_limits", "ses=200/1, twilio = 10/1", {"ses": (200, 1), "twilio": (10, 1)}),
        ("recipient_caps", "", {}),
        ("recipient_caps", "sms=5/3600", {"sms": (5, 3600)}),
        ("on_unknown", "sms=park,email=resend", {"sms": UnknownPolicy.PARK, "email": UnknownPolicy.RESEND}),
        (
            "ses_topic_arns",
            "arn:aws:sns:eu-central-1:1:a,arn:aws:sns:eu-central-1:1:b",
            (
                "arn:aws:sns:eu-central-1:1:a",
                "arn:aws:sns:eu-central-1:1:b",
            ),
        ),
    ],
)
def test_what_is_written_is_what_is_read(name: str, written: str, value: Any) -> None:
    assert getattr(read(**{name: written}), name) == value


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("email_senders", "Billing <billing@example.org>", "must be pairs"),
        ("rate_limits", "ses=fast", "must be pairs"),
        ("rate_limits", "ses=10/0", "must be pairs"),
        ("recipient_caps", "email:10/60", "must be pairs"),
        ("on_unknown", "pigeon=park", "there is no channel pigeon"),
        ("on_unknown", "sms=never", "must be resend or park"),
        ("recipient_caps", "pigeon=1/60", "there is no channel pigeon"),
        ("on_unknown", "sms=reconcile", "must be resend or park"),
        ("sms_segments", "0", "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_used_is_said_in_words(name: str, written: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        read(**{name: written})
