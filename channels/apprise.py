"""Apprise: one address for each of a hundred further services, for administrators (https://appriseit.com).

Its plugins open sockets of their own, which our guard cannot see: only services with fixed hosts are let in.
"""

from __future__ import annotations

import asyncio
import logging
import re
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from typing import Any, Final, NamedTuple, Self

from channels.apprise_services import SCHEMES
from channels.base import (
    Address,
    Bulkhead,
    Capabilities,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Provider,
    Receipt,
    RefusedError,
)
from config.fields import check_text
from config.settings import Settings
from domain.errors import InvalidInputError
from domain.vocabulary import Priority

DEADLINE: Final = 15.0  # seconds; some services are asked twice, for a token first
CONCURRENT: Final = 4
LONGEST: Final = 1000  # characters of an address
FIELD: Final = "apprise"

# What may follow a question mark. Not among them: what names a file or a host (`template`, `mode`), follows redirects,
# repeats by itself, waits longer, or calls a failure a success.
OPTIONS: Final = frozenset(
    {"to", "from", "name", "format", "priority", "sound", "image", "footer", "avatar", "thread", "region", "tags"}
)

_SCHEME: Final = re.compile(r"([a-z0-9]{1,32})://", re.IGNORECASE)
# With a path or a dot the plugin would take it for a server of one's own.
_NTFY: Final = re.compile(r"ntfys?://[A-Za-z0-9_-]{1,64}/?(?:\?.*)?", re.IGNORECASE)


class _Said(NamedTuple):
    title: str
    text: str
    kind: str


