"""The container image's roles, run here without a container, and the wiring of docker/compose.yml."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.db import connection

from apps.notifications import topology
from tests.environment import ROOT
from tests.faults.process import free_port

ENTRYPOINT = ROOT / "docker/entrypoint"
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "notifier"}
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")
SOON = 30
needs_services = pytest.mark.skipif(settings.LOCAL, reason="the local default has no containers")


def environment(**more):
    base, _, _ = os.environ.get("DATABASE_URL", "").rpartition("/")
    own = {"NOTIFIER_BIN": str(Path(sys.executable).parent), "HOST": "127.0.0.1"}
    return {**os.environ, "DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}", **own, **more}


@pytest.fixture
def start(tmp_path):
    """Starts a role; returns its process, whose output is the file `log`."""
    started = []

    def begin(*role, **more):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [ENTRYPOINT, *role], env=environment(**more), cwd=tmp_path, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        process.log = tmp_path / "log"
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def run(*role, **more):
    return subprocess.run(
        [ENTRYPOINT, *role], env=environment(**more), capture_output=True, text=True, check=False, timeout=60
    )


def until(process, ready):
    ends = time.monotonic() + SOON
    while not ready():
        assert process.poll() is None, process.log.read_text()
        assert time.monotonic() < ends, process.log.read_text()
        time.sleep(0.05)


def stop(process):
    """The exit code after SIGTERM to the one process that a container's stop reaches."""
    process.send_signal(signal.SIGTERM)
    return process.wait(SOON)


def health(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health/ready/", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@needs_services
def test_the_api_answers_and_stops(start, transactional_db):
    port = free_port()
    named = {"PORT": str(port), "ALLOWED_HOSTS": "notify.example.com,127.0.0.1"}
    assert run("health", **named).returncode == 1
    process = start("api", **named)
    until(process, lambda: health(port))

    answered = run("health", **named)
    assert answered.returncode == 0, answered.stderr
    assert stop(process) == 0


@needs_services
@pytest.mark.parametrize("lane", ["email", "push", "bulk", "callbacks"])
def test_a_worker_gets_ready_and_stops_in_order(lane, start, transactional_db):
    process = start("worker", lane)
    until(process, lambda: " ready." in process.log.read_text())
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == (min(19, own + 10) if lane == "bulk" else own)
    assert stop(process) == 0


@needs_services
def test_the_tick_runs_and_stops(start, transactional_db):
    from apps.notifications.models import TickLease

    process = start("tick")
    until(process, TickLease.objects.exists)
    assert stop(process) == 0
    assert not TickLease.objects.exists()


@needs_services
def test_bounces_are_read_until_it_is_stopped(start, transactional_db, tmp_path):
    for name in ("new", "cur", "tmp"):
        (tmp_path / "maildir" / name).mkdir(parents=True)
    (tmp_path / "maildir/new/1").write_text("Subject: Hello\n\nNo report.\n")
    process = start("bounces", MAILDIR=str(tmp_path / "maildir"))
    until(process, lambda: not list((tmp_path / "maildir/new").iterdir()))
    assert stop(process) == 0


@needs_services
def test_migrating_twice_is_migrating_once(transactional_db):
    for _ in range(2):
        done = run("migrate")
        assert done.returncode == 0, done.stderr
        assert "No migrations to apply." in done.stdout


def test_a_management_command_gets_its_arguments(db):
    done = run("manage", "replay_dlq", "--limit", "0")
    assert done.returncode == 2
    assert "--limit must be above zero." in done.stderr


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ([], "no role was given."),
        (["wroker"], 'there is no role "wroker".'),
        (["worker"], "a worker needs its lane."),
        (["worker", "sms"], 'there is no worker "sms".'),
        (["manage"], "manage needs a command."),
    ],
)
def test_an_unknown_role_is_refused_in_a_sentence(role, said):
    refused = subprocess.run([ENTRYPOINT, *role], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"entrypoint: {said} The roles are: ")


