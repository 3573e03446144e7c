"""Who is asking, and what they may do. Authority comes from an API key or a user's token and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from api.errors import Problem
from api.tokens import Claims, InvalidTokenError, verified
from models.scope import transaction_of, unscoped_transaction
from pipeline.setup import FIND_TENANT, KEY_PREFIX, ROLES, Key, find_key

NO_USER: Final = "notifications_m.invalid_user_id"
UNAUTHENTICATED: Final = "bellwire.unauthenticated"
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="bellwire", ApiKey realm="bellwire" header="X-API-Key"'}

MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent the request, proved.

    Attributes:
        actor: as the audit names them: ``key:<id>`` or ``user:<id>``.
        role: None for a user without any power over the tenant.
        user_id: None for a key.
        key_id: None for a user.
        remote: the address that the request came from.
    """

    tenant: str
    actor: str
    role: str | None
    remote: str | None
    user_id: str | None = None
    key_id: str | None = None
    customers: tuple[str, ...] = ()

    @property
    def publisher(self) -> str:
        """Whose share of what may be published a request uses up."""
        return f"{self.tenant}\0{self.actor}"

    def may(self, role: str) -> bool:
        """Whether the role is theirs; each includes the ones before."""
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)


class KeyRing:
    """Keys that were good when last seen, so that a publisher's key costs no statement of its own.

    Only for those who look in their own transaction whether it was revoked meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Key] = {}

    def find(self, plain: str) -> Key | None:
        """The key, if it was seen before."""
        return self._known.get(_digest(plain))

    def add(self, plain: str, key: Key) -> None:
        """Remember a key that was found."""
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[_digest(plain)] = key

    def drop(self, plain: str) -> None:
        """Forget a key that was revoked."""
        self._known.pop(_digest(plain), None)


KEY_RING: Final = KeyRing()


def identify(request: Request) -> Caller:
    """Whose request this is, as of now.

    Raises:
        Problem: 401.
    """
    plain = _credential(request)
    if plain.startswith(KEY_PREFIX):
        with unscoped_transaction() as connection:
            key = find_key(connection, plain)
        if key is None:
            raise unauthenticated("The API key is not valid, or was revoked.")
        return key_caller(request, key)
    try:
        claims = verified(plain)
    except InvalidTokenError as error:
        raise unauthenticated(f"The token {error}.") from None
    with transaction_of(claims.tenant) as connection:
        known = connection.execute(FIND_TENANT, {"tenant": claims.tenant}).first()
    if known is None:
        raise unauthenticated("The token names a tenant that does not exist.")
    return _user_caller(request, claims)


async def publisher_of(request: Request) -> Caller:
    """Like the `Publisher` dependency; a key that was seen before is not looked up again.

    The caller is one who looks, in the transaction that stores, whether `key_id` was revoked.
    """
    plain = _credential(request)
    key = KEY_RING.find(plain)
    if key is not None:
        return _allowed(key_caller(request, key), "publisher")
    caller = await run_in_threadpool(identify, request)
    if caller.key_id is not None and caller.role is not None:
        KEY_RING.add(plain, Key(caller.key_id, caller.tenant, caller.role))
    return _allowed(caller, "publisher")


def key_caller(request: Request, key: Key) -> Caller:
    """A key as a caller."""
    return Caller(key.tenant, f"key:{key.id}", key.role, _remote(request), key_id=key.id)


def revoked(request: Request) -> Problem:
    """The answer to a key that was revoked while its request was under way; it is forgotten."""
    KEY_RING.drop(_credential(request))
    return unauthenticated("The API key is not valid, or was revoked.")


def unauthenticated(detail: str, code: str = UNAUTHENTICATED) -> Problem:
    """401."""
    return Problem(401, code, detail, headers=CHALLENGE)


def _credential(request: Request) -> str:
    """The key or token. Raises Problem when there is none."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    plain = given.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
    if not plain:
        raise unauthenticated("An API key or a user's token is needed: X-API-Key: bw_... or Authorization: Bearer ...")
    return plain


def _at_least(role: str) -> Any:
    def allowed(request: Request) -> Caller:
        return _allowed(identify(request), role)

    return Depends(allowed)


def _allowed(caller: Caller, role: str) -> Caller:
    if not caller.may(role):
        raise Problem(403, "bellwire.role_too_low", f"This needs the role {role}.")
    return caller


def _of_user(role: str | None = None) -> Any:
    """For addresses that users call: whoever is nobody gets the code that their clients know (D-19).

    Args:
        role: of keys that may call too; None for an address that is of no use to any key.
    """
    needed = "This needs a user's token" + (f", or a key with the role {role}." if role else ": an API key is no user.")

    def allowed(request: Request) -> Caller:
        try:
            caller = identify(request)
        except Problem as problem:
            raise unauthenticated(problem.detail, NO_USER) from None
        if caller.user_id is None and not (role and caller.may(role)):
            raise Problem(403, "bellwire.role_too_low", needed)
        return caller

    return Depends(allowed)


def _user_caller(request: Request, claims: Claims) -> Caller:
    return Caller(
        claims.tenant,
        f"user:{claims.user_id}",
        claims.role,
        _remote(request),
        user_id=claims.user_id,
        customers=claims.customers,
    )


def _remote(request: Request) -> str | None:
    return request.client.host if request.client else None


def _digest(plain: str) -> bytes:
    return sha256(plain.encode("utf-8", "surrogatepass")).digest()


Publisher = Annotated[Caller, _at_least("publisher")]
Operator = Annotated[Caller, _at_least("operator")]
Admin = Annotated[Caller, _at_least("admin")]

User = Annotated[Caller, _of_user()]
"""A user's token and nothing else: what is asked for is the user's own."""

UserOrOperator = Annotated[Caller, _of_user("operator")]
"""A user's token, whatever its role; or a key of an operator."""

UserOrAdmin = Annotated[Caller, _of_user("admin")]
"""A user's token, whatever its role; or a key of an admin."""
