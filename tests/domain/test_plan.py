"""Who is told, over which channels, and who is left out for which reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from domain.catalogue import EventType, Resolver, Route
from domain.event import Event, Person, PreferenceEntry, WebhookEndpoint
from domain.plan import EVERYONE, Plan, plan
from domain.recipients import MOST_NAMED, Skipped, Wish, wishes
from domain.routing import Routing
from domain.vocabulary import Reason

Make = Callable[..., Event]
MakeUser = Callable[..., Person]
MakeRoute = Callable[..., Route]
CUSTOMER = "0191f2a0-0000-7000-8000-000000000001"
BUILT = {"email": True, "telegram": True, "webhook": True, "in_app": True}
HOOK = WebhookEndpoint("w1", "hook", "https://hooks.example.org/x", ())


@pytest.fixture
def decide(event: Make, routing: Callable[..., Routing], alarm: EventType) -> Callable[..., Plan]:
    """Plans one event of type `alarm` over some routes; `people` is who can be found."""

    def decide(
        *routes: Route,
        people: Iterable[Person] | Mapping[Wish, Sequence[Person]] = (),
        webhooks: Sequence[WebhookEndpoint] = (),
        silenced: Iterable[str] = (),
        built: Mapping[str, bool] = BUILT,
        event_type: EventType = alarm,
        **fields: Any,
    ) -> Plan:
        known = people if isinstance(people, Mapping) else {Wish("user", one.user_id or ""): [one] for one in people}
        return plan(
            event(**fields),
            event_type,
            routing(*routes),
            find=lambda wish: known.get(wish, ()),
            tenant_webhooks=webhooks,
            silenced=frozenset(silenced),
            built=built,
        )

    return decide


def told(decided: Plan) -> list[tuple[str, list[str]]]:
    """Each recipient with his channels."""
    return [(one.person.label, [way.channel for way in one.deliveries]) for one in decided.notifications]


@pytest.mark.mission("C-2", "C-3")
@pytest.mark.parametrize(
    ("resolver", "fields", "expected"),
    [
        pytest.param(Resolver("user", users=("u1", "u2")), {}, ["u1", "u2"], id="user"),
        pytest.param(Resolver("explicit"), {"recipients": ["u1"]}, ["u1"], id="explicit"),
        pytest.param(Resolver("payload", path="data.user_id"), {"data": {"user_id": "u1"}}, ["u1"], id="payload"),
        pytest.param(
            Resolver("payload", path="data.added"), {"data": {"added": ["u1", "u2"]}}, ["u1", "u2"], id="payload-list"
        ),
        pytest.param(
            Resolver("payload", path="data.chat.members"), {"data": {"chat": {"members": ["u1"]}}}, ["u1"], id="deeper"
        ),
        pytest.param(Resolver("owner"), {"data": {"owner_id": "u1"}}, ["u1"], id="owner"),
        pytest.param(
            Resolver("participants", path="data.participants"),
            {"data": {"participants": ["u1", "u2", "u3"]}, "actor_id": "u2"},
            ["u1", "u3"],
            id="participants-except-the-actor",
        ),
        pytest.param(
            Resolver("participants", path="data.participants"),
            {"data": {"participants": ["u1", "u2"]}},
            ["u1", "u2"],
            id="participants-without-actor",
        ),
    ],
)
def test_a_resolver_asks_for_users(
    event: Make, resolver: Resolver, fields: dict[str, Any], expected: list[str]
) -> None:
    asked, people, _ = wishes(resolver, event(**fields))
    assert asked == [Wish("user", user) for user in expected]
    assert people == []


def test_somebody_who_is_named_twice_is_asked_for_once(event: Make) -> None:
    named = event(data={"participants": ["u1", "u2", "u1"]})
    assert wishes(Resolver("payload", path="data.participants"), named)[0] == [Wish("user", "u1"), Wish("user", "u2")]


def test_a_list_without_end_is_cut_and_says_so(event: Make) -> None:
    named = event(data={"participants": [f"u{number}" for number in range(MOST_NAMED + 2)]}, actor_id="u0")
    asked, _, left_out = wishes(Resolver("participants", path="data.participants"), named)
    assert asked == [Wish("user", f"u{number}") for number in range(1, MOST_NAMED + 1)]
    assert left_out == [
        Skipped("u0", None, Reason.IS_ACTOR),
        Skipped("data.participants", None, Reason.TOO_MANY_RECIPIENTS),
    ]


@pytest.mark.mission("C-3")
def test_a_role_is_looked_up_by_its_name(event: Make) -> None:
    assert wishes(Resolver("role", role="operations"), event())[0] == [Wish("role", "operations")]


def test_a_customer_is_looked_up_by_the_id_of_the_event(event: Make) -> None:
    assert wishes(Resolver("customer"), event(customer_id=CUSTOMER))[0] == [Wish("customer", CUSTOMER)]


def test_an_event_may_bring_addresses_along(event: Make) -> None:
    address = {
        "email": "ops@example.org",
        "phone": "+49151",
        "telegram_chat_id": "5",
        "whatsapp": "+49152",
        "name": "Ops",
    }
    asked, people, _ = wishes(Resolver("explicit"), event(recipients=[address]))
    assert asked == []
    assert people == [
        Person(
            None,
            "Ops",
            None,
            {"email": "ops@example.org", "sms": "+49151", "telegram": "5", "whatsapp": "+49152"},
        )
    ]


@pytest.mark.parametrize(
    ("resolver", "fields", "left_out"),
    [
        pytest.param(
            Resolver("customer"), {}, Skipped("customer", None, Reason.NO_CUSTOMER), id="an-event-without-customer"
        ),
        pytest.param(
            Resolver("payload", path="data.user_id"),
            {},
            Skipped("data.user_id", None, Reason.PATH_NOT_FOUND),
            id="a-path-that-leads-nowhere",
        ),
        pytest.param(
            Resolver("payload", path="data.user_id"),
            {"data": {"user_id": 7}},
            Skipped("data.user_id", None, Reason.PATH_NOT_FOUND),
            id="a-path-to-a-number",
        ),
        pytest.param(
            Resolver("owner"),
            {"data": {"owner_id": ""}},
            Skipped("data.owner_id", None, Reason.PATH_NOT_FOUND),
            id="an-empty-owner",
        ),
        pytest.param(
            Resolver("participants", path="data.participants"),
            {"data": {"participants": ["u1"]}, "actor_id": "u1"},
            Skipped("u1", None, Reason.IS_ACTOR),
            id="only-the-actor",
        ),
    ],
)
def test_a_resolver_that_finds_nobody_says_why(
    event: Make, resolver: Resolver, fields: dict[str, Any], left_out: Skipped
) -> None:
    assert wishes(resolver, event(**fields)) == ([], [], [left_out])


@pytest.mark.mission("A-11", "C-2")
def test_everybody_of_a_route_is_told_on_each_of_its_channels(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    decided = decide(to_users("u1", "u2", channels=("in_app", "email")), people=[user("u1"), user("u2")])
    assert told(decided) == [("u1", ["email", "in_app"]), ("u2", ["email", "in_app"])]
    assert (decided.skipped, decided.reason) == ([], None)


@pytest.mark.mission("C-3", "D-31")
def test_matching_routes_are_united_to_one_notification_a_recipient_and_one_delivery_a_channel(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    routes = [
        to_users("u1", channels=("email", "in_app"), name="a"),
        to_users("u1", "u2", channels=("email", "telegram"), name="b"),
    ]
    people = [user("u1", addresses={"email": "a@example.org", "telegram": "1"}), user("u2")]
    assert told(decide(*routes, people=people)) == [("u1", ["email", "telegram", "in_app"]), ("u2", ["email"])]


def test_a_list_of_resolvers_is_their_union(decide: Callable[..., Plan], user: MakeUser) -> None:
    route = Route(
        "r", recipients=(Resolver("role", role="ops"), Resolver("user", users=("u2", "u3"))), channels=("email",)
    )
    people = {
        Wish("role", "ops"): [user("u1"), user("u2")],
        Wish("user", "u2"): [user("u2")],
        Wish("user", "u3"): [user("u3")],
    }
    assert [label for label, _ in told(decide(route, people=people))] == ["u1", "u2", "u3"]


def test_the_same_address_named_twice_is_one_recipient(decide: Callable[..., Plan]) -> None:
    route = Route("r", recipients=(Resolver("explicit"),), channels=("email",))
    recipients = [{"email": "ops@example.org"}, {"email": "ops@example.org", "name": "Ops"}]
    assert len(decide(route, recipients=recipients).notifications) == 1


def test_a_route_without_recipients_adds_its_channels_to_those_whom_others_tell(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    adds = Route("adds", channels=("in_app",))
    assert told(decide(to_users("u1"), adds, people=[user("u1")])) == [("u1", ["email", "in_app"])]


def test_an_added_channel_that_somebody_lacks_needs_no_reason(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    adds = Route("adds", channels=("telegram",))
    assert decide(to_users("u1"), adds, people=[user("u1")]).skipped == []


@pytest.mark.mission("E-39")
@pytest.mark.parametrize(
    ("channel", "person", "built", "reason"),
    [
        pytest.param("telegram", {}, BUILT, Reason.NO_ADDRESS, id="no-address"),
        pytest.param("webhook", {}, BUILT, Reason.NO_WEBHOOKS_CONFIGURED, id="no-webhook"),
        pytest.param("sms", {"addresses": {"sms": "+49151"}}, BUILT, Reason.CHANNEL_NOT_BUILT, id="not-built"),
        pytest.param(
            "email",
            {"preferences": (PreferenceEntry("alarms", None, None, {"email": False}),)},
            BUILT,
            Reason.PREFERENCE,
            id="not-wanted",
            marks=pytest.mark.mission("A-2"),
        ),
        pytest.param(
            "webhook",
            {"webhooks": (WebhookEndpoint("w", "w", "https://hooks.example.org", ("billing.*",)),)},
            BUILT,
            Reason.NO_WEBHOOKS_CONFIGURED,
            id="a-webhook-for-other-events",
        ),
    ],
)
def test_a_channel_that_is_left_out_has_a_reason_and_so_has_a_recipient_without_any(
    decide: Callable[..., Plan],
    to_users: MakeRoute,
    user: MakeUser,
    channel: str,
    person: dict[str, Any],
    built: Mapping[str, bool],
    reason: Reason,
) -> None:
    decided = decide(to_users("u1", channels=(channel,)), people=[user("u1", **person)], built=built)
    assert decided.notifications == []
    assert decided.skipped == [
        Skipped("u1", channel, reason),
        Skipped("u1", None, Reason.NO_ENABLED_CHANNELS),
    ]
    assert decided.reason is Reason.NO_ENABLED_CHANNELS


@pytest.mark.mission("A-2")
def test_a_preference_stops_one_channel_and_leaves_the_others(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    person = user("u1", preferences=(PreferenceEntry("alarms", None, None, {"email": False}),))
    decided = decide(to_users("u1", channels=("email", "in_app")), people=[person])
    assert told(decided) == [("u1", ["in_app"])]


def test_a_transactional_event_passes_preferences(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    person = user("u1", preferences=(PreferenceEntry("alarms", None, None, {"email": False}),))
    owed = EventType("alarm", "alarms", transactional=True)
    assert told(decide(to_users("u1"), people=[person], event_type=owed)) == [("u1", ["email"])]


def test_a_channel_without_provider_waits_with_its_reason(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    decided = decide(to_users("u1"), people=[user("u1")], built={"email": False})
    assert [way.reason for way in decided.notifications[0].deliveries] == [Reason.NO_PROVIDER]


def test_a_user_whom_nobody_knows_is_named_with_the_reason(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    decided = decide(to_users("u1", "ghost"), people=[user("u1")])
    assert decided.skipped == [Skipped("ghost", None, Reason.UNKNOWN_USER)]
    assert told(decided) == [("u1", ["email"])]


@pytest.mark.parametrize("routes", [[], [Route("r", recipients=(Resolver("role", role="none"),), channels=("email",))]])
def test_with_nobody_to_tell_the_reason_is_no_recipients(decide: Callable[..., Plan], routes: list[Route]) -> None:
    assert decide(*routes).reason is Reason.NO_RECIPIENTS


@pytest.mark.mission("B-15")
def test_who_silenced_the_issue_is_not_told(decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser) -> None:
    decided = decide(to_users("u1", "u2"), people=[user("u1"), user("u2")], silenced=["u1"])
    assert told(decided) == [("u2", ["email"])]
    assert decided.skipped == [Skipped("u1", None, Reason.ACKNOWLEDGED)]


@pytest.mark.mission("B-15")
def test_an_issue_silenced_for_everyone_is_told_to_nobody_and_to_no_webhook(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    route = to_users("u1", channels=("email", "webhook"))
    decided = decide(route, people=[user("u1")], silenced=[EVERYONE], webhooks=[HOOK])
    assert (decided.notifications, decided.deliveries, decided.reason) == ([], [], Reason.ACKNOWLEDGED)
    assert Skipped("webhooks", "webhook", Reason.ACKNOWLEDGED) in decided.skipped


def test_a_silence_of_one_user_does_not_keep_the_tenants_webhooks_silent(decide: Callable[..., Plan]) -> None:
    decided = decide(Route("hooks", channels=("webhook",)), silenced=["u1"], webhooks=[HOOK])
    assert [way.address for way in decided.deliveries] == [HOOK.url]


def test_the_tenants_webhooks_are_told_once_an_event_whoever_else_is(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    decided = decide(
        to_users("u1", "u2", channels=("email", "webhook")),
        Route("hooks", channels=("webhook",)),
        people=[user("u1"), user("u2")],
        webhooks=[HOOK],
    )
    assert [(way.channel, way.webhook) for way in decided.deliveries] == [("webhook", HOOK)]


def test_without_a_route_over_webhooks_the_tenants_webhooks_are_left_alone(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    assert decide(to_users("u1"), people=[user("u1")], webhooks=[HOOK]).deliveries == []


@pytest.mark.mission("E-37")
@pytest.mark.parametrize(
    ("events", "told_of"),
    [((), True), (("alarm",), True), (("al*",), True), (("billing.*",), False), (("billing.*", "alarm"), True)],
)
def test_a_webhook_hears_of_the_events_it_asked_for(
    decide: Callable[..., Plan], events: tuple[str, ...], told_of: bool
) -> None:
    hook = WebhookEndpoint("w", "w", "https://hooks.example.org", events)
    assert bool(decide(Route("hooks", channels=("webhook",)), webhooks=[hook]).deliveries) is told_of


@pytest.mark.mission("E-37")
def test_a_users_webhooks_each_get_a_delivery(decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser) -> None:
    hooks = (HOOK, WebhookEndpoint("w2", "other", "https://other.example.org", ()))
    decided = decide(to_users("u1", channels=("webhook",)), people=[user("u1", webhooks=hooks)])
    assert [way.webhook for way in decided.notifications[0].deliveries] == list(hooks)


@pytest.mark.mission("B-15")
@pytest.mark.parametrize(
    ("resolver", "audience", "told_as"),
    [
        pytest.param(Resolver("role", role="ops"), ("customer", "admin"), "admin", id="a-role-is-admin"),
        pytest.param(Resolver("customer"), ("customer", "admin"), "customer", id="a-customer-is-customer"),
        pytest.param(Resolver("user", users=("u1",)), ("admin",), "admin", id="named-in-an-admins-event"),
        pytest.param(Resolver("user", users=("u1",)), ("customer", "admin"), "customer", id="in-doubt-customer"),
    ],
)
def test_as_whom_somebody_is_told_decides_whom_he_may_silence(
    decide: Callable[..., Plan], user: MakeUser, resolver: Resolver, audience: tuple[Any, ...], told_as: str
) -> None:
    people = {wish: [user("u1")] for wish in (Wish("role", "ops"), Wish("customer", CUSTOMER), Wish("user", "u1"))}
    decided = decide(
        Route("r", recipients=(resolver,), channels=("email",)),
        people=people,
        event_type=EventType("alarm", "alarms", audience=audience),
        customer_id=CUSTOMER,
    )
    assert [one.audience for one in decided.notifications] == [told_as]


def test_in_the_inbox_a_user_is_addressed_by_his_id(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    decided = decide(to_users("u1", channels=("in_app",)), people=[user("u1")])
    assert [way.address for way in decided.notifications[0].deliveries] == ["u1"]


def test_an_address_has_no_inbox(decide: Callable[..., Plan]) -> None:
    route = Route("r", recipients=(Resolver("explicit"),), channels=("email", "in_app"))
    decided = decide(route, recipients=[{"email": "ops@example.org"}])
    assert told(decided) == [("o•••@example.org", ["email"])]
    assert decided.skipped == [Skipped("o•••@example.org", "in_app", Reason.NO_ADDRESS)]


def test_one_address_on_one_channel_gets_one_delivery_however_many_people_share_it(
    decide: Callable[..., Plan], to_users: MakeRoute, user: MakeUser
) -> None:
    shared = {"email": "team@example.org"}
    route = to_users("u1", "u2", channels=("email", "in_app"))
    decided = decide(route, people=[user("u1", addresses=shared), user("u2", addresses=shared)])
    assert told(decided) == [("u1", ["email", "in_app"]), ("u2", ["in_app"])]
    assert decided.skipped == [Skipped("u2", "email", Reason.SAME_ADDRESS)]


def test_an_address_that_the_event_names_beside_its_user_gets_nothing_twice(
    decide: Callable[..., Plan], user: MakeUser
) -> None:
    route = Route("r", recipients=(Resolver("explicit"),), channels=("email",))
    decided = decide(route, people=[user("u1")], recipients=[{"email": "u1@example.org"}, "u1"])
    assert sum(len(one.deliveries) for one in decided.notifications) == 1
