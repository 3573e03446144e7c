"""Access tokens of a Google service account, fetched by google-auth in a thread and shared by all sends.

Source: developers.google.com/identity/protocols/oauth2/service-account
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from channels.base import AccountError, NotSentError

TIMEOUT: Final = 5.0  # seconds for one request to the token endpoint
EARLY: Final = 300.0  # seconds before the end in which a new one is fetched while the old one is still used


class ServiceAccount(NamedTuple):
    """What Google's key file says. `info` is all of it."""

    project_id: str
    info: dict[str, Any]

    @classmethod
    def parse(cls, text: str, api_url: str) -> Self:
        """The account in a key file.

        Its `token_uri` must be Google's or on the host of `api_url`: we sign a login for whoever it names.

        Raises:
            ValueError: in words.
        """
        try:
            info = json.loads(text)
            project, token_uri = info["project_id"], urlsplit(info["token_uri"])
            complete = all(isinstance(info[name], str) for name in ("client_email", "private_key", "project_id"))
        except (ValueError, KeyError, TypeError, AttributeError):
            complete = False
        if not complete or info.get("type") != "service_account":
            raise ValueError("must be the JSON of a service account, as Google gives it out")
        if not _is_key(info["private_key"]):
            raise ValueError("its private_key cannot be read")
        host = token_uri.hostname or ""
        of_google = token_uri.scheme == "https" and host.endswith(".googleapis.com")
        if not of_google and host != urlsplit(api_url).hostname:
            raise ValueError("its token_uri must be https://oauth2.googleapis.com/token")
        return cls(project, info)


class AccessToken:
    """One token for everybody on the loop. A new one is fetched once, however many wait for it."""

    def __init__(self, account: ServiceAccount, scope: str) -> None:
        self._account, self._scope = account, scope
        self._value = ""
        self._until = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._forgotten_at = float("-inf")
        self._credentials: Any = None
        self._session: Any = None

    async def get(self, seconds: float) -> str:
        """The token, fetched within `seconds` if there is none.

        Raises:
            AccountError: Google does not accept the account.
            NotSentError: Google was not reached.
        """
        left = self._until - monotonic()
        if left > EARLY:
            return self._value
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(_heard)
        if left > 0:
            return self._value
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._fetching)
        except TimeoutError:
            raise NotSentError("no access token in time") from None
        return self._value

    def forget(self, token: str) -> bool:
        """Google refused this one. Whether it is worth another try with a new one; at most once a minute."""
        if token != self._value:
            return True
        if monotonic() - self._forgotten_at < 60:
            return False
        self._until, self._forgotten_at = 0.0, monotonic()
        return True

    def close(self) -> None:
        """Let the thread go; it ends with what it does now."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            self._session.close()

    async def _fetch(self) -> None:
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="google")
        began = monotonic()
        self._value, life = await asyncio.get_running_loop().run_in_executor(self._thread, self._login)
        self._until = began + life

    def _login(self) -> tuple[str, float]:
        """In the thread: the token, and for how many seconds it is good."""
        from google.auth.exceptions import GoogleAuthError, TransportError

        try:
            return self._exchange()
        except TransportError:
            raise NotSentError("Google's token endpoint was not reached") from None
        except GoogleAuthError as error:
            if error.retryable:
                raise NotSentError("Google's token endpoint did not answer as it should") from None
            raise AccountError("Google does not accept the service account") from None
        except ValueError:
            raise AccountError("the service account cannot be used") from None

    def _exchange(self) -> tuple[str, float]:
        import requests
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        if self._credentials is None:
            self._session = requests.Session()
            self._session.trust_env = False  # as everywhere: no proxy of the environment
            self._credentials = Credentials.from_service_account_info(self._account.info, scopes=[self._scope])  # type: ignore[no-untyped-call]
        credentials = self._credentials
        credentials.refresh(partial(Request(self._session), timeout=TIMEOUT))
        return credentials.token, (credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()


def _is_key(pem: str) -> bool:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return isinstance(load_pem_private_key(pem.encode(), None), RSAPrivateKey)
    except (ValueError, TypeError):
        return False


def _heard(task: asyncio.Task[None]) -> None:
    """Nobody may be waiting for it; then its error is nobody's."""
    if not task.cancelled():
        task.exception()
