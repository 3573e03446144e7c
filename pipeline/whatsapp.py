"""WhatsApp's own marks: ``*bold*``, ``_italic_``, ``~struck~``, ```` `code` ````. There is no way to escape them.

Source: https://faq.whatsapp.com/539178204879377 (how to format messages).
"""

from __future__ import annotations

import re
from typing import Final

# A single mark within a word is shown as it is, so only those at the edge of one are changed: import_job stays whole.
# Characters that only look alike are sure to stay text; zero-width ones depend on the program that shows them.
_LOOK_ALIKE: Final = {ord(mark): alike for mark, alike in zip("*_~`", "∗ˍ∼ˋ", strict=True)}
_IN_ADDRESS: Final = {ord(mark): f"%{ord(mark):X}" for mark in "*_~`"}
_EDGE: Final = re.compile(r"`|(?<![^\W_])[*_~]|[*_~](?![^\W_])")
_ADDRESS: Final = re.compile(r"(https?://\S*[^\s*_~`.,;:!?)\]'\"])", re.IGNORECASE)


def escape(text: str) -> str:
    """`text` in which nothing is formatted. Web addresses still lead to the same place."""
    if not _EDGE.search(text):
        return text
    parts = _ADDRESS.split(text)
    return "".join(_changed(part, _IN_ADDRESS if index % 2 else _LOOK_ALIKE) for index, part in enumerate(parts))


def _changed(text: str, to: dict[int, str]) -> str:
    return _EDGE.sub(lambda found: found[0].translate(to), text)
