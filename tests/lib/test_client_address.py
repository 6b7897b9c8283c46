"""The address of a request's caller, in every form in which a trusted proxy writes it."""

import pytest
from django.test import RequestFactory

from notifier.lib.http.client_address import client_address, client_network

PROXY = "10.0.0.1"
WRITTEN = {
    "203.0.113.7": "203.0.113.7",
    "203.0.113.7:51234": "203.0.113.7",
    "203.0.113.7:": "203.0.113.7",
    '"203.0.113.7:51234"': "203.0.113.7",
    "  203.0.113.7:51234  ": "203.0.113.7",
    "\t203.0.113.7": "203.0.113.7",
    "2001:db8::1": "2001:db8::1",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]:443": "2001:db8::1",
    '"[2001:db8::1]:443"': "2001:db8::1",
    "2001:DB8:0:0::1": "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
    "[fe80::1%25eth0]:443": "fe80::1",
    "::ffff:203.0.113.7": "203.0.113.7",
    "[::ffff:203.0.113.7]:443": "203.0.113.7",
    "198.51.100.9, 203.0.113.7:51234": "203.0.113.7",
    "198.51.100.9:1,[2001:db8::1]:443": "2001:db8::1",
}
NO_ADDRESS = [
    "", "unknown", "_hidden", "203.0.113.7.9:1", "203.0.113:51234", "[2001:db8::1", "2001:db8::1]:443", "[]:443",
    "203.0.113.7:x", "203.0.113.7 198.51.100.9", "999.0.113.7:80", "[203.0.113.7]x", "\u0662\u0660\u0663.0.113.7",
    "a" * 5000, "[" * 5000,
]  # fmt: skip


def request_with(forwarded):
    return RequestFactory().get("/", HTTP_X_FORWARDED_FOR=forwarded, REMOTE_ADDR=PROXY)


@pytest.mark.parametrize(("written", "meant"), WRITTEN.items())
def test_the_proxys_header_is_the_callers_address(written, meant, settings):
    settings.NUM_PROXIES = 1
    assert client_address(request_with(written)) == meant


@pytest.mark.parametrize("written", NO_ADDRESS)
def test_a_header_without_an_address_is_ignored(written, settings):
    settings.NUM_PROXIES = 1
    assert client_address(request_with(written)) == PROXY


def test_two_callers_behind_one_proxy_are_told_apart_by_address_and_not_by_port(settings):
    settings.NUM_PROXIES = 1
    names = [client_network(request_with(f"203.0.113.{host}:{port}")) for host in (7, 8) for port in (1, 2)]
    assert names == ["203.0.113.7", "203.0.113.7", "203.0.113.8", "203.0.113.8"]


def test_without_a_trusted_proxy_the_header_is_ignored(settings):
    settings.NUM_PROXIES = 0
    assert client_address(request_with("203.0.113.7:51234")) == PROXY
