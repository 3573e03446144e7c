"""From a message to the bytes of an email: text and HTML, attachments, and headers that no user's data can break."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from email.headerregistry import Address as HeaderAddress
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import formatdate, getaddresses
from secrets import token_hex
from typing import Any, Final

import idna

from channels.base import Attachment, Message
from channels.text_of_html import text_of_html

LINE_LIMIT: Final = 998  # RFC 5322, section 2.1.1
TITLE_LIMIT: Final = 500  # characters of a subject or a name

_CONTENT_TYPE: Final = re.compile(r"([a-z0-9!#$&^_.+-]{1,100})/([a-z0-9!#$&^_.+-]{1,100})", re.IGNORECASE)
_LOCAL_PART: Final = re.compile(r"[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"]{1,64}")
_ONE_CLICK: Final = re.compile(r"https?://[!-;=?-~]{1,950}")  # printable ASCII without <>, on one line (RFC 8058)
_NOT_IN_NAMES: Final = str.maketrans(dict.fromkeys('<>"\\', " "))
_ENCODED: Final = "=?"  # how an encoded word begins
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?", re.IGNORECASE)


class _UnfoldedAscii(EmailPolicy):
    """`SMTP`, but an ASCII header stays on one line as far as the RFC allows.

    The standard policy encodes a ``List-Unsubscribe`` of 78 characters or more, which mailbox providers then ignore;
    raising its `max_line_length` instead makes encoded words longer than RFC 2047 permits.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        line = f"{name}: {value}"
        if line.isascii() and len(line) <= LINE_LIMIT and "\n" not in line and "\r" not in line:
            return line.encode() + b"\r\n"
        return super().fold_binary(name, value)


class _KeptHeaders(HeaderRegistry):
    """Makes the class of a header once; the library makes another for each header of each mail, a third of the work."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, type[Any]] = {}

    def __getitem__(self, name: str) -> type[Any]:
        key = name.lower()
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = super().__getitem__(name)
        return made


# 7bit: no server has to offer 8BITMIME, and no relay has a reason to touch a byte.
_POLICY: Final = _UnfoldedAscii(
    linesep="\r\n", cte_type="7bit", max_line_length=SMTP.max_line_length, header_factory=_KeptHeaders()
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An email address, ready for headers and envelope; the domain is in ASCII (IDNA).

    `international`: the local part is not, so the server must offer SMTPUTF8.
    """

    local: str
    domain: str
    name: str = ""

    @property
    def international(self) -> bool:
        return not self.local.isascii()

    @property
    def address(self) -> str:
        return f"{self.local}@{self.domain}"

    def header(self) -> HeaderAddress:
        """For ``From`` and ``To``, quoted and encoded as they need."""
        return HeaderAddress(display_name=self.name, username=self.local, domain=self.domain)

    def __str__(self) -> str:
        """``Name <address>`` for an API: the name quoted where it needs it, not encoded.

        Without what only looks like an address or an escape: APIs parse this with patterns of their own.
        """
        name = one_line(self.name.translate(_NOT_IN_NAMES))
        return str(HeaderAddress(display_name=name, username=self.local, domain=self.domain))


def mailbox(address: str, name: str | None = None) -> Mailbox:
    """Take an address apart. A name is cleaned; an address is used as it is or not at all.

    Raises:
        ValueError: it cannot be an email address; the text does not repeat it.
    """
    local, _, domain = address.rpartition("@")
    if not _LOCAL_PART.fullmatch(local) or not local.isprintable() or _ENCODED in local:
        raise ValueError("not an email address")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("not an email address") from None
    if len(ascii_domain) > 253 or not all(_LABEL.fullmatch(label) for label in ascii_domain.split(".")):
        raise ValueError("not an email address")
    return Mailbox(local, ascii_domain, one_line(name or ""))


def sender(value: str) -> Mailbox:
    """``Name <address>`` from the settings, exactly one.

    Raises:
        ValueError: as `mailbox`.
    """
    found = getaddresses([value])
    if len(found) != 1:
        raise ValueError("not an email address")
    name, address = found[0]
    return mailbox(address, name)


