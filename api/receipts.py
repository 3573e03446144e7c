"""What providers say later: one address a provider, proved by that provider's own scheme and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import SecretStr

from api.answers import PRIVATE, Json
from api.body import read_body
from api.errors import Problem, not_found
from api.examples import answered
from channels.receipts.base import Call, ForgedError, Heard, MalformedError, NotNowError, Receiver
from channels.receipts.registry import RECEIVERS, secrets_among, secrets_of
from channels.receipts.whatsapp import WhatsAppReceiver
from config.settings import Settings, SettingsError, settings
from models.scope import transaction_of
from pipeline.provider_accounts import credentials_of
from tasks.receipts import take_in
from tasks.telegram import take_update

log = structlog.get_logger(__name__)

MOST_BYTES: Final = 10 * 1024 * 1024
AGAIN_AFTER: Final = 20  # seconds
LONGEST_TENANT: Final = 255
PATH: Final = "/v1/receipts/{provider}"
SECURITY: Final[dict[str, Any]] = {"security": [{"provider": []}]}
BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"*/*": {"schema": {"description": "As it is signed."}}}}
}

Tenant = Annotated[str, Query(description="Whose own account at the provider it is; left out: the installation's.")]


def routes(receivers: Mapping[str, Receiver]) -> APIRouter:
    """The addresses for these providers."""
    router = APIRouter(tags=["receipts"])

    @router.post(PATH, responses=answered({"success": True, "eventsProcessed": 1}), openapi_extra={**SECURITY, **BODY})
    async def take_receipts(request: Request, provider: str, tenant: Tenant = "") -> Response:
        """Take what a provider says of messages: delivered, bounced, complained, opened, clicked, unsubscribed.

        It is proved by the provider's own scheme over the raw body: Resend, SendGrid, SES, Twilio and WhatsApp sign,
        Postmark sends Basic credentials and Telegram a secret token. What is not proved, too old, or of a provider that
        is not configured is 401. A repeated receipt changes nothing.
        """
        receiver = _receiver(receivers, provider)
        body = await read_body(request, MOST_BYTES)
        call = Call(dict(request.headers), body, _public_url(request), datetime.now(UTC))
        heard = await run_in_threadpool(_take, receiver, call, tenant)
        return Json({"success": True, "eventsProcessed": heard.events})

    @router.get(PATH, openapi_extra=SECURITY)
    def prove_address(request: Request, provider: str, tenant: Tenant = "") -> Response:
        """Answer Meta's challenge, by which it checks that this address is ours; WhatsApp only."""
        receiver = _receiver(receivers, provider)
        if not isinstance(receiver, WhatsAppReceiver):
            raise Problem(405, "bellwire.method_not_allowed", "The address does not take this method.")
        try:
            said = receiver.challenge(_public_url(request), _secrets(receiver, tenant))
        except ForgedError as error:
            raise _forged(receiver, error) from None
        return Response(said, media_type="text/plain", headers=PRIVATE)

    return router


def _receiver(receivers: Mapping[str, Receiver], provider: str) -> Receiver:
    if provider not in receivers:
        raise not_found("provider")
    return receivers[provider]


def _public_url(request: Request) -> str:
    """The address that the provider called. Built on the setting: what a proxy or a header says can be forged."""
    query = request.scope["query_string"].decode("latin-1")
    path = request.scope["path"]
    return f"{settings().public_url.rstrip('/')}{path}{'?' if query else ''}{query}"


def _take(receiver: Receiver, call: Call, tenant: str) -> Heard:
    """In a thread: signatures, certificates and the database take their time."""
    try:
        secrets = _secrets(receiver, tenant)
        heard = receiver.hear(call, secrets)
    except ForgedError as error:
        raise _forged(receiver, error) from None
    except MalformedError as error:
        raise Problem(400, "bellwire.invalid_request", str(error)) from None
    except NotNowError as error:
        log.warning("receipt_not_checked", provider=receiver.provider, problem=str(error))
        raise Problem(
            429, "bellwire.try_again", f"{error} Please send it again.", headers={"Retry-After": str(AGAIN_AFTER)}
        ) from None
    if heard.update is not None:
        take_update(heard.update, account=tenant, own=_with_bot(secrets.get("bot_token")))
    take_in(receiver.provider, tenant, heard)
    return heard


def _with_bot(token: str | None) -> Settings:
    """The settings with the bot that the update came to."""
    return settings().model_copy(update={"telegram_bot_token": SecretStr(token) if token else None})


def _secrets(receiver: Receiver, tenant: str) -> dict[str, str]:
    """What proves a call. Raises ForgedError when the provider is not configured."""
    secrets = _of_tenant(receiver, tenant) if tenant else secrets_of(receiver, settings())
    if secrets is None:
        raise ForgedError("The provider is not configured.")
    return secrets


def _of_tenant(receiver: Receiver, tenant: str) -> dict[str, str] | None:
    if "\0" in tenant or len(tenant) > LONGEST_TENANT:
        return None
    try:
        with transaction_of(tenant) as connection:
            credentials = credentials_of(connection, tenant, receiver.provider)
    except SettingsError as error:
        log.error("credentials_not_opened", tenant=tenant, provider=receiver.provider, problem=str(error))  # noqa: TRY400
        return None
    return None if credentials is None else secrets_among(receiver, credentials)


def _forged(receiver: Receiver, error: ForgedError) -> Problem:
    """401. The answer says nothing of what was wrong: whoever forges would learn from it. The log does."""
    log.warning("receipt_refused", provider=receiver.provider, problem=str(error))
    scheme = "Basic" if receiver.provider == "postmark" else "Signature"
    return Problem(
        401,
        "bellwire.unauthenticated",
        "The credentials are missing, wrong or too old, or the provider is not configured.",
        headers={"WWW-Authenticate": f'{scheme} realm="{receiver.provider}"'},
    )


router = routes(RECEIVERS)
