"""The socket that the API is handed answers small requests on kept connections at once."""

from __future__ import annotations

import socket

from workers.stack.listening import listen


def test_accepted_connections_do_not_wait_for_acknowledgements() -> None:
    """Headers and body leave apart; with Nagle's algorithm the body waits 40 ms for the client."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
