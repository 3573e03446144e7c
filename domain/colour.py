"""Colours that stay readable: contrast as WCAG counts it, and the nearest colour that has enough of it."""

from __future__ import annotations

from typing import Final

WHITE: Final = "#ffffff"
BLACK: Final = "#000000"
READABLE: Final = 4.5  # WCAG 2.2, success criterion 1.4.3, for text of any size

_STEPS: Final = 64  # mixtures that are tried between a colour and black or white


def contrast(one: str, other: str) -> float:
    """The ratio of two colours written ``#rrggbb``, from 1 to 21.

    Source: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
    """
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def ink_on(background: str) -> str:
    """White, or black where white cannot be read. One of the two always can."""
    return WHITE if contrast(WHITE, background) >= READABLE else BLACK


def readable(colour: str, on: str, least: float = READABLE) -> str:
    """`colour` itself if its contrast with the background `on` is at least `least`, else the nearest shade that has it.

    Darker on light backgrounds and lighter on dark ones; with `least` up to 4.5 there always is one.
    """
    towards = WHITE if contrast(WHITE, on) >= contrast(BLACK, on) else BLACK
    shades = (mixed(colour, towards, step / _STEPS) for step in range(_STEPS + 1))
    return next((shade for shade in shades if contrast(shade, on) >= least), towards)


def mixed(one: str, other: str, share: float) -> str:
    """`one` with so much of `other` in it: 0 is `one`, 1 is `other`."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(mine + (theirs - mine) * share):02x}" for mine, theirs in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)