def one_line(text: str) -> str:
    """Text for a header: control characters and line breaks become spaces, so nothing can start a header of its own.

    What turns the direction of writing is left out: it would reach beyond the name that it stands in. Nor does
    anything begin like an encoded word (RFC 2047): the library would decode it, and write the line breaks in it.
    """
    straight = text.translate(_DIRECTIONS)
    spaced = "".join(" " if unicodedata.category(character) in _NOT_IN_HEADERS else character for character in straight)
    return " ".join(spaced.split()).replace(_ENCODED, "= ?")[:TITLE_LIMIT]


# Embeddings, overrides and isolates (UAX 9); the marks for a single place stay.
_DIRECTIONS: Final = str.maketrans(dict.fromkeys("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", ""))
_NOT_IN_HEADERS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def compose(message: Message, from_: Mailbox, to: Mailbox) -> bytes:
    """The whole email, lines ending in CRLF, all of them ASCII unless an address is international."""
    policy = _POLICY.clone(utf8=True) if to.international or from_.international else _POLICY
    mail = EmailMessage(policy=policy)
    mail["From"] = from_.header()
    mail["To"] = to.header()
    mail["Subject"] = one_line(message.title or "")
    answers = reply_to(message)
    if answers is not None:
        mail["Reply-To"] = answers.header()
    mail["Date"] = formatdate(usegmt=True)
    mail["Message-ID"] = message_id(message, from_)
    for name, value in further_headers(message).items():
        mail[name] = value
    _set_body(mail, message)
    if message.attachments:
        mail.make_mixed(_boundary())
        for attachment in message.attachments:
            _attach(mail, attachment)
    return mail.as_bytes()


def reply_to(message: Message) -> Mailbox | None:
    """Where answers go; what is no address is left out, for no mail should be lost for it."""
    try:
        found = mailbox(message.reply_to) if message.reply_to else None
    except ValueError:
        return None
    return None if found is None or found.international else found


def message_id(message: Message, from_: Mailbox) -> str:
    """Constant over the attempts of a delivery, so that mailboxes can drop a second copy."""
    return f"<{message.delivery_id}@{from_.domain}>"


def further_headers(message: Message) -> dict[str, str]:
    """The headers that every mail of ours carries, whoever carries it: no holiday replies, unsubscribing with a click.

    Source: RFC 3834, section 5; RFC 8058, section 3.1, which wants the address on one line and unencoded.
    """
    headers = {"Auto-Submitted": "auto-generated"}
    if message.unsubscribe and _ONE_CLICK.fullmatch(message.unsubscribe):
        headers["List-Unsubscribe"] = f"<{message.unsubscribe}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def plain_text(message: Message) -> str:
    """The text of a mail; where nobody wrote one, what its HTML says (E-25)."""
    return clean(message.text) if message.text or not message.html else clean(text_of_html(clean(message.html)))


def _set_body(mail: EmailMessage, message: Message) -> None:
    text = plain_text(message)
    if message.html and not text:
        mail.set_content(clean(message.html), subtype="html")
        return
    mail.set_content(text)
    if message.html:
        mail.make_alternative(_boundary())
        mail.add_alternative(clean(message.html), subtype="html")


def _boundary() -> str:
    """Nobody can guess it, so no text contains it; left alone, the library compiles a pattern per mail to make sure."""
    return f"=_{token_hex(16)}"


def clean(text: str) -> str:
    """A text without NUL and lone surrogates, which no encoding carries, and with one kind of line end."""
    carried = text.replace("\0", "").encode("utf-8", "replace").decode()
    return carried.replace("\r\n", "\n").replace("\r", "\n")


def _attach(mail: EmailMessage, attachment: Attachment) -> None:
    kind, subtype = content_type(attachment.content_type)
    mail.add_attachment(attachment.content, maintype=kind, subtype=subtype, filename=filename(attachment.filename))


def content_type(value: str) -> tuple[str, str]:
    """The two halves of a content type; bytes without meaning for what is none or has parts of its own."""
    match = _CONTENT_TYPE.fullmatch(value)
    kind, subtype = (match[1].lower(), match[2].lower()) if match else ("application", "octet-stream")
    if kind in {"multipart", "message"}:  # these would be read as part of the mail's own structure
        return "application", "octet-stream"
    return kind, subtype


def filename(name: str) -> str:
    """The last part of a path, without what a header or a file system reads as more."""
    return one_line(re.split(r"[/\\]", name)[-1].replace('"', "'"))[:200] or "attachment"
