"""The local default as a newcomer meets it: one command, one pasted curl, an email and a push on the page."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from scripts.private_services.process import free_port
from tests.environment import ROOT


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode(errors="replace")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(the folder of its state, the environment of its commands)"""
    directory = tmp_path_factory.mktemp("local")
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return directory, {**keep, "VAR_DIR": str(directory)}


@pytest.fixture(scope="module")
def running(place):
    """(base URL, the printed curl) of a quickstart with an empty state, whose first port is taken."""
    directory, environment = place
    port = free_port()
    other = socket.create_server(("127.0.0.1", port))
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "quickstart", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        ends = time.monotonic() + 60
        while not (curl := re.search(r"^curl .*$", (directory / "log").read_text(), re.MULTILINE)):
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.1)
        assert f"Port {port} is taken" in (directory / "log").read_text()
        yield json.loads((directory / "demo.json").read_text())["url"], curl[0]
    finally:
        other.close()
        process.terminate()
        process.wait(10)
    output = (directory / "log").read_text()
    assert "Traceback" not in output
    assert "No hostname was supplied" not in output


def test_the_printed_curl_delivers_by_every_channel(running):
    base, curl = running
    answer = json.loads(subprocess.run(["bash", "-c", curl], capture_output=True, check=True).stdout)
    assert answer["success"], answer

    ends = time.monotonic() + 15
    while len(items := json.loads(get(f"{base}/inbox.json"))["items"]) < 3:
        assert time.monotonic() < ends, items
        time.sleep(0.1)
    kinds = {item["kind"]: item for item in items}
    assert kinds["email"]["subject"] == "Welcome aboard, Ada"
    assert "<h1" in kinds["email"]["html"]
    assert kinds["push"]["subject"] == "Welcome, Ada"
    assert kinds["sms"]["text"].startswith("Welcome, Ada. Your account is ready")
    assert kinds["sms"]["note"] == "1 × GSM-7"
    assert {item["notification_id"] for item in items} == {answer["data"]["id"]}
    line = f"{base}/inbox/{answer['data']['id']}/timeline.json"
    # What is caught is recorded a moment later.
    while len(events := json.loads(get(line))["events"]) < 4:
        assert time.monotonic() < ends, events
        time.sleep(0.1)
    assert sorted(event["kind"] for event in events) == ["accepted", "sent", "sent", "sent"]


@pytest.mark.parametrize("path", ["/", "/api/docs/", "/api/schema/", "/admin/login/", "/api/v1/health/"])
def test_its_pages_open(path, running):
    assert get(f"{running[0]}{path}")


def test_health_is_ok_with_every_part(running):
    assert json.loads(get(f"{running[0]}/api/v1/health/ready/"))["data"] == {
        "status": "ok",
        "database": "ok",
        "broker": "ok",
        "cache": "ok",
        "loops": "ok",
    }


def test_the_api_docs_load_nothing_from_elsewhere(running):
    page = get(f"{running[0]}/api/docs/")
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert not [source for source in sources if source.startswith(("http:", "https:", "//"))]
    for source in sources:
        assert get(running[0] + source) is not None


def test_a_failure_can_be_seen_found_and_replayed(running, place):
    """The README's tour: an address that refuses once, its dead letter, and the replay that arrives."""
    base, curl = running
    key = re.search(r"Api-Key ([^']+)", curl)[1]

    def call(path, body=None):
        request = urllib.request.Request(
            f"{base}/api/v1/{path}",
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Api-Key {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())["data"]

    def until(name, status):
        ends = time.monotonic() + 15
        while (shown := call(f"notifications/{name}/"))["status"] != status:
            assert time.monotonic() < ends, shown
            time.sleep(0.1)

    def unsent():
        return {
            row["request_id"]: (row["status"], row["reason"])
            for row in json.loads(get(f"{base}/inbox.json"))["unsent"]
        }

    def replay_by_the_api():
        assert call("dead-letters/replay/", {"request_id": "broken-1"})["replayed"] == 1

    def replay_by_the_command():
        """A process of its own, whose in-memory broker no worker reads."""
        subprocess.run(
            [sys.executable, "manage.py", "replay_dlq", "--request-id", "broken-2"],
            cwd=ROOT, env=place[1], check=True, timeout=60,
        )  # fmt: skip

    for name, replay in (("broken-1", replay_by_the_api), ("broken-2", replay_by_the_command)):
        body = {
            "recipient": {"email": f"fail-once-{name}@example.com"}, "channels": ["email"],
            "template_code": "welcome", "variables": {"name": "Ada"}, "request_id": name,
        }  # fmt: skip
        call("notifications/", body)
        until(name, "failed")
        assert unsent()[name] == ("failed", "policy_refused")
        (dead_letter,) = call(f"dead-letters/?request_id={name}")
        assert dead_letter["code"] == "policy_refused"
        replay()
        until(name, "sent")
        assert name not in unsent()
        assert [event["kind"] for event in call(f"notifications/{name}/events/")] == [
            "accepted",
            "failed",
            "replayed",
            "sent",
        ]
    items = json.loads(get(f"{base}/inbox.json"))["items"]
    assert {"broken-1", "broken-2"} <= {item["request_id"] for item in items}


def test_the_doctor_finds_nothing_amiss(running, place):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT, env={**place[1], "RATE_LIMIT_KEY": "321"}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    findings = json.loads(done.stdout)["findings"]
    assert not [finding for finding in findings if finding["level"] not in ("ok", "skipped")]
    sentences = {finding["check"]: finding["sentence"] for finding in findings}
    assert "`make run` starts its own mail catcher" in sentences["email"]
    assert "`make run` starts its own stand-in for FCM" in sentences["push"]
    assert "RATE_LIMIT_KEY is 321." in [finding["sentence"] for finding in findings]
