"""Users' tokens: JWTs signed with our own secret (HS256) or with the platform's published keys (RS256, ES256)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any, Final

import jwt
import requests
import structlog

from config.fields import check_text
from config.settings import settings
from domain.errors import InvalidInputError
from pipeline.identifiers import is_uuid
from pipeline.setup import ROLES

log = structlog.get_logger(__name__)

# A token is checked with the algorithms of the key that it is checked with, never with the one that it asks for.
OWN_ALGORITHMS: Final = ("HS256",)
PUBLISHED_ALGORITHMS: Final = ("RS256", "ES256")

MOST_CHARACTERS: Final = 8_192
MOST_CUSTOMERS: Final = 1_000
FAR_AWAY: Final = 32_503_680_000  # the year 3000: a token may name any number, a clock may not
FETCH_PATIENCE: Final = 3.0  # seconds
FRESH: Final = 300.0  # seconds that fetched keys are used without asking again
# However many unknown keys tokens name, no more than two questions in five seconds. Two and not one: whoever has just
# asked still finds a key at once that was published a moment later.
MOST_QUESTIONS: Final = 2
PAUSE: Final = 5.0  # seconds


class InvalidTokenError(Exception):
    """Not a token of ours, or not any more. The text is for people and repeats nothing of the token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `role` is None unless it is one of ours: platforms use the claim for words of their own.

    Attributes:
        expires_at: in seconds since 1970.
    """

    user_id: str
    tenant: str
    customers: tuple[str, ...]
    role: str | None
    expires_at: float


class PublishedKeys:
    """The keys behind a JWKS address. While it does not answer, those that were fetched before stay good."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: tuple[jwt.PyJWK, ...] = ()
        self._fetched = float("-inf")
        self._asked: deque[float] = deque(maxlen=MOST_QUESTIONS)
        self._lock = threading.Lock()

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key of that id for that algorithm; without an id the only one there is. Blocks while keys are fetched.

        None when it is not published, or when a token without an id may be of several.
        """
        if not self._knows(key_id, algorithm):
            with self._lock:
                if not self._knows(key_id, algorithm):  # or somebody else fetched it meanwhile
                    self._refresh()
        fitting = self._fitting(key_id, algorithm)
        return fitting[0] if len(fitting) == 1 or (fitting and key_id is not None) else None

    def _knows(self, key_id: str | None, algorithm: str) -> bool:
        return monotonic() - self._fetched <= FRESH and bool(self._fitting(key_id, algorithm))

    def _fitting(self, key_id: str | None, algorithm: str) -> list[jwt.PyJWK]:
        return [key for key in self._keys if key.algorithm_name == algorithm and key_id in (None, key.key_id)]

    def _refresh(self) -> None:
        now = monotonic()
        if len(self._asked) == MOST_QUESTIONS and now - self._asked[0] < PAUSE:
            return
        self._asked.append(now)
        try:
            answer = requests.get(self._url, timeout=FETCH_PATIENCE, allow_redirects=False)
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (requests.RequestException, jwt.PyJWTError, ValueError, AttributeError) as error:
            self._asked.append(monotonic())  # while it does not answer, once in the pause: everybody waits for that
            log.warning("token_keys_not_fetched", problem=type(error).__name__)
            return
        self._keys = tuple(key for key in keys if key.public_key_use in ("sig", None))
        self._fetched = monotonic()


def verified(token: str) -> Claims:
    """The claims of a token that is ours and still valid.

    Raises:
        InvalidTokenError: whatever is wrong with it.
    """
    if len(token) > MOST_CHARACTERS:
        raise InvalidTokenError("is too long")
    try:
        key, algorithms = _key(jwt.get_unverified_header(token))
        claims = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=settings().jwt_audience,
            # When it was issued says nothing about its validity, and clocks differ.
            options={"require": ["exp", "aud", "sub"], "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise InvalidTokenError("has expired") from None
    except jwt.InvalidAudienceError:
        raise InvalidTokenError("is not meant for this service") from None
    except jwt.MissingRequiredClaimError as error:
        raise InvalidTokenError(f"has no {error.claim}") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidTokenError("is not valid") from None
    return _read(claims)


def _key(header: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The key to check with, and the algorithms that it is for."""
    secret, published = settings().jwt_secret, _published()
    algorithm = header.get("alg")
    if published is not None and algorithm in PUBLISHED_ALGORITHMS:
        key_id = header.get("kid")
        key = published.find(key_id if isinstance(key_id, str) else None, algorithm)
        if key is None:
            raise InvalidTokenError("was signed with a key that is not published")
        return key, (algorithm,)
    if secret is not None:
        return secret.get_secret_value(), OWN_ALGORITHMS
    raise InvalidTokenError("was signed in a way that is not accepted")


@cache
def _published() -> PublishedKeys | None:
    url = settings().jwt_jwks_url
    return PublishedKeys(url) if url else None


def _read(claims: Mapping[str, Any]) -> Claims:
    try:
        user_id, tenant = check_text(claims["sub"], "sub"), check_text(claims.get("tenant"), "tenant")
    except InvalidInputError as error:
        raise InvalidTokenError(f"has no usable {error.field}") from None
    customers = claims.get("customers") or []
    if not isinstance(customers, list) or len(customers) > MOST_CUSTOMERS or not all(map(is_uuid, customers)):
        raise InvalidTokenError("has customers that are no list of UUIDs")
    role = claims.get("role")
    return Claims(
        user_id,
        tenant,
        tuple(one.lower() for one in customers),
        role if role in ROLES else None,
        float(min(int(claims["exp"]), FAR_AWAY)),
    )
