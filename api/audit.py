"""The audit: who did what, for the tenant's administrators."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import Admin
from api.answers import Json
from api.examples import MOMENT, listed
from api.query import Optional, Page
from models.scope import transaction_of
from pipeline.audit_reading import list_audit

router = APIRouter(tags=["operation"])

ENTRY: Final = {
    "id": 4711,
    "at": MOMENT,
    "actor": "key:0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01",
    "action": "webhook.put",
    "subject": "mine",
    "remote_address": "192.0.2.7",
    "before": None,
    "after": {"host": "hooks.example.org"},
}


class AuditFilters(Page):
    """Which entries are listed; the newest come first."""

    actor: Annotated[Optional, Field(description="`key:<id>`, `user:<id>` or `cli`.")] = None
    action: Annotated[Optional, Field(description="What was done: `webhook.put`, or all of a kind: `webhook.*`.")] = (
        None
    )
    subject: Annotated[Optional, Field(description="The name or id of what it was done to.")] = None
    since: Annotated[Optional, Field(description="A time with its offset, or an age such as `2h`.")] = None


@router.get("/v1/audit", responses=listed("audit", ENTRY))
def audit(caller: Admin, query: Annotated[AuditFilters, Query()]) -> Response:
    """Who did what, when, from where, and what was before and after, the newest first.

    Entries hold no secrets, addresses or messages, and nobody can change or remove them. Publishing an event adds none:
    the event itself is the record.
    """
    with transaction_of(caller.tenant) as connection:
        entries, following = list_audit(
            connection, tenant=caller.tenant, filters=query.filters(), cursor=query.cursor, limit=query.limit
        )
    return Json({"audit": entries, "next_cursor": following})
