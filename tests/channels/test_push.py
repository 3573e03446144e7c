"""What all pushes share: which tokens are taken, how priorities and lifetimes translate, and that everything fits."""

from __future__ import annotations

import base64
import json
from ipaddress import ip_network
from typing import Any

import pytest

from channels import push_apns, push_fcm, push_web
from channels.base import Message
from channels.push import (
    LONGEST_LIFE,
    TOKEN_LIMIT,
    check_token,
    cut,
    encoded,
    extras,
    fitted,
    seconds_to_live,
    secret_text,
)
from channels.push_apns import ApnsProvider
from channels.push_fcm import FcmProvider
from channels.push_web import WebPushProvider
from config.settings import SettingsError
from domain.vocabulary import PRIORITIES, Priority
from workers.receivers.desks.fcm import service_account
from workers.receivers.desks.web_push import WebPushDesk

LOOPBACK = (ip_network("127.0.0.0/8"),)
SUBSCRIPTION = json.loads(WebPushDesk().subscribe("b", "https://updates.push.services.mozilla.com"))
KEYS = SUBSCRIPTION["keys"]
FCM_TOKEN = "cRbp1Xv-Q0:APA91b" + "H_a-" * 34


def message(**values: Any) -> Message:
    return Message("1f0c0d6e-0a34-4d4c-9a55-0d2d4e8f6a11", "t", "e", "ssl_expiry", "n-1", **values)


def web(endpoint: str = "https://fcm.googleapis.com/fcm/send/abc", **keys: Any) -> str:
    return json.dumps({"endpoint": endpoint, "expirationTime": None, "keys": {**KEYS, **keys}})


@pytest.mark.mission("E-12")
@pytest.mark.parametrize(
    ("platform", "given", "kept"),
    [
        ("ios", "AB" * 32, "ab" * 32),
        ("ios", " " + "0f" * 100 + "\n", "0f" * 100),
        ("android", FCM_TOKEN + " ", FCM_TOKEN),
    ],
)
def test_a_token_is_kept_in_one_form(platform, given, kept):
    assert check_token(platform, given) == kept


def test_one_subscription_written_in_two_ways_is_the_same_token():
    padded = {name: key + "=" * (-len(key) % 4) for name, key in KEYS.items()}
    once = check_token("web", web())
    assert check_token("web", web(**padded)) == once
    assert json.loads(once) == {"endpoint": "https://fcm.googleapis.com/fcm/send/abc", "keys": KEYS}


def point(first: int, size: int = 65) -> str:
    return base64.urlsafe_b64encode(bytes([first]) + b"\x01" * (size - 1)).decode()


REFUSED = {
    "ios, too short": ("ios", "ab" * 31, "64 to 200"),
    "ios, too long": ("ios", "ab" * 101, "64 to 200"),
    "ios, half a byte": ("ios", "ab" * 32 + "c", "hexadecimal"),
    "ios, not hexadecimal": ("ios", "zz" * 32, "hexadecimal"),
    "ios, other digits": ("ios", "١" * 64, "hexadecimal"),
    "ios, a path": ("ios", "ab" * 32 + "/../", "hexadecimal"),
    "android, empty": ("android", "", "FCM registration token"),
    "android, a space": ("android", FCM_TOKEN + " x", "FCM registration token"),
    "android, a line break": ("android", FCM_TOKEN + "\r\nx", "FCM registration token"),
    "ten kilobytes": ("android", "a" * 10_240, f"at most {TOKEN_LIMIT}"),
    "ten kilobytes of subscription": ("web", web("https://example.org/" + "a" * 10_000), f"at most {TOKEN_LIMIT}"),
    "web, not JSON": ("web", "hello", "PushSubscription"),
    "web, a list": ("web", "[]", "PushSubscription"),
    "web, nested without end": ("web", "[" * 4000, "PushSubscription"),
    "web, without keys": ("web", '{"endpoint": "https://example.org/a"}', "PushSubscription"),
    "web, keys of another kind": ("web", web(auth=7), "PushSubscription"),
    "web, short p256dh": ("web", web(p256dh=point(4, 64)), "keys.p256dh must be 65 bytes"),
    "web, compressed p256dh": ("web", web(p256dh=point(2)), "keys.p256dh must be 65 bytes"),
    "web, p256dh off the curve": ("web", web(p256dh=point(4)), "point on the curve"),
    "web, other base64": ("web", web(p256dh="+/" * 43), "keys.p256dh"),
    "web, short auth": ("web", web(auth="AAAA"), "keys.auth must be 16 bytes"),
    "web, not encrypted": ("web", web("http://push.example.org/a"), "https://"),
    "web, a private address": ("web", web("https://10.0.0.1/a"), "endpoint must not point to a private"),
    "web, the metadata of a cloud": ("web", web("http://169.254.169.254/latest"), "endpoint must not point"),
    "web, a file": ("web", web("file:///etc/passwd"), "endpoint must begin with https"),
    "web, a password": ("web", web("https://a:b@example.org/"), "endpoint must not contain a user"),
    "another platform": ("blackberry", "ab" * 32, "ios, android or web"),
}