def test_the_image_gets_what_it_copies_and_nothing_else():
    copied = set()
    for line in (ROOT / "docker/Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert all((ROOT / name).exists() for name in copied)
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied == {line[1:] for line in let_through if line.startswith("!")}
    for script in ("docker/entrypoint", "docker/healthcheck"):
        assert (ROOT / script).stat().st_mode & stat.S_IXOTH


def test_every_image_is_pinned():
    base = re.findall(r"^ARG PYTHON=(\S+)", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
    tags = [
        service["image"].partition(":")[2] for service in SERVICES.values() if service not in OURS.values()
    ]
    assert all(re.match(r"v?\d", tag) for tag in [*base, *tags])


def test_every_lane_has_exactly_one_worker():
    consumed = Counter(queue for service in OURS.values() for queue in queues_of(service))
    assert consumed == Counter(topology.LANES)


def queues_of(service):
    """What the service's own command would consume, asked of the entrypoint itself."""
    if service["command"][0] != "worker":
        return []
    with_echo = ENTRYPOINT.read_text().replace('exec "$@" "$bin/celery"', "echo")
    said = subprocess.run(
        ["sh", "-c", with_echo, str(ENTRYPOINT), *service["command"]],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return re.search(r"--queues=(\S+)", said)[1].split(",")


def test_every_command_is_a_role_of_the_entrypoint():
    roles = re.search(r"^usage='(.*)'$", ENTRYPOINT.read_text(), re.MULTILINE)[1].split(" | ")
    commands = {" ".join(service["command"]) for service in OURS.values()}
    assert commands <= set(roles)
    assert set(roles) - commands == {"manage COMMAND …", "health"}, "every process has its service"


def test_every_variable_is_one_that_somebody_reads():
    read = re.compile(
        r'(?:read|flag|address|secret(?:_list)?|provider_url|retry_policy|address|env\.\w+)\(\s*"([A-Z_]+)"'
    )
    known = set(read.findall((ROOT / "notifier/settings.py").read_text()))
    known |= set(re.findall(r"\$\{([A-Z_]+):-", ENTRYPOINT.read_text()))
    images = {
        "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"},
        "rabbitmq": {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"},
        "mail": {"MP_MAX_MESSAGES"},
    }
    for name, service in SERVICES.items():
        assert set(service.get("environment", {})) <= images.get(name, known), name
    # VAR_DIR is the image's and MAILDIR the mount's, DEBUG is nobody's to set there.
    missing = (
        known - set(OURS["api"]["environment"]) - {"VAR_DIR", "DEBUG", "HOST", "NOTIFIER_BIN", "MAILDIR"}
    )
    assert not missing, "a setting that can't be reached through docker/compose.yml"


def test_every_process_gets_the_same_settings():
    own = {"PORT", "API_WORKERS", "API_THREADS"}
    sets = [
        {name: value for name, value in service["environment"].items() if name not in own}
        for service in OURS.values()
    ]
    assert all(one == sets[0] for one in sets)


def test_secrets_have_no_default():
    secret = re.compile("PASS|SECRET|KEY|URL")
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "demo" in service.get("profiles", []) or not secret.search(name) or value is None:
                continue
            assert not re.search(r"//[^/$]*:[^/$]+@", value), f"{name} holds a literal password"
            for reference in REFERENCE.finditer(value):
                assert not reference["rest"] or reference["kind"] == "?", f"{reference['name']} has a default"
            if not name.endswith("_URL"):
                assert REFERENCE.fullmatch(value), f"{name} is a literal"


def test_a_missing_value_is_named_in_a_sentence():
    required = [
        found for found in REFERENCE.finditer(str(OURS["api"]["environment"])) if found["kind"] == "?"
    ]
    assert len(required) >= 7
    for found in required:
        assert re.fullmatch(rf"Set {found['name']} to .*\.", found["rest"])


def test_services_start_in_order_and_come_back():
    for name, service in SERVICES.items():
        if "demo" in service.get("profiles", []):
            continue
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
        for other, needed in service.get("depends_on", {}).items():
            finished = needed["condition"] == "service_completed_successfully"
            assert finished == (other == "migrate")
            assert finished or SERVICES[other]["healthcheck"]["test"]
    for name in set(OURS) - {"migrate"}:
        assert "migrate" in OURS[name]["depends_on"]


def test_a_worker_has_time_for_the_message_in_its_hands():
    for service in OURS.values():
        if service["command"][0] == "worker":
            minutes = re.fullmatch(r"(\d+)m", service["stop_grace_period"])
            assert int(minutes[1]) * 60 > settings.CLAIM_DEADLINE_SECONDS


def test_only_the_loopback_address_is_published():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def variables(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


@pytest.mark.parametrize("name", ["demo.env", "example.env"])
def test_an_environment_file_sets_what_is_used(name):
    used = {found["name"] for found in REFERENCE.finditer((ROOT / "docker/compose.yml").read_text())}
    used |= set(OURS["api"]["environment"])
    assert set(variables(ROOT / "docker" / name)) <= used


def test_the_demo_starts_with_its_own_values():
    given = variables(ROOT / "docker/demo.env")

    def filled(name, value):
        if value is None:
            return given.get(name)
        return REFERENCE.sub(lambda found: given.get(found["name"]) or found["rest"] or "", str(value))

    values = {name: filled(name, value) for name, value in OURS["api"]["environment"].items()}
    values = {name: value for name, value in values.items() if value is not None}
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    checked = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT, env={**keep, **values}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
