"""Ports: bound before anything starts, so that a taken one is said at once."""

from __future__ import annotations

import http.client
import os
import socket

from workers.stack.errors import StackError

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host`; port 0 takes a free one.

    Raises:
        StackError: the port is taken, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # A name that nobody knows has a number below zero.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"
        # Who typed `make run` has no options to give.
        ways = "BELLWIRE_PORT" if "MAKELEVEL" in os.environ else "--port or BELLWIRE_PORT"
        raise StackError(f"The API cannot listen on {host}:{port} ({reason}); choose another with {ways}.") from None
    # The server takes a socket that it is handed for a Unix one and leaves Nagle's algorithm on: every answer on a kept
    # connection would wait 40 ms for the client's acknowledgement. Accepted connections inherit this.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def free_port(wished: int) -> int:
    """`wished` if nobody has it on the loopback, otherwise a free one."""
    for port in (wished, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as found:
                return int(found.getsockname()[1])
        except OSError:
            continue
    raise StackError("No port is free on 127.0.0.1.")


def address(listener: socket.socket) -> str:
    """Where a browser on this machine finds the socket, such as http://127.0.0.1:8080."""
    host, port = listener.getsockname()[:2]
    reached = EVERYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def is_listening(port: int) -> bool:
    """Whether somebody takes connections on that port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def health(listener: socket.socket) -> tuple[int, str]:
    """Status and body of /health/ready; status 0 while nobody answers within 2 seconds."""
    host, port = listener.getsockname()[:2]
    connection = http.client.HTTPConnection(EVERYWHERE.get(host, host), port, timeout=2.0)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
