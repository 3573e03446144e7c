"""Whatever comes, each receiver says forged, malformed or what it understood, and nothing it keeps is odd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.receipts.amazon import Amazon
from channels.receipts.base import Call, ForgedError, Heard, MalformedError, Receiver
from channels.receipts.reading import detail_of, key_of, moment_of, text_of, uuid_of
from channels.receipts.registry import RECEIVERS, secrets_among, secrets_of
from channels.receipts.ses import SesReceiver
from config.settings import Settings
from domain.vocabulary import ReceiptKind
from tests.support.amazon import AmazonServer, amazon
from tests.support.receipts import SECRETS, call, url_of

NOW = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
OFTEN = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
# Every name that one of the receivers looks at, with anything as its value.
NAMES = """
type event RecordType Type eventType notificationType data tags email_id to bounce failed suppressed created_at email
unsubscribed timestamp reason bounce_classification sg_event_id sg_message_id delivery_id tenant Metadata MessageID
Email Recipient BouncedAt ID SuppressSending SuppressionReason Details mail bounceType bouncedRecipients complaint
delivery destination emailAddress feedbackId entry changes value statuses messages id status errors code title from
recipient_id biz_opaque_callback_data metadata update_id subscription newTopicPreferences
"""
WORDS = """
email.bounced email.delivered contact.updated bounce dropped open Bounce Delivery SubscriptionChange HardBounce
Complaint Open Permanent failed read delivered Invalid
"""
VALUES = st.recursive(
    st.sampled_from(
        [*WORDS.split(), "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c", "a@x.org", "\0", "\ud800", "9" * 30, "", 1, -1, 10**30]
    )
    | st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=6),
    max_leaves=30,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmazonServer]:
    with amazon(tmp_path_factory.mktemp("amazon")) as made:
        yield made


@pytest.fixture(scope="module")
def receivers(site: AmazonServer) -> dict[str, Receiver]:
    return {**RECEIVERS, "ses": SesReceiver(Amazon(site.open_session))}


def genuine(site: AmazonServer, provider: str, content: Any) -> Call:
    """A call with this content, signed as it should be."""
    if provider == "ses":
        return call("ses", site.message(json.dumps(content)))
    if provider == "twilio":
        fields = content if isinstance(content, dict) else {"a": content}
        return call(
            "twilio", urlencode({name: str(value) for name, value in fields.items()}, errors="replace").encode()
        )
    return call(provider, json.dumps(content).encode())


def check(heard: Heard) -> None:
    """What was understood can be kept as it is."""
    assert heard.events >= 0
    for one in heard.receipts:
        assert isinstance(one.kind, ReceiptKind)
        assert 0 < len(one.key) <= 200
        assert one.occurred_at.tzinfo is not None
        assert one.occurred_at <= datetime.now(UTC)
        for text in (one.key, one.message_id, one.tenant, one.address, one.detail):
            assert text is None or (isinstance(text, str) and "\0" not in text and len(text) <= 500)
            (text or "").encode()
        assert one.delivery_id is None or uuid_of(one.delivery_id) == one.delivery_id


@pytest.mark.parametrize("provider", sorted(RECEIVERS))
@OFTEN
@given(content=VALUES | JSON)
def test_whatever_a_genuine_call_says_is_understood_or_malformed(
    receivers: dict[str, Receiver], site: AmazonServer, provider: str, content: Any
) -> None:
    for said in (content, [content], {"entry": [{"changes": [{"value": content}]}]}):
        try:
            check(receivers[provider].hear(genuine(site, provider, said), SECRETS[provider]))
        except MalformedError:
            continue


@pytest.mark.parametrize("provider", sorted(RECEIVERS))
@OFTEN
@given(body=st.binary(max_size=200), values=st.lists(st.text(max_size=40), min_size=3, max_size=3))
def test_whatever_an_unknown_caller_sends_is_forged(
    receivers: dict[str, Receiver], provider: str, body: bytes, values: list[str]
) -> None:
    names = list(call(provider, b"").headers) or ["x"]
    headers = {name: values[place % 3] for place, name in enumerate(names)}
    with pytest.raises(ForgedError):
        receivers[provider].hear(Call(headers, body, url_of(provider), NOW), SECRETS[provider])


@pytest.mark.parametrize("provider", sorted(RECEIVERS))
def test_without_any_credentials_everything_is_forged(receivers: dict[str, Receiver], provider: str) -> None:
    for body in (b"", b"{}", b"[]", b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"9" * 100_000):
        with pytest.raises(ForgedError):
            receivers[provider].hear(Call({}, body, url_of(provider), NOW), SECRETS[provider])


UNREADABLE = [b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"[Infinity]", b"9" * 100_000, b"\xff"]


@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: ascii(body[:9]))
@pytest.mark.parametrize("provider", ["resend", "sendgrid", "postmark", "whatsapp", "telegram"])
def test_a_genuine_body_that_cannot_be_read_is_malformed(
    receivers: dict[str, Receiver], provider: str, body: bytes
) -> None:
    with pytest.raises(MalformedError):
        receivers[provider].hear(call(provider, body), SECRETS[provider])


@pytest.mark.parametrize(
    ("update", "taken"),
    [({"update_id": 1, "callback_query": {}}, True), ({}, False), ([], False), ({"update_id": "1"}, False)],
    ids=str,
)
def test_telegrams_updates_are_handed_on_as_they_came(update: Any, taken: bool) -> None:
    made = call("telegram", json.dumps(update).encode())
    if taken:
        assert RECEIVERS["telegram"].hear(made, SECRETS["telegram"]).update == update
    else:
        with pytest.raises(MalformedError):
            RECEIVERS["telegram"].hear(made, SECRETS["telegram"])


# Who is configured


@pytest.mark.parametrize("provider", sorted(RECEIVERS))
def test_a_provider_without_its_secret_is_not_configured(provider: str) -> None:
    receiver = RECEIVERS[provider]
    first = next(iter(receiver.secrets))
    assert secrets_of(receiver, Settings(_env_file=None)) is None
    assert secrets_among(receiver, {}) is None
    assert secrets_among(receiver, {first: ""}) is None
    assert secrets_among(receiver, {first: 7}) is None
    assert secrets_among(receiver, {first: "s", "other": "x"}) == {first: "s"}
    assert secrets_among(receiver, {first: ["a", "b"]}) == {first: "a,b"}


@pytest.mark.parametrize("provider", sorted(RECEIVERS))
def test_every_secret_is_a_setting(provider: str) -> None:
    assert set(RECEIVERS[provider].secrets.values()) <= set(Settings.model_fields)
    assert RECEIVERS[provider].provider == provider


# The parts


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-11-20T09:00:00Z", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20 10:00:00.5+01", datetime(2026, 11, 20, 9, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-20T09:00:00", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        (1795165200, datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("1795165200", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T09:06:00Z", NOW),
        ("9999-12-31T23:59:59-14:00", NOW),
        ("0001-01-01T00:00:00+14:00", NOW),
        ("1970-01-01", NOW),
        (10**30, NOW),
        ("9" * 5000, NOW),
        (True, NOW),
        ("", NOW),
        ("soon", NOW),
        (None, NOW),
        ({}, NOW),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_moment_is_read_in_every_form_and_is_never_of_the_future(given: Any, read: datetime) -> None:
    assert moment_of(given, NOW) == read


@pytest.mark.parametrize(
    ("parts", "detail"),
    [
        (["Permanent", "550 5.1.1 <Bob.O'Hara+x@mail.example.org>: unknown"], "Permanent, 550 5.1.1 <•••>: unknown"),
        (["to bob@x.org,ana@y.org"], "to •••,•••"),
        (["+49 30 90182-0 is off"], "••• is off"),
        (["30005"], "30005"),
        ([None, 7, {}, "", "a\0b"], "7, ab"),
    ],
    ids=lambda value: "",
)
def test_a_detail_repeats_no_address(parts: list[Any], detail: str) -> None:
    assert detail_of(*parts) == detail


def test_a_detail_and_a_key_have_a_bounded_length() -> None:
    assert len(detail_of("x" * 10_000)) == 200
    assert len(key_of("x" * 10_000)) == 64
    assert key_of("x" * 10_000) != key_of("x" * 9_999)


@pytest.mark.parametrize(
    "value", [None, True, 1.5, [], {}, "", "  ", "\0", 10**5000], ids=lambda value: type(value).__name__
)
def test_what_is_no_text_is_none(value: Any) -> None:
    assert text_of(value) is None


def test_half_a_surrogate_pair_can_be_kept() -> None:
    assert (text_of("a\ud800") or "").encode() == b"a?"
