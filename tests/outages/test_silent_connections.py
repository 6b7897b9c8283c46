"""Callers that send no body or read no answer take nothing from anybody else: the API as docker/api starts it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.notifications.models import Notification
from apps.users.models import Organization
from scripts.private_services.process import NotInstalled, binary, wait_for
from tests.conftest import OrganizationFactory
from tests.outages.conftest import to_address
from tests.support.factories import key_for, template_with
from tests.support.silent_connections import LARGE, Silent, closed, silent
from tests.support.system import System

pytestmark = pytest.mark.chaos
MANY = 300
PATIENCE = 2.0
"""Seconds for an answer, on a machine that does other things too. Held, it would never come."""


def fronted(make_system: Callable[..., System], **environment: str) -> System:
    try:
        binary("nginx", "nginx")
    except NotInstalled as missing:
        pytest.skip(str(missing))
    system = make_system(**environment)
    system.start_front()
    return system


@pytest.fixture
def system(make_system: Callable[..., System]) -> System:
    return fronted(make_system)


@pytest.fixture
def callers(system: System) -> Iterator[Silent]:
    with silent(system.port) as held:
        yield held


def everybody_else_is_served(system: System, key: str, seconds: float = 3) -> int:
    """Posts and asks whether it lives for so long; how often."""
    served, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        # A connection of its own for each, as of callers who come now.
        with system.client(key) as client:
            client.timeout = httpx.Timeout(PATIENCE)
            body = {**to_address(served), "request_id": f"{time.monotonic_ns()}"}
            assert client.post("notifications/", json=body).status_code == 202
            assert client.get("health/live/").status_code == 200
        served += 1
    return served


def closed_within(held: list[Any], began: float, seconds: float = 30) -> None:
    while closed(held) < len(held):
        assert time.monotonic() - began < seconds, f"{closed(held)} of {len(held)} were closed"
        time.sleep(0.1)


def test_bodies_that_never_come(system: System, callers: Silent, key: str) -> None:
    began = time.monotonic()
    held = callers.bodies(MANY)
    assert everybody_else_is_served(system, key)
    assert not closed(held), "it was beside all of them"
    closed_within(held, began)


def test_bodies_of_a_byte_a_second(system: System, callers: Silent, key: str) -> None:
    with callers.trickling(MANY) as held:
        time.sleep(1)
        assert everybody_else_is_served(system, key)
        assert not closed(held), "it was beside all of them"
    closed_within(held, time.monotonic())


def test_answers_that_no_client_reads(system: System, callers: Silent, key: str) -> None:
    held = callers.unread(MANY)
    # Some are another organization's own lists, 4 MB each.
    other: Organization = OrganizationFactory(slug="other")
    version = template_with(other)
    Notification.objects.bulk_create(
        Notification(organization=other, template_version=version, metadata={"text": "x" * 240_000})
        for _ in range(17)
    )
    held += callers.unread(20, path="/api/v1/notifications/?limit=100", key=key_for(other))
    began = time.monotonic()
    assert everybody_else_is_served(system, key)
    assert len(held) - closed(held) > MANY / 2, "it was beside most of them"
    closed_within(held, began)


def test_silent_ones_of_the_same_address_take_nothing_either(
    system: System, callers: Silent, key: str
) -> None:
    """As where all callers come through one machine that this one doesn't know as a proxy."""
    callers.bodies(MANY, addresses=1)
    callers.unread(MANY, addresses=1)
    with system.client(key, address=callers.address(0)) as same:
        same.timeout = httpx.Timeout(PATIENCE)
        for n in range(20):
            assert same.post("notifications/", json=to_address(n)).status_code == 202


def test_one_address_has_a_bounded_number_and_health_is_not_counted(
    make_system: Callable[..., System], key: str
) -> None:
    system = fronted(make_system, CALLER_CONNECTIONS="100")
    with silent(system.port) as callers:
        callers.bodies(MANY, addresses=1)
        with system.client(key, address=callers.address(0)) as same:
            own_answer(same.post("notifications/", json={}), 503, "too_many_requests_at_once")
            assert same.get("health/live/").status_code == 200
        assert everybody_else_is_served(system, key, 1)


