"""Who is told about an event, over which channels, and who is left out for which reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain.catalogue import Audience, EventType, When
from domain.catalogue import Plan as RoutePlan
from domain.conditions import depends_on, united
from domain.event import Event, Person, WebhookEndpoint
from domain.hold import Hold
from domain.preferences import wants
from domain.recipients import Finder, Skipped, identity, recipients_of
from domain.routing import Routing, glob_matches
from domain.vocabulary import CHANNELS, Reason, Severity

DISABLED = {"email": Reason.EMAIL_DISABLED, "sms": Reason.SMS_DISABLED, "push": Reason.PUSH_DISABLED}
UNREMARKABLE = {Reason.CHANNEL_NOT_BUILT, Reason.NO_WEBHOOKS_CONFIGURED}  # true of nearly everybody
EVERYONE = ""  # stands for all users in the set of those whom an acknowledgement silenced


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """One delivery to be stored.

    `when`: the condition on which it is sent; None sends it in any case. `hold`: until when it waits.
    """

    channel: str
    address: str
    name: str | None = None
    webhook: WebhookEndpoint | None = None
    reason: Reason | None = None
    when: When | None = None
    hold: Hold | None = None


@dataclass(slots=True)
class PlannedNotification:
    """One recipient with the deliveries to him.

    `declared`: on what routes let them depend, by channel. `template`: that of the leading route that tells him.
    """

    person: Person
    audience: Audience
    deliveries: list[PlannedDelivery] = field(default_factory=list)
    declared: dict[str, When | None] = field(default_factory=dict)
    template: str | None = None


@dataclass(slots=True)
class Plan:
    """Everything that routing one event brings. `reason` is set when nobody is told."""

    notifications: list[PlannedNotification] = field(default_factory=list)
    deliveries: list[PlannedDelivery] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    reason: Reason | None = None


Holding = Callable[[Person, str, int], Hold | None]
"""Whether what goes to somebody on a channel, so many seconds from now, waits."""


def plan(
    event: Event,
    event_type: EventType,
    routing: Routing,
    *,
    find: Finder,
    tenant_webhooks: Iterable[WebhookEndpoint],
    silenced: frozenset[str],
    built: Mapping[str, bool],
    holding: Holding | None = None,
) -> Plan:
    """Unite the matching routes: one notification a recipient, one delivery a channel and address.

    Args:
        find: the people behind a wish; empty when there are none.
        silenced: user ids whom an acknowledgement keeps silent; `EVERYONE` among them silences the whole issue.
        built: the channels that exist here, and whether a provider is configured for each.
        holding: None where nothing waits.
    """
    result = Plan()
    told: dict[str, tuple[PlannedNotification, dict[str, Reason | None]]] = {}
    for route in routing.matched:
        for person, audience in recipients_of(route, event, event_type, find, result.skipped):
            planned, channels = told.setdefault(identity(person), (PlannedNotification(person, audience), {}))
            planned.template = planned.template or route.template
            for channel in route.channels:
                # A text message is for the worst, unless a route that tells this person says otherwise.
                too_mild = channel == "sms" and event.severity.rank < route.sms_severity.rank
                if too_mild:
                    channels.setdefault(channel, Reason.SMS_CRITICAL_ONLY)
                    continue
                when = route.when.get(channel)
                planned.declared[channel] = united(planned.declared.get(channel, when), when)
                channels[channel] = None
    added = {channel for route in routing.matched if not route.recipients for channel in route.channels}
    unasked = added - {"sms"} if event.severity.rank < Severity.CRITICAL.rank else added
    taken: set[tuple[str, str]] = set()
    added_when = {
        channel: route.when[channel] for route in routing.matched if not route.recipients for channel in route.when
    }
    conditional = routing.plan is not RoutePlan.SIMULTANEOUS or any(route.when for route in routing.matched)
    conditional = conditional and event.severity is not Severity.CRITICAL
    # Users before bare addresses: an address that belongs to a user is told under his preferences, in his language.
    for notification, channels in sorted(told.values(), key=lambda one: one[0].person.user_id is None):
        extra = [channel for channel in CHANNELS if channel in unasked and channel not in channels]
        if _silent(notification.person, silenced):
            result.skipped.append(Skipped(notification.person.label, None, Reason.ACKNOWLEDGED))
            continue
        left_out = _fill(notification, channels, extra, event, event_type, built, taken)
        result.skipped.extend(left_out)
        if notification.deliveries:
            if conditional:
                _set_conditions(notification, routing.plan, {**added_when, **notification.declared})
            if holding is not None:
                _set_holds(notification, holding)
            result.notifications.append(notification)
        else:
            told_already = any(one.reason is Reason.SAME_ADDRESS for one in left_out)
            reason = Reason.SAME_ADDRESS if told_already else Reason.NO_ENABLED_CHANNELS
            result.skipped.append(Skipped(notification.person.label, None, reason))
    if any("webhook" in route.channels for route in routing.matched):
        _tell_tenant(result, event.type, tenant_webhooks, silenced)
    if not result.notifications and not result.deliveries:
        result.reason = _why_nobody(result.skipped)
    return result


def _silent(person: Person, silenced: frozenset[str]) -> bool:
    return bool(silenced) and (EVERYONE in silenced or person.user_id in silenced)


def _fill(
    notification: PlannedNotification,
    channels: Mapping[str, Reason | None],
    extra: Sequence[str],
    event: Event,
    event_type: EventType,
    built: Mapping[str, bool],
    taken: set[tuple[str, str]],
) -> list[Skipped]:
    """Add the deliveries of one recipient and say what was left out.

    Args:
        channels: those that routes named for him, each with a reason if it is not used all the same.
        extra: channels that were added for everybody; that one cannot be used is told of what is critical only, for
            it would be stored with every event and every recipient.
        taken: the channels and addresses that this event goes to already, whoever shares them.
    """
    person, skipped = notification.person, []
    for channel in CHANNELS:
        if channel not in channels and channel not in extra:
            continue
        refused = channels.get(channel) if channel in built else None
        if refused is not None:
            skipped.append(Skipped(person.label, channel, refused))
            continue
        deliveries, reason = _on_channel(channel, person, event, event_type, built)
        for delivery in deliveries:
            way = (channel, delivery.address)
            if delivery.webhook is None and way in taken:
                skipped.append(Skipped(person.label, channel, Reason.SAME_ADDRESS))
                continue
            taken.add(way)
            notification.deliveries.append(delivery)
        if reason is not None and (channel in channels or _is_worth_telling(reason, event)):
            skipped.append(Skipped(person.label, channel, reason))
    return skipped


def _set_conditions(notification: PlannedNotification, plan: RoutePlan, declared: Mapping[str, When | None]) -> None:
    """Let each delivery to a user depend on what routes and plan say of its channel; an address has no inbox."""
    if notification.person.user_id is None:
        return
    channels = {delivery.channel for delivery in notification.deliveries}
    conditions = {channel: depends_on(plan, channel, declared.get(channel), channels) for channel in channels}
    notification.deliveries = [
        replace(delivery, when=conditions[delivery.channel]) for delivery in notification.deliveries
    ]


def _set_holds(notification: PlannedNotification, holding: Holding) -> None:
    for place, delivery in enumerate(notification.deliveries):
        found = holding(notification.person, delivery.channel, delivery.when.wait if delivery.when else 0)
        if found is not None:
            notification.deliveries[place] = replace(delivery, hold=found)


def _is_worth_telling(reason: Reason, event: Event) -> bool:
    """Whether somebody may ask why a channel that was added for everybody was not used."""
    return event.severity is Severity.CRITICAL and reason not in UNREMARKABLE


def _on_channel(
    channel: str, person: Person, event: Event, event_type: EventType, built: Mapping[str, bool]
) -> tuple[list[PlannedDelivery], Reason | None]:
    if channel not in built:
        return [], Reason.CHANNEL_NOT_BUILT
    if channel in person.disabled:
        return [], DISABLED.get(channel, Reason.PREFERENCE)
    if not event_type.transactional and not wants(
        person.preferences,
        group=event_type.group,
        event=event_type.name,
        customer_id=event.customer_id,
        channel=channel,
    ):
        return [], Reason.PREFERENCE
    if channel == "webhook":
        hooks = [hook for hook in person.webhooks if listens(hook, event.type)]
        return _to_webhooks(hooks), None if hooks else Reason.NO_WEBHOOKS_CONFIGURED
    waiting = None if built[channel] else Reason.NO_PROVIDER
    if channel == "push":
        devices = [PlannedDelivery("push", token, person.name, reason=waiting) for token in person.push_tokens]
        return devices, None if devices else Reason.NO_TOKENS
    address = person.user_id if channel == "in_app" else person.addresses.get(channel)
    if not address:
        return [], Reason.NO_ADDRESS
    return [PlannedDelivery(channel, address, person.name, reason=waiting)], None


def _to_webhooks(hooks: Iterable[WebhookEndpoint]) -> list[PlannedDelivery]:
    return [PlannedDelivery("webhook", hook.url, hook.name, webhook=hook) for hook in hooks]


def listens(hook: WebhookEndpoint, event_type: str) -> bool:
    """Whether an endpoint wants an event type; no patterns means all."""
    return not hook.events or any(glob_matches(glob, event_type) for glob in hook.events)


def _tell_tenant(result: Plan, event_type: str, hooks: Iterable[WebhookEndpoint], silenced: frozenset[str]) -> None:
    wanted = [hook for hook in hooks if listens(hook, event_type)]
    if wanted and EVERYONE in silenced:
        result.skipped.append(Skipped("webhooks", "webhook", Reason.ACKNOWLEDGED))
        return
    result.deliveries = _to_webhooks(wanted)


def _why_nobody(skipped: Sequence[Skipped]) -> Reason:
    reasons = {one.reason for one in skipped}
    for reason in (Reason.ACKNOWLEDGED, Reason.NO_ENABLED_CHANNELS):
        if reason in reasons:
            return reason
    return Reason.NO_RECIPIENTS
