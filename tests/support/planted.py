"""Two tenants full of things, each with a word in it that says whose it is, so that no answer can leak one unseen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx

from tests.support.access import KEYS, NAMESAKE, USERS
from tests.support.api import Api, token

HERE, THERE = "here", "there"
OWN, OTHER_USER, OTHER_CUSTOMER, OTHER_TENANT = "ownword", "userword", "customerword", "tenantword"

SECOND = "namesake"

CUSTOMER = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"  # as in the examples of the description
OTHERS_CUSTOMER = "0192f0c1-2f6a-7b1e-8e55-0123456789ab"
PEOPLE: Final = dict(zip(USERS, ("ana", "olga"), strict=True))  # by what they come with
PROVIDERS: Final = {HERE: ("resend",), THERE: ("postmark", "sendgrid")}
PUSH: Final = {"ana": "1a" * 32, "olga": "2a" * 32, "ben": "3a" * 32}


@dataclass(frozen=True)
class Planted:
    """What there is.

    Attributes:
        names: what stands in a path: by thing, by who calls (or ``""``: whoever it is) and by whose it is.
        headers: with which each caller proves who it is.
        before: what the other tenant had then.
    """

    api: Api
    names: Mapping[str, Mapping[str, Mapping[str, str]]]
    headers: Mapping[str, Mapping[str, str]]
    before: Mapping[str, str]

    def of(self, thing: str, caller: str) -> Mapping[str, str]:
        """The names of a thing by whose it is, as the caller has it."""
        if not thing:
            return {"nobody's": ""}
        known = self.names[thing]
        return known.get(caller) or known.get("") or known["a user"]

    def forbidden(self, caller: str) -> tuple[str, ...]:
        """The words that no answer to the caller may have."""
        if caller in KEYS or USERS.get(caller):
            return (OTHER_TENANT,)
        own = (OWN,) if caller not in USERS else ()
        return (OTHER_TENANT, OTHER_USER, OTHER_CUSTOMER, *own)


def plant(api: Api) -> Planted:
    """Fill the database. Takes about a second."""
    names: dict[str, dict[str, dict[str, str]]] = {
        **{thing: {"": {}} for thing in ("event", "delivery", "user", "route", "event type", "provider")},
        **{thing: {caller: {} for caller in USERS} for thing in ("notification", "push token", "webhook")},
    }
    for tenant, word, whose in ((HERE, OWN, "own"), (THERE, OTHER_TENANT, "another tenant's")):
        with api.client(tenant=tenant) as admin:
            _settings(admin, tenant, word)
        event, _ = _told(api, tenant, word, "nobody")
        once = {"event": event, "delivery": _dead(api, tenant, word, event)}
        named = {"user": word, "route": word, "event type": f"{word}.own", "provider": PROVIDERS[tenant][0]}
        for thing, name in {**once, **named}.items():
            names[thing][""][whose] = name
    same = {"user": SECOND, "route": SECOND, "event type": f"{SECOND}.own", "provider": PROVIDERS[THERE][1]}
    for thing, name in same.items():
        names[thing][""][NAMESAKE] = name
    names["webhook"]["admin"] = {
        "own": OWN,
        "another user's": "bens",
        "another tenant's": OTHER_TENANT,
        NAMESAKE: SECOND,
    }
    device_of_ben = _belongings(api, HERE, "ben", "bens", OTHER_USER)
    _, bens = _told(api, HERE, OTHER_USER, "ben")
    for caller, user in PEOPLE.items():
        names["webhook"][caller] = {"own": "mine", "another user's": "bens", "another tenant's": f"theirs-{user}"}
        names["webhook"][caller][NAMESAKE] = SECOND
        names["push token"][caller] = {
            "another user's": device_of_ben,
            "another tenant's": _belongings(api, THERE, user, f"theirs-{user}", OTHER_TENANT),
            "own": _belongings(api, HERE, user, "mine", OWN),
        }
        _, about_another = _told(api, HERE, OTHER_CUSTOMER, user, OTHERS_CUSTOMER)
        _, theirs = _told(api, THERE, OTHER_TENANT, user, CUSTOMER)
        _, own = _told(api, HERE, OWN, user, CUSTOMER)
        names["notification"][caller] = {
            "another user's": bens,
            "another customer's": about_another,
            "another tenant's": theirs,
            "own": own,
        }
    return Planted(api, names, _headers(api), stored(api, THERE))


def stored(api: Api, tenant: str) -> dict[str, str]:
    """A number for each table that is another as soon as any row of the tenant changes."""
    tables = api.rows("SELECT table_name FROM information_schema.columns WHERE column_name = 'tenant'")
    numbers = "SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM {} t WHERE tenant = %s"
    return {table: api.rows(numbers.format(table), tenant)[0][0] for (table,) in tables}


def _headers(api: Api) -> dict[str, dict[str, str]]:
    """How each caller proves who it is."""
    revoked = api.new_key("admin", HERE)
    api.rows("UPDATE api_keys SET revoked_at = now() WHERE id = %s", revoked.id)
    customers = [CUSTOMER]
    bearers = {
        "an expired token": token("ana", HERE, exp=time.time() - 60),
        "a token for others": token("ana", HERE, aud="another service"),
        "a revoked key": revoked.key,
        **{role: api.key(role, HERE) for role in KEYS},
        **{who: token(user, HERE, customers=customers, role=USERS[who] or None) for who, user in PEOPLE.items()},
    }
    return {"no identity": {}, **{who: {"Authorization": f"Bearer {one}"} for who, one in bearers.items()}}


def _settings(admin: httpx.Client, tenant: str, word: str) -> None:
    """What administrators set."""
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "suppressions", {"channel": "email", "address": f"{word}@example.org"}),
        ("POST", "suppressions", {"channel": "email", "address": "Ana@example.org"}),
        ("PUT", "users/nobody", {"name": word, "email": f"{word}-n@example.org"}),
        *(
            ("PUT", f"providers/{one}", {"credentials": None, "senders": {"*": f"{word} <{word}@localhost>"}})
            for one in PROVIDERS[tenant]
        ),
    ]
    for name in (word, SECOND) if tenant == THERE else (word,):
        hook = {"url": f"https://{word}.example.org/", "events": ["nothing"]}
        calls.append(("PUT", f"users/{name}", {"name": word, "email": f"{name}@example.org", "roles": [word]}))
        calls.append(("PUT", f"routes/{name}", {"match": {"event": f"{word}.*"}, "channels": ["in_app"]}))
        calls.append(("PUT", f"event-types/{name}.own", {"group": "made", "title": word, "sample": {"of": word}}))
        calls.append(("PUT", f"webhooks/{name}", hook))
    for method, path, body in calls:
        answer = admin.request(method, f"/v1/{path}", json=body)
        assert answer.is_success, (path, answer.text)


def _belongings(api: Api, tenant: str, user: str, name: str, word: str) -> str:
    """A user's webhook and device; the id of the device."""
    with api.user(user, tenant) as client:
        assert client.put(f"/v1/webhooks/{name}", json={"url": f"https://{word}.example.org/"}).is_success
        device = {"platform": "ios", "token": PUSH[user], "device_id": word}
        return str(client.post("/v1/users/me/push-tokens", json=device).json()["id"])


def _told(api: Api, tenant: str, word: str, user: str, customer: str | None = None) -> tuple[str, str]:
    """An event that told a user something; the ids of both."""
    event = {"type": f"{word}.made", "recipients": [user], "customer_id": customer, "data": {"of": uuid4().hex + word}}
    (made,) = api.route(event, tenant=tenant)
    ((notification,),) = api.rows("SELECT id::text FROM notifications WHERE event_id = %s", made)
    return made, notification


def _dead(api: Api, tenant: str, word: str, event: str) -> str:
    """One delivery of the event that waits for a person."""
    ((delivery,),) = api.rows(
        "UPDATE deliveries SET status = 'dead_letter', reason = 'refused', due_at = NULL"
        " WHERE event_id = %s AND channel = 'email' RETURNING id::text",
        event,
    )
    values: tuple[Any, ...] = (delivery, tenant, "email", f"{word}.made", "refused", "550")
    api.rows(
        "INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail) VALUES (%s,%s,%s,%s,%s,%s)",
        *values,
    )
    return str(delivery)
