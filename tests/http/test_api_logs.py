"""The request log: one JSON object a line, without addresses, tokens or keys."""

import io
import json
import logging
import time

import pytest
import structlog
from rest_framework.test import APIClient

from notifier.configuration.logging import logging_config, mask
from tests.conftest import post
from tests.support.factories import key_for

TOKEN = "fMk3:APA91bH" + "x7Yz_-9q" * 18
ADDRESSES = ["ada@example.com", "o'brien+news@mail.example.com", "a.b_c%d-e@example.co.uk"]


@pytest.fixture
def written():
    """`read()` returns the lines that the production handler has written."""
    config = logging_config(console=False)
    configurator = logging.config.DictConfigurator(config)
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(configurator.configure_formatter(config["formatters"]["lines"]))
    root, requests = logging.getLogger(), logging.getLogger("django_structlog")
    root.addHandler(handler)
    # The local default's console leaves requests out.
    levels = [(logger, logger.level) for logger in (root, requests)]
    for logger, _ in levels:
        logger.setLevel(logging.INFO)

    def read():
        text = handler.stream.getvalue()
        return text, [json.loads(line) for line in text.splitlines()]

    yield read
    root.removeHandler(handler)
    for logger, level in levels:
        logger.setLevel(level)


def test_a_request_is_one_line(api, organization, written):
    api.get("/api/v1/users/?page=1", headers={"X-Correlation-ID": "order-7"})

    _, lines = written()

    (line,) = [line for line in lines if line["event"] == "request_finished"]
    assert (line["request"], line["code"], line["level"]) == ("GET /api/v1/users/?page=1", 200, "info")
    assert line["correlation_id"] == "order-7"
    assert line["timestamp"].endswith("Z")


def test_no_address_token_or_key_is_written(organization, user, version, written):
    plain = key_for(organization)
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {plain}")
    for address in ADDRESSES:
        client.get("/api/v1/users/", {"email": address})
        client.post("/api/v1/users/", {"email": address})
        client.post("/api/v1/users/", {"email": address})
        post(client, recipient={"email": address, "device_token": TOKEN})
        client.post("/api/v1/auth/login/", {"email": address, "password": "correct horse battery"})
        client.get(f"/api/v1/nothing/{address}/?key={plain}", headers={"User-Agent": f"x {address}"})
    client.post(f"/api/v1/users/{user.pk}/devices/", {"token": TOKEN, "platform": "ios"})
    client.get(f"/api/v1/{TOKEN}/?token={TOKEN}", headers={"X-Correlation-ID": plain})

    text, lines = written()

    assert len(lines) >= 20
    for secret in (*ADDRESSES, *(address.replace("@", "%40") for address in ADDRESSES), TOKEN, plain):
        assert secret not in text
    assert plain.partition(".")[2] not in text
    assert "horse" not in text
    assert "a***%40example.com" in text


def test_a_traceback_is_masked_too(api, organization, written, monkeypatch):
    def broken(*_):
        raise RuntimeError(f"no room for {ADDRESSES[0]} and {TOKEN} of nk_live_0123456789ab.s3cret-Words_x")

    api.raise_request_exception = False
    monkeypatch.setattr("apps.users.api.views.users.UserRows.get_queryset", broken)

    assert api.get("/api/v1/users/").status_code == 500

    text, lines = written()
    failed = [line for line in lines if "RuntimeError" in str(line)]
    assert failed
    assert {line["level"] for line in failed} == {"error"}
    assert "a***@example.com" in text
    assert "Traceback" in text
    assert ADDRESSES[0] not in text
    assert TOKEN not in text
    assert "s3cret" not in text


def test_a_line_stays_one_line(written):
    structlog.get_logger("tests").info("odd\nevent", value="a\r\n{}", inner={"to": [ADDRESSES[0]], "n": 1})
    logging.getLogger("tests").warning("sent to %s\n%s", ADDRESSES[1], TOKEN)

    _, (first, second) = written()

    assert first["event"] == "odd\nevent"
    assert first["inner"] == {"to": ["a***@example.com"], "n": 1}
    assert ADDRESSES[1] not in second["event"]
    assert TOKEN not in second["event"]


def test_ids_stay_readable():
    for text in ("01a1fdba-2bd5-76fe-8ff1-8900852d0757", "order-7", "GET /api/v1/users/", "1.2.3.4"):
        assert mask(text) == text


@pytest.mark.parametrize("odd", ["a@b.com,c%40d.org", "a@b%40c@d", "@a%40b", "x%40%40y@z", "@"])
def test_an_address_is_masked_whatever_stands_beside_it(odd):
    assert all(
        part not in mask(odd.replace("a", "alice").replace("x", "xavier")) for part in ("alice", "xavier")
    )


def test_a_long_url_costs_no_more_than_it_is_long(written):
    client = APIClient()
    took = []
    for length in (7_500, 15_000):
        began = time.thread_time()
        client.get(f"/api/v1/health/live/?{'a' * length}&@a", headers={"User-Agent": f"{'b' * length} @b"})
        took.append(time.thread_time() - began)

    _, lines = written()

    assert len([line for line in lines if line["event"] == "request_finished"]) == 2
    assert max(took) < 0.5


def test_no_caller_makes_a_line_as_long_as_they_like(written):
    APIClient().get(f"/api/v1/health/live/?{'a/' * 7_500}", headers={"User-Agent": "b/" * 7_500})

    text, lines = written()

    (line,) = [line for line in lines if line["event"] == "request_finished"]
    assert line["request"].startswith("GET /api/v1/health/live/?a/a/")
    assert len(text) < 6_000
