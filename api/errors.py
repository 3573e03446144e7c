"""Every answer that is an error: `application/problem+json` with a code, and never a 5xx for what a client sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.answers import PRIVATE
from domain.errors import InvalidInputError
from pipeline.envelope import in_words

log = structlog.get_logger(__name__)

RETRY_AFTER: Final = 2  # seconds, while the database is away

# Older than RFC 9110 in Python before 3.13.
TITLES: Final = {413: "Content Too Large"}

CODES: Final = {
    400: "bellwire.invalid_request",
    401: "bellwire.unauthenticated",
    403: "bellwire.forbidden",
    404: "bellwire.not_found",
    405: "bellwire.method_not_allowed",
    413: "bellwire.too_large",
}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """An answer that ends the request. `detail` is for people and never repeats what may be a secret.

    Attributes:
        code: what programs decide by: ``bellwire.<words>`` or one of the ``notifications_m.*``.
        more: further members of the document: ``field``, which is null when it is about no single one.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> Response:
        """The problem as RFC 9457 has it."""
        document = {
            "type": "about:blank",
            "title": TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "field": None,
            **self.more,
        }
        # In ASCII: a field is named as it was sent, and half a surrogate pair has no UTF-8.
        body = json.dumps(document)
        return Response(body, self.status, {**PRIVATE, **self.headers}, media_type="application/problem+json")


def invalid(field: str, problem: str, code: str = "bellwire.invalid_input") -> Problem:
    """400 for one field, which is named."""
    return Problem(400, code, f"{field}: {problem}" if field else f"The body {problem}.", field=field or None)


def not_found(what: str, code: str = "bellwire.not_found") -> Problem:
    """404. The same for what is another tenant's as for what never was."""
    return Problem(404, code, f"There is no such {what}.")


def refused_input(error: InvalidInputError) -> Problem:
    """400 or 413 for input that the pipeline refused."""
    problem = invalid(error.field, error.problem)
    if error.too_large:
        problem.status, problem.code = 413, "bellwire.too_large"
    return problem


def database_away() -> Problem:
    """503: nothing was stored, or nobody knows; the same request with the same Idempotency-Key is safe."""
    return Problem(
        503,
        "bellwire.database_away",
        "The database does not answer. Nothing is known to be stored; please send the request again.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def refused_by_database(error: DBAPIError) -> Problem:
    """What a database error means for who sent the request."""
    kind = type(error.orig).__name__
    if isinstance(error, DataError):
        log.warning("not_storable", problem=kind)
        return Problem(400, "bellwire.not_storable", "The request has a value that cannot be stored.")
    if isinstance(error, IntegrityError):
        log.warning("changed_meanwhile", problem=kind)
        return Problem(409, "bellwire.changed_meanwhile", "Somebody else changed the same thing; please try again.")
    log.warning("database_away", problem=kind)
    return database_away()


@contextmanager
def failing_as(code: str, detail: str) -> Iterator[None]:
    """500 with a code of its own for what the database could not do in this block; bad input keeps its answer."""
    try:
        yield
    except (DataError, IntegrityError):
        raise
    except (DBAPIError, NoConnectionError) as error:
        log.warning("database_failed", code=code, problem=type(getattr(error, "orig", error)).__name__)
        raise Problem(500, code, detail, headers={"Retry-After": str(RETRY_AFTER)}) from None


def install(app: FastAPI) -> None:
    """Answer every error in this one form."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(InvalidInputError, _invalid_input)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(NoConnectionError, _no_connection)
    app.add_exception_handler(UnicodeError, _odd_text)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _bug)


# The handlers take Exception because that is what Starlette's types say; each is registered for its own class. They are
# coroutines although nothing waits: Starlette would run plain functions in a thread.


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _invalid_input(_: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidInputError)
    return refused_input(error).response()


async def _invalid_parameter(_: Request, error: Exception) -> Response:
    """What FastAPI would answer with 422: a query parameter that is unknown or has a value that does not fit."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    known = first["type"] != "extra_forbidden"
    problem = in_words(first["type"], str(first["msg"])) if known else "is not a known parameter"
    shown = field.encode("ascii", "backslashreplace").decode()[:100]
    return invalid(shown, problem).response()


async def _http_error(_: Request, error: Exception) -> Response:
    """Starlette's own: no such path, or not with this method."""
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "bellwire.invalid_request")
    detail = {404: "There is no such address.", 405: "The address does not take this method."}
    return Problem(
        error.status_code, code, detail.get(error.status_code, str(error.detail)), headers=error.headers
    ).response()


async def _database_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, DBAPIError)
    return refused_by_database(error).response()


async def _no_connection(_: Request, error: Exception) -> Response:
    log.warning("no_database_connection_free")
    return database_away().response()


async def _odd_text(_: Request, error: Exception) -> Response:
    """Half a surrogate pair or the like got as far as an encoder."""
    log.warning("odd_text", problem=type(error).__name__)
    return Problem(400, "bellwire.invalid_request", "The request has text that is not Unicode.").response()


async def _gone(_: Request, error: Exception) -> Response:
    """The client hung up while it was sending; nobody reads this."""
    return Problem(400, "bellwire.invalid_request", "The request ended before its body did.").response()


async def _bug(_: Request, error: Exception) -> Response:
    """A bug of ours. The traceback is logged by the server."""
    return Problem(500, "bellwire.internal_error", "Something went wrong here; it has been logged.").response()
