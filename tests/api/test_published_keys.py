"""Users' tokens that the platform signs with keys it publishes (JWKS)."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.tokens import PublishedKeys
from tests.api.test_access import bearer, is_problem
from tests.support.api import JWT_SECRET, Api, running, token

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
NEW = rsa.generate_private_key(65537, 2048)


class Platform(ThreadingHTTPServer):
    """Publishes keys, counts who asks, and may be broken."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = 0
        self.broken = False
        self.keys: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self.server_address[1]}/keys"


class Answer(BaseHTTPRequestHandler):
    """One answer."""

    server: Platform

    def do_GET(self) -> None:
        """The keys, or an error."""
        self.server.asked += 1
        body = json.dumps({"keys": self.server.keys}).encode()
        self.send_response(500 if self.server.broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def published(private: Any, key_id: str, **more: str) -> dict[str, Any]:
    """The public half as a JWK."""
    public = private.public_key()
    algorithm: Any = RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(public)), "kid": key_id, "use": "sig", **more}


def signed(private: Any, key_id: str | None, algorithm: str, **claims: Any) -> str:
    """A token of the platform's."""
    content = {"sub": "u1", "tenant": "default", "aud": "bellwire", "exp": time.time() + 600, **claims}
    return jwt.encode(content, private, algorithm=algorithm, headers={"kid": key_id} if key_id else {})


def confused() -> str:
    """A public key used as a secret: the oldest trick there is, and no library helps with it any more."""
    head, claims = signed(RSA, "one", "RS256").split(".")[:2]
    head = encoded(json.dumps({**json.loads(base64.urlsafe_b64decode(head + "==")), "alg": "HS256"}).encode())
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{head}.{claims}.{encoded(hmac.digest(public, f'{head}.{claims}'.encode(), 'sha256'))}"


def encoded(part: bytes) -> str:
    """As a token writes its parts."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def serving() -> Iterator[Platform]:
    """A platform with two keys."""
    server = Platform()
    server.keys = [published(RSA, "one"), published(EC, "two"), published(NEW, "sealing", use="enc")]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()


platform = pytest.fixture(serving, scope="module", name="platform")
own = pytest.fixture(serving, name="own")


@pytest.fixture(scope="module")
def api(
    module_database_url: str, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory, platform: Platform
) -> Iterator[Api]:
    """An API that believes the platform, and its own secret too."""
    settings = {
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
        "BELLWIRE_JWT_JWKS_URL": platform.url,
    }
    with running(module_database_url, tmp_path_factory.mktemp("api"), **settings) as made:
        made.key("admin")
        yield made


@pytest.mark.parametrize(
    ("key", "key_id", "algorithm"),
    [(RSA, "one", "RS256"), (EC, "two", "ES256"), (RSA, None, "RS256"), (EC, None, "ES256")],
)
def test_a_token_signed_with_a_published_key_is_accepted(api: Api, key: Any, key_id: str, algorithm: str) -> None:
    assert bearer(api, signed(key, key_id, algorithm)).get("/v1/webhooks").status_code == 200


def test_our_own_secret_is_accepted_beside_them(api: Api) -> None:
    assert bearer(api, token("u1")).get("/v1/webhooks").status_code == 200


@pytest.mark.parametrize(
    "forged",
    [
        signed(NEW, "one", "RS256"),  # another key under a known id
        signed(RSA, "two", "RS256"),  # the id of a key of another kind
        signed(RSA, "one", "RS512"),
        signed(RSA, "one", "PS256"),
        signed(NEW, "sealing", "RS256"),  # published for something else
        signed(RSA, "one", "RS256", exp=time.time() - 1),
        signed(RSA, "one", "RS256", aud="somebody else"),
        signed(NEW, None, "RS256"),
        confused(),
    ],
)
def test_what_the_platform_did_not_sign_for_us_is_refused(api: Api, forged: str) -> None:
    assert is_problem(bearer(api, forged).get("/v1/webhooks"), 401, "notifications_m.invalid_user_id")


def test_unknown_key_ids_do_not_make_us_ask_each_time(api: Api, platform: Platform) -> None:
    before = platform.asked
    for number in range(20):
        assert is_problem(bearer(api, signed(NEW, f"unknown {number}", "RS256")).get("/v1/webhooks"), 401)
    assert platform.asked - before <= 2


def test_known_keys_stay_good_while_the_platform_is_broken(api: Api, platform: Platform) -> None:
    assert bearer(api, signed(RSA, "one", "RS256")).get("/v1/webhooks").status_code == 200
    platform.broken = True
    try:
        assert is_problem(bearer(api, signed(NEW, "three", "RS256")).get("/v1/webhooks"), 401)
        assert bearer(api, signed(RSA, "one", "RS256")).get("/v1/webhooks").status_code == 200
    finally:
        platform.broken = False


def test_a_new_key_is_found_without_a_restart(api: Api, platform: Platform) -> None:
    platform.keys = [*platform.keys, published(NEW, "four")]
    answers = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and 200 not in answers:
        answers.append(bearer(api, signed(NEW, "four", "RS256")).get("/v1/webhooks").status_code)
    assert answers[-1] == 200
    assert JWT_SECRET not in api.log.read_text()


def test_a_key_that_is_published_a_moment_after_we_asked_is_found_at_once_and_unknown_ones_are_not_looked_for_again(
    own: Platform,
) -> None:
    keys = PublishedKeys(own.url)
    assert keys.find("one", "RS256") is not None
    own.keys = [published(NEW, "four")]
    assert keys.find("four", "RS256") is not None
    assert keys.find("one", "RS256") is None
    assert keys.find("five", "RS256") is None
    assert own.asked == 2


def test_a_platform_that_does_not_answer_is_asked_once_in_the_pause(own: Platform) -> None:
    own.broken = True
    keys = PublishedKeys(own.url)
    assert [keys.find(name, "RS256") for name in ("one", "two", None)] == [None] * 3
    assert own.asked == 1


def test_a_token_without_a_key_id_is_of_nobody_while_two_keys_fit(own: Platform) -> None:
    own.keys = [published(RSA, "one"), published(NEW, "two"), published(EC, "three")]
    keys = PublishedKeys(own.url)
    assert keys.find(None, "RS256") is None
    found = keys.find(None, "ES256")
    assert found is not None
    assert found.key_id == "three"
