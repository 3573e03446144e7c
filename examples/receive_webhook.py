"""Prints every webhook that arrives at http://127.0.0.1:9000/ and answers 204: `python3 examples/receive_webhook.py`.

With the secret as an argument (`whsec_...`) it also checks the signatures. Needs nothing but Python.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = sys.argv[1] if len(sys.argv) > 1 else ""


def is_genuine(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether whoever sent this knows the secret, and sent it within the last five minutes."""
    identity, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(expected).decode()
    # Two signatures stand there while a secret is being replaced; one that fits is enough.
    return any(hmac.compare_digest(signature, given) for given in headers["webhook-signature"].split())


class Receiver(BaseHTTPRequestHandler):
    """Takes POST requests."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        genuine = not SECRET or is_genuine(SECRET, headers, body)
        print(headers["webhook-id"], body.decode(), "" if genuine else "FORGED", flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """No line for each request; the body is printed."""


if __name__ == "__main__":
    print("listening on http://127.0.0.1:9000/", flush=True)
    ThreadingHTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
