"""How a company looks in what it sends: name, logo, colours, footer and where answers go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final
from unicodedata import category, normalize

from domain.colour import ink_on, readable

CARD: Final = "#ffffff"  # what words stand on, in light and in dark
DARK_CARD: Final = "#1b212a"
PANEL: Final = "#e8ecf2"  # the darkest of the boxes on the card
DARK_PANEL: Final = "#36404d"  # the lightest of them
SOFT: Final = "#5d6877"
SEEN: Final = 1.3  # contrast of a button with the card around it; its words have READABLE

_UNSAFE_IN_SENDERS: Final = re.compile(r"[<>\"\\@()\[\],;:]|=\?")  # the last begins an encoded word (RFC 2047)


@dataclass(frozen=True)
class Brand:
    """One version of a tenant's brand. What is empty is not shown.

    Attributes:
        version: 0 for the brand of those who have set none.
        name: the company's name as readers know it; empty: the tenant's.
        logo_url: https. `logo_alt`: what it says; `logo_width`, `logo_height`: in pixels, 0 as the picture has it.
        primary: of buttons, links and the bar; `background`: around the card; `text`: of what is written on it.
        footer: lines at the end of every email. `website`, `support`: a web address; support may be an email address.
        reply_to: where answers to an email go.
    """

    version: int = 0
    name: str = ""
    logo_url: str = ""
    logo_alt: str = ""
    logo_width: int = 140
    logo_height: int = 0
    primary: str = "#2563eb"
    background: str = "#f3f5f8"
    text: str = "#1a2230"
    footer: str = ""
    website: str = ""
    support: str = ""
    reply_to: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """All but the version, as it is stored and answered."""
        return {name: value for name, value in asdict(self).items() if name != "version"}

    @property
    def sender_name(self) -> str | None:
        """The name for the ``From`` of emails; None where mail programs could take it for more than a name."""
        read = normalize("NFKC", self.name)  # a wide @ is one to whoever reads it
        says_something = any(category(character)[0] not in "CZ" for character in read)
        return self.name if says_something and not _UNSAFE_IN_SENDERS.search(read) else None

    @cached_property
    def shown(self) -> dict[str, Any]:
        """What templates know as `brand`: the values, and colours whose words can be read, whatever was given."""
        page = self.background
        button = readable(self.primary, CARD, SEEN)
        return {
            **self.body,
            "logo_alt": self.logo_alt or self.name,
            "support_url": f"mailto:{self.support}" if "@" in self.support.partition("/")[0] else self.support,
            "bar": button,
            "button": button,
            "on_button": ink_on(button),
            "page": page,
            "on_page": readable(self.text, page),
            "soft_on_page": readable(SOFT, page),
            "styles": "" if self._looks_as_shipped else self._styles,
        }

    @property
    def _looks_as_shipped(self) -> bool:
        return (self.primary, self.text) == (DEFAULT_BRAND.primary, DEFAULT_BRAND.text)

    @property
    def _styles(self) -> str:
        """What stands before the shipped stylesheet: words and links on the card, buttons and links in the dark."""
        button = readable(self.primary, DARK_CARD, SEEN)
        light = {".ink": readable(self.text, PANEL), ".prose-a": readable(self.primary, PANEL)}
        dark = {"a.prose-a": readable(self.primary, DARK_PANEL), ".brand-words": ink_on(button)}
        return (
            f"{_rules(light)}@media (prefers-color-scheme: dark){{{_rules(dark)}"
            f".brand-button{{background:{button}!important}}}}"
        )


def _rules(colours: Mapping[str, str]) -> str:
    return "".join(f"{selector}{{color:{colour}!important}}" for selector, colour in colours.items())


DEFAULT_BRAND: Final = Brand()
