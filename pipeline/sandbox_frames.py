"""How the two ends of a pipe tell messages apart: four bytes of length before each."""

from __future__ import annotations

from typing import BinaryIO, Final

LENGTH: Final = 4  # bytes, the highest first


def frame_of(content: bytes) -> bytes:
    """`content` as it is sent."""
    return len(content).to_bytes(LENGTH, "big") + content


def write_frame(pipe: BinaryIO, content: bytes) -> None:
    """Send all of it."""
    pipe.write(frame_of(content))
    pipe.flush()


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The next message; None when the other end is closed."""
    head = pipe.read(LENGTH)
    if len(head) < LENGTH:
        return None
    content = pipe.read(int.from_bytes(head, "big"))
    return content if content else None