def own_answer(answer: httpx.Response, status: int, code: str) -> None:
    """nginx's, in the API's form."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert body.pop("message")
    assert body == {"success": False, "data": None, "error": code, "meta": None}
    assert len(answer.headers.get_list("X-Correlation-ID")) == 1
    assert ("Retry-After" in answer.headers) is (status in (502, 503))


def test_what_the_front_refuses_is_answered_in_our_form(system: System, key: str) -> None:
    with system.client(key) as client:
        own_answer(client.post("notifications/", content=b"x" * (5 * 2**20)), 413, "payload_too_large")
        # Its own limit, which is lower than the front's.
        assert client.post("notifications/", content=b"x" * (512 * 1024)).json()["error"] in (
            "payload_too_large", "unsupported_media_type",
        )  # fmt: skip
        own_answer(client.get("notifications/?x=" + "y" * 20_000), 414, "uri_too_long")
        own_answer(client.get("notifications/", headers={"X-Large": "y" * 20_000}), 431, "headers_too_large")
        own_answer(client.get("notifications/", headers={"Host": "a b"}), 400, "bad_request")
        (socket,) = (system.directory / "var/front").glob("*/api-0.sock")
        socket.unlink()
        # The connection that nginx has is good for its thousand requests, which take as long as they take.
        wait_for(lambda: client.get("users/").status_code == 502, 120, lambda: system.log("api"))
        refused = client.get("users/", headers={"X-Correlation-ID": "mine"})
        own_answer(refused, 502, "api_unavailable")
        assert refused.headers["X-Correlation-ID"] == "mine"


def test_a_refusal_that_needs_no_body_is_an_answer_at_any_length(system: System) -> None:
    """Without `WholeBodyMiddleware` granian closes on nginx while it sends: some of these are a 502."""
    for length, address in ((100_000, "127.0.0.2"), (4_000_000, "127.0.0.3")):
        body = {"unread": "x" * length}
        with system.client("no-such.key", address=address) as client, ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(partial(client.post, json=body), ["notifications/"] * 90))
            assert {answer.status_code for answer in answers} == {401}


@pytest.mark.parametrize(
    ("proxies", "sent", "same"),
    [
        # No proxy in front: a forwarding header from the caller doesn't count, in whatever spelling.
        ("0", lambda n: {"X-Forwarded-For": f"192.0.2.{n}"}, True),
        ("0", lambda n: {"X_Forwarded_For": f"192.0.2.{n}"}, True),
        # A proxy in front, which is this test: what it has seen counts, and not what is before it.
        ("1", lambda n: {"X-Forwarded-For": f"192.0.2.{n}"}, False),
        ("1", lambda n: {"X-Forwarded-For": f"192.0.2.{n}, 198.51.100.7"}, True),
        ("1", lambda n: {"X-Forwarded-For": "198.51.100.7", "X_Forwarded_For": f"192.0.2.{n}"}, True),
        ("2", lambda n: {"X-Forwarded-For": f"203.0.113.9, 192.0.2.{n}, 198.51.100.7"}, False),
    ],
)
def test_whose_address_is_counted(
    make_system: Callable[..., System], proxies: str, sent: Callable[[int], dict[str, str]], same: bool
) -> None:
    system = fronted(make_system, NUM_PROXIES=proxies, RATE_LIMIT_ADDRESS="50")
    left = []
    for n in range(1, 4):
        refused = httpx.get(f"{system.api_url}/api/v1/notifications/", headers=sent(n))
        assert refused.status_code == 401
        left.append(int(refused.headers["X-RateLimit-Remaining"]))
    assert (len(set(left)) == 3) is same, left


def test_it_needs_no_privilege_over_files(make_system: Callable[..., System], key: str) -> None:
    """What root could use whatever its mode was, its user alone has to be able to."""
    system = make_system()
    powers = "-dac_override,-dac_read_search,-chown,-fowner,-setuid,-setgid"
    system.start_front(*(("setpriv", f"--bounding-set={powers}") if os.geteuid() == 0 else ()))
    with system.client(key) as client:
        assert client.post("notifications/", json=to_address(1)).status_code == 202
        # Its answer takes a file of nginx's.
        assert len(client.get(f"{system.api_url}{LARGE}").content) > 2**20


@pytest.mark.parametrize(("given", "size"), [("", "34"), ("7", "7")])
def test_each_thread_has_a_connection_to_the_database(
    make_system: Callable[..., System], given: str, size: str
) -> None:
    system = fronted(make_system, API_THREADS="32", DATABASE_POOL_SIZE=given)
    pid = system.parts["api"].pid
    granian = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    environment = Path(f"/proc/{granian}/environ").read_bytes().split(b"\0")
    assert f"DATABASE_POOL_SIZE={size}".encode() in environment


def test_it_stops_in_order_and_leaves_nothing(system: System, key: str) -> None:
    front = system.directory / "var/front"
    (own,) = front.iterdir()
    # Its user's alone, whose nginx may use it (root may whatever its mode is).
    assert own.stat().st_mode & 0o777 == 0o700
    assert (own / "api-0.sock").stat().st_mode & 0o600 == 0o600
    with system.client(key) as client:
        assert client.get("health/live/").status_code == 200
    system.parts["api"].terminate()
    assert system.parts["api"].wait(30) == 0
    assert not list(front.iterdir())
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{system.api_url}/api/v1/health/live/")


def test_without_granian_it_ends_and_what_it_left_is_cleared_by_the_next(system: System) -> None:
    front = system.directory / "var/front"
    (old,) = front.iterdir()
    system.kill("api")
    assert old.exists()
    system.start_front()
    assert not old.exists()
    pid = system.parts["api"].pid
    granian, _nginx = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (worker,) = Path(f"/proc/{granian}/task/{granian}/children").read_text().split()
    os.kill(int(granian), signal.SIGKILL)
    wait_for(lambda: system.parts["api"].poll() is not None, 30, lambda: system.log("api"))
    assert system.parts["api"].returncode == 1
    assert "ended by itself" in system.log("api")
    # Nor does a worker outlive it.
    wait_for(lambda: not Path(f"/proc/{worker}/exe").exists(), 10, lambda: system.log("api"))
