"""How a process says that it is ready: a datagram to $NOTIFY_SOCKET, the protocol of systemd's `Type=notify`."""

from __future__ import annotations

import os
import socket

from workers.stack.places import Places

VARIABLE = "NOTIFY_SOCKET"


def announce() -> None:
    """Say that this process is ready, to whoever started it and asked for that; otherwise do nothing."""
    address = os.environ.get(VARIABLE)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            # A name that begins with @ is one outside the file system.
            sender.setblocking(False)
            sender.connect("\0" + address[1:] if address.startswith("@") else address)
            sender.send(f"READY=1\nMAINPID={os.getpid()}".encode())
        except OSError:
            return


class Listener:
    """The supervisor's end; its children find it in their environment."""

    def __init__(self, places: Places) -> None:
        path = places.sockets / "notify"
        path.unlink(missing_ok=True)
        os.environ[VARIABLE] = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def ready(self) -> set[int]:
        """The ids of the processes that said so since the last call."""
        found: set[int] = set()
        while True:
            try:
                lines = self.socket.recv(4096).decode(errors="replace").splitlines()
            except BlockingIOError:
                return found
            said = dict(line.split("=", 1) for line in lines if "=" in line)
            if said.get("READY") == "1" and said.get("MAINPID", "").isdigit():
                found.add(int(said["MAINPID"]))