class AppriseProvider(Provider):
    """`Address.value` is an Apprise address as `check_apprise` let it in.

    The library says only whether it worked. What it calls a failure was refused, or lost on the way, or the service was
    away; so it counts as not sent and is tried again, which may send twice what was lost after it had arrived.
    """

    channel = "apprise"
    name = "apprise"
    capabilities = Capabilities(
        parts=frozenset({"title", "text"}), bulkhead=Bulkhead(concurrent=CONCURRENT, waiting=16), deadline=DEADLINE
    )

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Always, since the accounts are in the addresses; but where messages are for viewing, nobody's phone rings."""
        return None if settings.preview else cls()

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send title and text; see `Provider.send`. A thread that outlives the deadline ends by itself."""
        if not _may_be_asked(address.value):
            raise RefusedError("not an address that Apprise may be asked for")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="apprise")
        deadline = self.capabilities.deadline
        urgent = message.priority in {Priority.HIGH, Priority.CRITICAL}
        # Never `info`: services for people on call take it for the end of an alert.
        kind = "failure" if urgent else "warning"
        said = _Said(_text(message.title), _text(message.text), kind)
        sending = self._threads.submit(_notify, address.value, said, deadline)
        return _receipt(await _within(sending, deadline))

    def breaker_key(self, address: Address) -> str:
        """Each address is an account of its own: a webhook that somebody removed at Discord closes nobody's way."""
        return f"{self.name}:{masked_address(address.value)}"

    async def close(self) -> None:
        """Let the threads go; the next send makes new ones."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


def check_apprise(value: object, at: str = FIELD) -> str:
    """An address that may be stored. Loads the library (40 MiB) at its first call.

    Raises:
        InvalidInputError: on `at`; never repeats the address, which is full of secrets.
    """
    url = check_text(value, at, length=LONGEST)
    if " " in url:
        raise InvalidInputError(at, "must not contain blanks; write them as %20")
    scheme = _scheme(url)
    if scheme is None:
        raise InvalidInputError(at, "must be an address such as discord://webhook_id/webhook_token")
    if scheme not in SCHEMES:
        raise InvalidInputError(at, f"{scheme}:// is not among the services that can be reached safely, see the docs")
    if (option := _odd_option(url)) is not None:
        raise InvalidInputError(at, f"has an option that is not allowed ({option}); allowed are {', '.join(_SORTED)}")
    if scheme in {"ntfy", "ntfys"} and not _NTFY.fullmatch(url):
        raise InvalidInputError(at, "must be ntfy://topic: only ntfy.sh itself can be reached safely")
    if _opened(url, DEADLINE) is None:
        raise InvalidInputError(at, f"is not what {scheme}:// looks like; see https://appriseit.com/services/")
    return url


def masked_address(url: str) -> str:
    """What may be shown and stored in the open: the service, and which of its addresses it is."""
    return f"{_scheme(url) or 'apprise'}://•••{sha256(url.encode('utf-8', 'replace')).hexdigest()[:8]}"


_SORTED: Final = sorted(OPTIONS)


def _scheme(url: str) -> str | None:
    found = _SCHEME.match(url)
    return None if found is None else found[1].lower()


def _odd_option(url: str) -> str | None:
    """The first option that is not allowed. The library splits at ``;`` too and takes names in any case."""
    query = url.partition("?")[2]
    for part in re.split(r"[&;]", query):
        name = part.partition("=")[0].lower()
        if part and name not in OPTIONS:
            return name if re.fullmatch(r"[a-z_]{1,30}", name) else "?"
    return None


def _may_be_asked(url: str) -> bool:
    """The cheap half of `check_apprise`, for addresses that were stored before the list became shorter."""
    scheme = _scheme(url)
    return (
        scheme in SCHEMES
        and _odd_option(url) is None
        and (scheme not in {"ntfy", "ntfys"} or _NTFY.fullmatch(url) is not None)
    )


@cache
def _library() -> Any:
    """The library and the one set of rules for all that it sends: no redirects, nothing on disk, nothing in logs."""
    import apprise

    # They log addresses with their secrets, and what was answered.
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    rules = apprise.AppriseAsset(
        app_id="Bellwire",
        app_desc="Bellwire",
        async_mode=False,
        http_redirects=False,
        image_path_mask="",
        image_url_logo="",
        image_url_mask="",
        secure_logging=True,
        service_timeout=0,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    return apprise, rules


def _opened(url: str, deadline: float) -> Any:
    """The plugin behind an address; None when it is none.

    It waits longer than we do for an answer: what has not come until our deadline is unknown, not failed.
    """
    library, rules = _library()
    plugin = library.Apprise.instantiate(url, asset=rules)
    if plugin is None or _scheme(url) not in _protocols(plugin) or getattr(plugin, "mode", "") == "private":
        return None
    plugin.socket_connect_timeout = min(4.0, deadline / 2)
    plugin.socket_read_timeout = deadline + 5.0
    return plugin


def _protocols(plugin: Any) -> set[str]:
    found: set[str] = set()
    for names in (plugin.protocol, plugin.secure_protocol):
        found.update([names] if isinstance(names, str) else names or ())
    return found


def _notify(url: str, said: _Said, deadline: float) -> bool:
    """Send once, in a thread. False for every kind of failure."""
    plugin = _opened(url, deadline)
    if plugin is None:
        return False
    library, rules = _library()
    sender = library.Apprise(asset=rules)
    sender.add(plugin)
    # A service takes neither an empty text nor only a title everywhere.
    body, title = said.text or said.title or "…", said.title if said.text else ""
    return bool(sender.notify(body=body, title=title, notify_type=said.kind, body_format="text"))


async def _within(sending: Future[bool], seconds: float) -> bool:
    """What came of it. What has not begun in time was certainly not sent."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(sending)), seconds)
    except TimeoutError:
        if sending.cancel():
            raise NotSentError("no thread was free in time", provider_failed=False) from None
        raise OutcomeUnknownError(f"no answer within {seconds:g} s") from None
    except asyncio.CancelledError:
        sending.cancel()
        raise
    except Exception as error:  # a plugin's own; nobody knows how far it came
        raise OutcomeUnknownError(f"the plugin failed: {type(error).__name__}") from None


def _receipt(worked: bool) -> Receipt:
    if not worked:
        raise NotSentError("the service did not take it, or could not be reached")
    return Receipt(detail="accepted")


def _text(said: str | None) -> str:
    """Text that every plugin can encode and XML can hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", (said or "").encode("utf-8", "replace").decode()).strip()
