"""Providers: a tenant's own accounts, which of them is tried first, and whom its emails come from."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from api.access import Admin
from api.answers import Json, nothing
from api.body import JsonBody, described
from api.errors import not_found
from api.examples import PROVIDER, answered, listed
from models.scope import transaction_of
from pipeline.credentials import KNOWN, LONGEST_CREDENTIAL
from pipeline.provider_accounts import LAST, Changed, delete_account, get_account, list_accounts, put_account
from tasks.bells import ring_deliveries

router = APIRouter(tags=["providers"])

MOST_RUNG: Final = 1_000  # deliveries; the sweep rings for what is beyond

CREDENTIALS: Final = " · ".join(
    f"`{name}`: {', '.join(f'`{one}`' for one in kind.credentials) or 'none'}" for name, kind in KNOWN.items()
)
BODY: Final = {
    "type": "object",
    "properties": {
        "credentials": {
            "type": ["object", "null"],
            "description": f"The tenant's own account; null: the installation's. By provider: {CREDENTIALS}.",
            "additionalProperties": {"type": "string", "maxLength": LONGEST_CREDENTIAL},
        },
        "position": {"type": "integer", "minimum": 0, "maximum": LAST, "description": "The lowest is tried first."},
        "senders": {
            "type": ["object", "null"],
            "description": "Whom emails come from, by patterns over event types; the most specific that fits.",
            "additionalProperties": {"type": "string"},
        },
    },
}
EXAMPLES: Final = {
    "an account of one's own": {
        "credentials": {"api_key": "re_..."},
        "position": 0,
        "senders": {"billing.*": "Acme Billing <billing@acme.org>", "*": "Acme <no-reply@acme.org>"},
    },
    "the installation's account as the second choice": {"credentials": None, "position": 1},
}


@router.get("/v1/providers", responses=listed("providers", PROVIDER))
def list_of_providers(caller: Admin) -> Response:
    """What the tenant has set, by channel in the order of failover. No credential is ever answered, only its name.

    For a channel without an entry the installation's providers are used, in the installation's order.
    """
    with transaction_of(caller.tenant) as connection:
        accounts = list_accounts(connection, tenant=caller.tenant)
    return Json({"providers": accounts, "next_cursor": None})


@router.get("/v1/providers/{provider}", responses=answered(PROVIDER))
def one_provider(caller: Admin, provider: str) -> Response:
    """What the tenant has set for one provider, without what is secret."""
    with transaction_of(caller.tenant) as connection:
        account = get_account(connection, tenant=caller.tenant, provider=provider)
    if account is None:
        raise not_found("provider")
    return Json(account)


@router.put(
    "/v1/providers/{provider}",
    responses=answered(PROVIDER),
    openapi_extra=described(BODY, examples=EXAMPLES),
)
def change_provider(caller: Admin, provider: str, body: JsonBody) -> Response:
    """Set an account, its place in the order and its senders; what the body does not name stays as it is.

    Credentials are replaced as a whole and stored encrypted. What waited for an account is sent at once. The
    provider's receipts belong at `receipts_url`.
    """
    with transaction_of(caller.tenant) as connection:
        changed = put_account(
            connection, tenant=caller.tenant, provider=provider, body=body, actor=caller.actor, remote=caller.remote
        )
    if changed is None:
        raise not_found("provider")
    _ring(changed)
    return Json(changed.shown)


@router.delete("/v1/providers/{provider}", status_code=204)
def remove_provider(caller: Admin, provider: str) -> Response:
    """Forget what was set for a provider, its credentials included."""
    with transaction_of(caller.tenant) as connection:
        changed = delete_account(
            connection, tenant=caller.tenant, provider=provider, actor=caller.actor, remote=caller.remote
        )
    if changed is None:
        raise not_found("provider")
    _ring(changed)
    return nothing()


def _ring(changed: Changed) -> None:
    ring_deliveries(changed.channel, changed.due[:MOST_RUNG])
