"""What lists take in their query and addresses in their path: every value checked before the pipeline sees it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from api.errors import Problem, not_found
from pipeline.identifiers import MOST_IN_A_PAGE, is_uuid

INVALID_ID: Final = "bellwire.invalid_id"
USERS_SLASHES: Final = 3  # in /v1/users/u1


def _or_nothing(value: Any) -> Any:
    """``?status=&channel=email`` asks for one channel and any status."""
    return None if value == "" else value


Text = Annotated[
    str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$"), BeforeValidator(_or_nothing)
]
Optional = Annotated[Text | None, BeforeValidator(_or_nothing)]


class Page(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[Optional, Field(description="`next_cursor` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=MOST_IN_A_PAGE, description="Entries of a page.")] = 50

    def filters(self) -> dict[str, str]:
        """The filters that were given."""
        return self.model_dump(exclude={"cursor", "limit"}, exclude_none=True)


def uuid_in_path(value: str, what: str, code: str = INVALID_ID) -> str:
    """An id from the path. Raises Problem 400 when it is no UUID."""
    if not is_uuid(value):
        raise Problem(400, code, f"The id of {what} must be a UUID.", field="id")
    return value.lower()


def _user_id(request: Request, user_id: str) -> str:
    """A user's id may hold ``%2F``, which the server has decoded: only the raw path tells it from a longer path."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    if raw.removeprefix(request.scope.get("root_path", "").encode()).count(b"/") > USERS_SLASHES:
        raise not_found("address")
    return user_id


UserId = Annotated[str, Depends(_user_id)]
"""The id in ``/v1/users/{user_id:path}``."""
