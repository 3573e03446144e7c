"""Statistics: what deliveries came to, and how much of it arrived."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Operator
from api.answers import Json
from api.examples import MOMENT, answered
from api.query import Optional
from config.settings import settings
from models.scope import transaction_of
from pipeline.deliverability import demoted_of, figures
from pipeline.moments import read_moment, written
from pipeline.overview import reached

router = APIRouter(tags=["operation"])

EXAMPLE: Final = {
    "since": MOMENT,
    "deliveries": [{"channel": "email", "status": "sent", "reason": "", "count": 4210}],
    "deliverability": [
        {
            "channel": "email",
            "provider": "resend",
            "accepted": 4210,
            "delivered": 4150,
            "bounced": 31,
            "complained": 1,
            "deactivated": 0,
            "segments": 0,
            "cost": 0.0,
            "delivery_rate": 0.98575,
            "bounce_rate": 0.00736,
            "complaint_rate": 0.00024,
        }
    ],
    "demoted": [{"channel": "email", "provider": "ses"}],
    "currency": "USD",
}


class Asked(BaseModel):
    """What is counted."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[Optional, Field(description="A time with its offset, or an age: `2h`, `7d`. Default: a day.")] = (
        None
    )
    by: Annotated[Literal["total", "hour"], Field(description="`hour` gives an entry for each hour.")] = "total"


@router.get("/v1/statistics", responses=answered(EXAMPLE))
def statistics(caller: Operator, query: Annotated[Asked, Query()]) -> Response:
    """What deliveries came to by channel, status and reason, and what became of them at each provider.

    `since` counts in whole hours. `demoted` names the providers that are tried last, because more than 5 % of the last
    day's messages bounced or more than one in a thousand was complained about.
    """
    now = datetime.now(UTC)
    since = read_moment(query.since or "1d", "since", now)
    with transaction_of(caller.tenant) as connection:
        deliveries = reached(connection, tenant=caller.tenant, since=since, by_hour=query.by == "hour")
        deliverability = figures(connection, tenant=caller.tenant, since=since)
        last = demoted_of(connection, caller.tenant)
    return Json(
        {
            "since": written(since),
            "deliveries": deliveries,
            "deliverability": deliverability,
            "demoted": last,
            "currency": settings().sms_currency,
        }
    )
