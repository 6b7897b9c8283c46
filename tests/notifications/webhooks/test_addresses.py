"""What a client's URL may not reach: on acceptance by its literal address, before each call by what DNS says."""

import ipaddress
import socket
import ssl
import time
from urllib.parse import urlsplit

import pytest

from apps.notifications.models import Callback, CallbackAttempt, Notification, WebhookEndpoint
from apps.notifications.webhooks import client
from notifier.lib.http import address_guard
from notifier.lib.http import client as http_client
from tests.conftest import post, wait_until
from tests.support.webhook_receiver import Receiver

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1",
    "fd00:ec2::254", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:7f00:1::", "2001:db8::1", "192.0.0.8", "192.0.0.170", "192.88.99.1", "192.31.196.1", "203.0.113.9",
    "3fff::1", "3fff:fff::1", "5f00::1", "100::1", "2001:2::1", "2001:20::1", "2620:4f:8000::1", "4000::1",
    "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1", "2a00:1450:4001:1:0:5efe:a9fe:a9fe",
]  # fmt: skip
PUBLIC = [
    "93.184.215.14", "8.8.8.8", "2606:4700::6810:84e5", "::ffff:8.8.8.8", "64:ff9b::808:808", "2001:4860:4860::8888",
    "192.0.1.1", "172.32.0.1", "100.128.0.1", "2a00:1450:4001::1",
    "2606:4700::5efe:8.8.8.8", "2606:4700::100:5efe:127.0.0.1",
]  # fmt: skip
SPELLINGS = [
    "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "0",
    "0xa9fea9fe", "2852039166",
]  # fmt: skip
FORMS = [
    "http://example.com/", "ftp://example.com/", "//example.com/", "example.com", "https://", "https:///x", "",
    "https://user:pw@example.com/", "https://user@example.com/", "https://@example.com/", "https://example.com:0/",
    "https://example.com:99999/", "https://example.com:x/", "https://exa mple.com/", "https://example.com/a b",
    "https://example.com\\@127.0.0.1/", "https://[::1", "https://[fe80::1%25eth0]/", "https://ex\u00e4mple.com/",
    "https://\uff11\uff12\uff17.0.0.1/", "https://example.com/\r\nX: y", "https://example.com/#x", "https://./",
    "https://example.com/" + "x" * 2000, "javascript:alert(1)", "https://-x-/",
]  # fmt: skip


def literal(address):
    return f"[{address}]" if ":" in address else address


@pytest.fixture
def stored_nothing(api, user, version):
    yield
    assert not Notification.objects.exists()
    assert not WebhookEndpoint.objects.exists()


def test_unfit_urls_are_refused_at_the_door(api, user, stored_nothing):
    urls = [*FORMS, *(f"https://{literal(address)}/" for address in (*PRIVATE, *SPELLINGS))]
    for url in urls:
        answer = post(api, user, callback_url=url)
        assert answer.status_code == 400, url
        assert [error["field"] for error in answer.json()["errors"]] == ["callback_url"], url
        answer = api.put("/api/v1/webhook-endpoints/", {"url": url}, format="json")
        assert answer.status_code == 400, url
        assert [error["field"] for error in answer.json()["errors"]] == ["url"], url


NAMES = ["example.com", "example.com:8443", "EXAMPLE.com", "a_b.example"]


@pytest.mark.parametrize("host", [*map(literal, PUBLIC), *NAMES])
def test_others_are_accepted(host, api, user, version, unpublished):
    assert post(api, user, callback_url=f"https://{host}/hooks?x=1").status_code == 202


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address(address):
    assert not address_guard.is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert address_guard.is_public(address)


@pytest.mark.parametrize("address", [*PRIVATE, *PUBLIC])
def test_what_is_public_does_not_depend_on_the_interpreter(address, monkeypatch):
    expected = address_guard.is_public(address)
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        for name in ("is_global", "is_private", "is_reserved", "is_multicast"):
            monkeypatch.setattr(kind, name, property(lambda _: pytest.fail("asked the interpreter")))
    assert address_guard.is_public(address) is expected


def answering(monkeypatch, *found):
    """DNS answers with these addresses for every name; returns the list of the names that are looked up."""
    looked_up = []

    def getaddrinfo(host, port, *_, flags=0, **__):
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror
        looked_up.append(host)
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return looked_up


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_inside_is_never_called(address, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    looked_up = answering(monkeypatch, "93.184.215.14", address)
    answer = client.post("https://rebound.example/hooks", b"{}", {})
    assert (answer.status, answer.code) == (None, "address_refused")
    assert looked_up == ["rebound.example"]


def test_the_checked_address_itself_is_connected_to(monkeypatch):
    connected = []

    def connect(_, address):
        connected.append(address)
        raise ConnectionRefusedError("refused")

    looked_up = answering(monkeypatch, "93.184.215.14", "8.8.8.8")
    monkeypatch.setattr(socket.socket, "connect", connect)
    answer = client.post("https://example.com/hooks", b"{}", {})
    assert answer.code == "connection_failed"
    assert connected == [("93.184.215.14", 443), ("8.8.8.8", 443)]
    assert looked_up == ["example.com"]


def test_a_name_rebound_after_acceptance_fails_at_once(api, user, version, smtp, worker, monkeypatch):
    with Receiver() as inside:
        port = inside.url.split(":")[2].split("/")[0]
        resolve = socket.getaddrinfo

        def getaddrinfo(host, *args, **kwargs):
            return resolve("127.0.0.1" if host == "rebound.example" else host, *args, **kwargs)

        answer = post(api, user, channels=["email"], callback_url=f"https://rebound.example:{port}/")
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        assert answer.status_code == 202
        wait_until(lambda: Callback.objects.filter(status="failed"))
        assert CallbackAttempt.objects.get().code == "address_refused"
        assert not inside.calls


def test_a_slow_resolver_is_left_in_time(monkeypatch):
    def slow(*_, flags=0, **__):
        if flags:
            raise socket.gaierror
        time.sleep(1)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(client, "TOTAL_SECONDS", 0.2)
    answer = client.post("https://example.com/", b"{}", {})
    assert (answer.code, answer.seconds < 0.8) == ("name_not_resolved", True)
    time.sleep(1)


def test_tls_is_for_the_name_not_for_the_address(certified, monkeypatch, settings):
    settings.CALLBACK_ALLOWED_HOSTS = ["hooks.example", "other.example"]
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args, **more: resolve("127.0.0.1", *args, **more))
    trusting = ssl.create_default_context(cafile=certified)
    with Receiver(certificate=certified) as receiver:
        port = urlsplit(receiver.url).port
        assert client.post(f"https://hooks.example:{port}/", b"{}", {}).code == "tls_failed"
        monkeypatch.setattr(http_client, "_verifying", lambda: trusting)
        assert client.post(f"https://other.example:{port}/", b"{}", {}).code == "tls_failed"
        assert client.post(f"https://hooks.example:{port}/", b"{}", {}).status == 204
    (call,) = receiver.calls
    assert call.headers["host"] == f"hooks.example:{port}"