@pytest.mark.parametrize(("platform", "token", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_token_is_refused_in_words_without_repeating_it(platform, token, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_token(platform, token)
    assert len(token) < 20 or token[:40] not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/a", "https://127.0.0.1:9/a"])
def test_an_endpoint_in_a_network_of_ours_needs_no_encryption(endpoint):
    assert endpoint in check_token("web", web(endpoint), LOOPBACK)
    with pytest.raises(ValueError, match="private"):
        check_token("web", web(endpoint))


def test_an_open_network_is_no_reason_to_send_elsewhere_without_encryption():
    with pytest.raises(ValueError, match="https://"):
        check_token("web", web("http://1.1.1.1/a"), LOOPBACK)


@pytest.mark.mission("E-15")
@pytest.mark.parametrize(
    ("priority", "apns", "interruption", "fcm", "urgency"),
    [
        (Priority.LOW, "5", "passive", "NORMAL", "low"),
        (Priority.NORMAL, "10", "active", "NORMAL", "normal"),
        (Priority.HIGH, "10", "time-sensitive", "HIGH", "high"),
        (Priority.CRITICAL, "10", "time-sensitive", "HIGH", "high"),
    ],
)
def test_each_priority_has_its_word_on_every_platform(priority, apns, interruption, fcm, urgency):
    said = message(priority=priority)
    headers = dict(push_apns.headers(said, "ab"))
    assert headers[b"apns-priority"] == apns.encode()
    assert push_apns.payload(said, "", {})["aps"]["interruption-level"] == interruption
    assert push_fcm.payload(said, "", {})["android"]["priority"] == fcm
    assert push_web.headers(said)["Urgency"] == urgency


def test_no_priority_is_without_a_word():
    assert set(push_apns.URGENCY) == set(PRIORITIES)


@pytest.mark.mission("E-15")
@pytest.mark.parametrize(
    ("expires_in", "seconds"), [(None, 3600), (90.7, 90), (0.2, 0), (-5, 0), (1e12, LONGEST_LIFE), (7200, 7200)]
)
def test_a_push_lives_until_its_event_expires_else_an_hour(expires_in, seconds):
    said = message(expires_in=expires_in)
    assert seconds_to_live(said) == seconds
    assert push_fcm.payload(said, "", {})["android"]["ttl"] == f"{seconds}s"
    assert push_web.headers(said)["TTL"] == str(seconds)


@pytest.mark.mission("E-14")
def test_data_becomes_flat_strings_and_cannot_replace_the_ids():
    data = {
        "host": "a.example.org",
        "days": 3,
        "late": True,
        "nothing": None,
        "price": {"amount": 1.5, "in": {"currency": "EUR"}},
        "names": ["a", "ü"],
        "type": "forged",
        "notificationId": "forged",
        "from": "reserved by FCM",
        "google.x": "reserved by FCM",
        "gcm_y": "reserved by FCM",
    }
    assert extras(message(data=data, link="https://example.org/x", image="https://example.org/i.png")) == {
        "link": "https://example.org/x",
        "image": "https://example.org/i.png",
        "host": "a.example.org",
        "days": "3",
        "late": "true",
        "price.amount": "1.5",
        "price.in.currency": "EUR",
        "names": '["a", "ü"]',
    }


@pytest.mark.parametrize("link", [None, "", "javascript:alert(1)", "app://x", "https://example.org/" + "a" * 2000])
def test_what_is_no_short_web_address_is_no_link(link):
    assert extras(message(link=link)) == {}


SHAPES = {
    "apns": (push_apns.payload, push_apns.PAYLOAD_LIMIT, lambda found: found["aps"]["alert"]["body"]),
    "fcm": (push_fcm.payload, push_fcm.PAYLOAD_LIMIT, lambda found: found["android"]["notification"]["body"]),
    "web": (push_web.payload, push_web.PAYLOAD_LIMIT, lambda found: found["body"]),
}
LONG = {
    "letters": "x" * 10_000,
    "emoji": "👩‍👩‍👧" * 3000,
    "quotes": '"\\' * 9000,
    "control characters": "\x01" * 9000,
    "half pairs": "\ud800" * 9000,
}


@pytest.mark.mission("E-13")
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_whatever_is_too_long_is_cut_to_the_limit_and_the_ids_stay(name, text):
    shape, limit, body_of = SHAPES[name]
    said = message(
        title=text,
        text=text,
        image="https://example.org/" + "i" * 1000,
        link="https://example.org/" + "l" * 1000,
        data={f"key{number}": text[:50] for number in range(500)},
        badge=7,
    )
    content = fitted(lambda body, extra: shape(said, body, extra), said, limit)
    found = json.loads(content)
    assert limit - 400 < len(content) <= limit
    assert body_of(found).endswith("…")
    assert found["data"]["notificationId"] == "n-1"
    assert found["data"]["type"] == "ssl_expiry"
    assert found["data"]["deliveryId"] == said.delivery_id


@pytest.mark.parametrize("name", SHAPES)
def test_words_come_before_data_and_small_data_is_kept_where_large_is_not(name):
    shape, limit, body_of = SHAPES[name]
    said = message(text="y" * 2000, data={"a": "1", "large": "z" * 3000, "b": "2"})
    found = json.loads(fitted(lambda body, extra: shape(said, body, extra), said, limit))
    assert body_of(found) == "y" * 2000
    assert found["data"].items() >= {"a": "1", "b": "2"}.items()
    assert "large" not in found["data"]


@pytest.mark.parametrize("name", SHAPES)
def test_data_fills_the_room_that_is_left_and_no_more(name):
    shape, limit, body_of = SHAPES[name]
    said = message(text="short", data={f"k{number}": "v" for number in range(2000)})
    content = fitted(lambda body, extra: shape(said, body, extra), said, limit)
    assert limit - 20 < len(content) <= limit
    assert body_of(json.loads(content)) == "short"


@pytest.mark.parametrize(
    ("text", "room", "kept"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "…"),
        ("abcde", 4, "a…"),
        ("éééé", 7, "éé…"),
        ("éééé", 8, "éééé"),
        ('""""', 7, '""…'),
        ("👍👍", 7, "👍…"),
        ("👍👍", 6, "…"),
        ("anything", 2, ""),
        ("", 0, ""),
    ],
)
def test_text_is_cut_on_a_character_and_says_so(text, room, kept):
    assert cut(text, room) == kept
    assert len(encoded(kept)) - 2 <= max(room, 0)


def test_a_key_is_given_as_its_text_or_as_its_file(tmp_path):
    pem = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
    (tmp_path / "key.p8").write_text(pem)
    assert secret_text(str(tmp_path / "key.p8"), "X") == pem
    assert secret_text(pem, "X") == pem
    assert secret_text(pem.replace("\n", "\\n"), "X") == pem
    assert secret_text('{"private_key": "-----BEGIN\\nabc"}', "X") == '{"private_key": "-----BEGIN\\nabc"}'


@pytest.mark.parametrize("given", ["/nowhere/key.p8", "a\x00b", "/"])
def test_a_key_that_is_neither_names_its_setting_and_not_its_value(given):
    with pytest.raises(SettingsError, match=r"^X: is neither a key nor the path") as caught:
        secret_text(given, "X")
    assert given == "/" or given not in str(caught.value)


OWN = {
    ApnsProvider: ("key", {"key_id": "ABCDEFGHIJ", "team_id": "ABCDEFGHIJ", "topic": "org.example.app"}),
    FcmProvider: ("credentials", {}),
    WebPushProvider: ("private_key", {"subject": "mailto:push@example.org"}),
}


@pytest.mark.parametrize("kind", OWN)
def test_a_tenants_key_is_never_read_from_a_file_of_ours(kind, tmp_path, make_settings, receivers):
    name, others = OWN[kind]
    keys = {
        ApnsProvider: receivers.apns.key,
        FcmProvider: service_account("https://oauth2.googleapis.com/token"),
        WebPushProvider: receivers.apns.key,
    }
    (tmp_path / "key").write_text(keys[kind])
    assert kind.from_account(make_settings(), {name: keys[kind], **others}) is not None
    with pytest.raises(SettingsError, match=f"^{name}: must be the key itself"):
        kind.from_account(make_settings(), {name: str(tmp_path / "key"), **others})


@pytest.mark.parametrize("kind", OWN)
def test_an_incomplete_account_of_a_tenant_is_named_as_the_api_names_it(kind, make_settings):
    name, others = OWN[kind]
    with pytest.raises(SettingsError, match=f"^{name}: "):
        kind.from_account(make_settings(), {name: "-----BEGIN nothing", **others})
