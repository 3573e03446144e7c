"""Which addresses a webhook may reach, in every notation that some library understands."""

from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest

from channels.base import Address, Message, RefusedError
from channels.guard import AddressRefusedError, Guard, GuardedResolver, check_url
from channels.webhook import WebhookProvider
from domain.errors import InvalidInputError

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
]
PERMITTED = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "193.0.0.1",
    "::ffff:8.8.8.8",
    "2606:4700::1111",
    "2a00::1",
]
NO_ADDRESS = ["", "localhost", "2130706433", "0x7f.0.0.1", "127.1", "0177.0.0.1", "1.1.1.1.1", "[::1]"]


@pytest.mark.parametrize("address", REFUSED)
def test_a_private_or_reserved_address_is_refused(address):
    assert not Guard().permits(address)


@pytest.mark.parametrize("address", PERMITTED)
def test_a_public_address_is_permitted(address):
    assert Guard().permits(address)


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_what_is_no_plain_address_is_refused(text):
    assert not Guard().permits(text)


@pytest.mark.parametrize(
    ("network", "address", "permitted"),
    [
        ("127.0.0.1/32", "127.0.0.1", True),
        ("127.0.0.1/32", "::ffff:127.0.0.1", True),
        ("127.0.0.1/32", "127.0.0.2", False),
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("fd00::/8", "fd12::1", True),
        ("::1/128", "127.0.0.1", False),
    ],
)
def test_the_settings_let_single_networks_through(network, address, permitted):
    assert Guard([ip_network(network)]).permits(address) == permitted


def test_a_socket_for_a_refused_address_is_never_made():
    for target in (("169.254.169.254", 80), ("::ffff:127.0.0.1", 80, 0, 0)):
        family = socket.AF_INET if len(target) == 2 else socket.AF_INET6
        with pytest.raises(AddressRefusedError):
            Guard().open_socket((family, socket.SOCK_STREAM, 6, "", target))


def answering(*addresses: str):
    """A name server that knows one name."""
    return lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]


def test_a_name_with_private_addresses_only_is_refused(run):
    async def resolve() -> None:
        resolver = GuardedResolver(Guard(), answering("127.0.0.1", "10.0.0.1"))
        with pytest.raises(AddressRefusedError):
            await resolver.resolve("rebound.example.org", 443)
        await resolver.close()

    run(resolve())


def test_of_a_name_with_both_only_the_public_address_is_used(run):
    async def resolve() -> list[str]:
        resolver = GuardedResolver(Guard(), answering("127.0.0.1", "93.184.216.34"))
        try:
            return [found["host"] for found in await resolver.resolve("mixed.example.org", 443)]
        finally:
            await resolver.close()

    assert run(resolve()) == ["93.184.216.34"]


def send_to(url: str, run) -> None:
    async def scenario() -> None:
        provider = WebhookProvider(Guard())
        try:
            await provider.send(Message("d", "t", "e", "x", body=b"{}"), Address(url))
        finally:
            await provider.close()

    run(scenario())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1",
             "127.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0", "0.0.0.0", "①②⑦.⓪.⓪.①",
             "127.0.0.1."],
)  # fmt: skip
def test_no_notation_of_loopback_is_connected_to(host, hooks, run):
    with pytest.raises(RefusedError) as caught:
        send_to(f"http://{host}:{hooks.port}/", run)
    assert caught.value.detail in {"address not allowed; see BELLWIRE_WEBHOOK_ALLOW_NETWORKS", "URL not allowed"}
    assert not caught.value.provider_failed
    assert hooks.connections == 0


GOOD_URLS = [
    "https://example.org",
    "http://example.org:8080/a/b?c=d",
    "https://user-content.example.org/%7Ehook",
    "https://bücher.example/ü",
    "https://[2606:4700::1111]/hook",
    "https://my_host.example.org./",
    "https://example.org/" + "a" * 2020,
]
BAD_URLS = {
    "not http": "ftp://example.org/",
    "file": "file:///etc/passwd",
    "no scheme": "example.org/hook",
    "relative": "//example.org/hook",
    "no host": "https:///hook",
    "dots": "https://.../",
    "user": "https://user@example.org/",
    "password": "https://user:password@example.org/",
    "port zero": "https://example.org:0/",
    "port too high": "https://example.org:65536/",
    "port no number": "https://example.org:http/",
    "space": "https://exa mple.org/",
    "line break": "https://example.org/\r\nX-Evil: 1",
    "backslash": "https://example.org\\@127.0.0.1/",
    "too long": "https://example.org/" + "a" * 2048,
    "label too long": f"https://{'a' * 64}.example.org/",
    "name too long": f"https://{'a.' * 130}org/",
    "nothing": "",
    "decimal": "http://2130706433/",
    "hexadecimal": "http://0x7f.1/",
    "short": "http://127.1/",
    "loopback": "http://127.0.0.1/",
    "mapped": "http://[::ffff:127.0.0.1]/",
    "scope": "http://[fe80::1%25eth0]/",
}


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_url_is_accepted_at_registration(url):
    assert check_url(url, Guard()).scheme in {"http", "https"}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS)
def test_a_url_is_refused_at_registration_in_words_that_do_not_repeat_it(url):
    with pytest.raises(InvalidInputError) as caught:
        check_url(url, Guard())
    assert caught.value.field == "url"
    assert not url or url not in str(caught.value)


LOCAL_NAMES = ["localhost", "LOCALHOST", "localhost.", "app.localhost", "a.b.LocalHost."]


@pytest.mark.parametrize("host", [*LOCAL_NAMES, "127.0.0.1", "10.0.0.1"])
def test_a_private_address_is_refused_at_registration_and_the_error_names_the_setting(host):
    with pytest.raises(InvalidInputError, match="unless BELLWIRE_WEBHOOK_ALLOW_NETWORKS allows it"):
        check_url(f"http://{host}:9000/", Guard())


@pytest.mark.parametrize("host", LOCAL_NAMES)
@pytest.mark.parametrize("network", ["127.0.0.0/8", "::1/128"])
def test_localhost_is_taken_where_loopback_is_allowed(host, network):
    assert check_url(f"http://{host}:9000/", Guard([ip_network(network)])).port == 9000


@pytest.mark.parametrize("host", ["localhost.example.org", "mylocalhost"])
def test_a_name_that_only_looks_like_localhost_is_taken(host):
    assert check_url(f"http://{host}/", Guard()).host == host


def test_a_fragment_is_not_sent():
    assert str(check_url("https://example.org/hook#secret")) == "https://example.org/hook"
