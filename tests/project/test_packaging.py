"""The container image's roles, run here without a container, and the wiring of docker/compose.yml."""

import os
import re
import shutil
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

from apps.notifications.queue import broker
from notifier.channels.registry import CODES
from notifier.configuration.environment import MAY_BE_FILES
from scripts.private_services.process import free_port
from tests.environment import ROOT

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


needs_nginx = pytest.mark.skipif(
    not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
    reason="nginx was not found: install the package nginx.",
)


@needs_services
@needs_nginx
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
    ("role", "message"),
    [
        ([], "no role was given."),
        (["wroker"], 'there is no role "wroker".'),
        (["worker"], "a worker needs its lane."),
        (["worker", "fax"], 'there is no worker "fax".'),
        (["manage"], "manage needs a command."),
    ],
)
def test_an_unknown_role_is_refused_in_a_sentence(role, message):
    refused = subprocess.run([ENTRYPOINT, *role], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"entrypoint: {message} The roles are: ")


def test_the_image_gets_what_it_copies_and_nothing_else():
    copied = set()
    for line in (ROOT / "docker/Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert all((ROOT / name).exists() for name in copied)
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied == {line[1:] for line in let_through if line.startswith("!")}
    for script in ("docker/entrypoint", "docker/api", "docker/healthcheck", "docker/make-secrets"):
        assert (ROOT / script).stat().st_mode & stat.S_IXOTH


def test_every_image_is_pinned():
    base = re.findall(r"^ARG PYTHON=(\S+)", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
    tags = [
        service["image"].partition(":")[2] for service in SERVICES.values() if service not in OURS.values()
    ]
    assert all(re.match(r"v?\d", tag) for tag in [*base, *tags])


def test_every_lane_has_exactly_one_worker():
    consumed = Counter(queue for service in OURS.values() for queue in queues_of(service))
    assert consumed == Counter(broker.LANES)


def queues_of(service):
    """What the service's own command would consume, asked of the entrypoint itself."""
    if service["command"][0] != "worker":
        return []
    with_echo = ENTRYPOINT.read_text().replace('exec "$@" "$bin/celery"', "echo")
    command = subprocess.run(
        ["sh", "-c", with_echo, str(ENTRYPOINT), *service["command"]],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return re.search(r"--queues=(\S+)", command)[1].split(",")


def test_every_command_is_a_role_of_the_entrypoint():
    roles = re.search(r"^usage='(.*)'$", ENTRYPOINT.read_text(), re.MULTILINE)[1].split(" | ")
    commands = {" ".join(service["command"]) for service in OURS.values()}
    assert commands <= set(roles)
    assert set(roles) - commands == {"manage COMMAND …", "health"}, "every process has its service"


def test_every_variable_is_one_that_somebody_reads():
    read = re.compile(r'(?:read|flag|address|secret(?:_list)?|address|env\.\w+)\(\s*"([A-Z_]+)"')
    known = set(read.findall((ROOT / "notifier/settings.py").read_text()))
    known |= {f"{code.upper()}_{name}" for code in CODES for name in ("PROVIDER_URL", "RETRY_POLICY")}
    known |= set(re.findall(r"\$\{([A-Z_]+):-", ENTRYPOINT.read_text()))
    known |= set(re.findall(r'(?:number|environ\.get)\("([A-Z_]+)"', (ROOT / "docker/api").read_text()))
    files = {f"{name}_FILE" for name in MAY_BE_FILES}
    images = {
        "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"},
        "mail": {"MP_MAX_MESSAGES"},
    }
    for name, service in SERVICES.items():
        assert set(service.get("environment", {})) <= images.get(name, known | files), name
    # VAR_DIR is the image's and MAILDIR the mount's, DEBUG and the shell's are nobody's to set there.
    own = {"VAR_DIR", "DEBUG", "HOST", "NOTIFIER_BIN", "MAILDIR", "NGINX", "PATH"}
    set_there = {name.removesuffix("_FILE") for name in OURS["api"]["environment"]}
    assert not known - set_there - own, "a setting that can't be reached through docker/compose.yml"


def test_every_process_gets_the_same_settings():
    own = {"PORT", "API_WORKERS", "API_THREADS", "CALLER_CONNECTIONS"}
    sets = [
        {name: value for name, value in service["environment"].items() if name not in own}
        for service in OURS.values()
    ]
    assert all(one == sets[0] for one in sets)


def test_secrets_are_files():
    assert set(COMPOSE["secrets"]) == {
        "rabbitmq_conf", "postgres_password", *(name.lower() for name in MAY_BE_FILES if name != "REDIS_URL"),
    }  # fmt: skip
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"].startswith("${SECRETS_DIR:-./secrets}/"), f"{name} comes out of the environment"
    for name, service in SERVICES.items():
        given = {one["source"] if isinstance(one, dict) else one for one in service.get("secrets", [])}
        mounted = {
            Path(value).name
            for key, value in service.get("environment", {}).items()
            if key.endswith("_FILE") and value == f"/run/secrets/{Path(value).name}"
        }
        assert mounted == given - {"rabbitmq_conf"}, name
        for key, value in service.get("environment", {}).items():
            assert not re.search(r"//[^/$]*:[^/$]+@", str(value)), f"{key} holds a literal password"
            assert key.endswith("_FILE") or not re.search(
                "PASS|SECRET|TOKEN|_KEY$|_KEYS$", key.replace("LIMIT_KEY", "").replace("QUOTA_KEYS", "")
            )


def make_secrets(folder, *arguments, **existing):
    """docker/make-secrets in a copy of docker/, beside a docker/.env of `kept`; what it wrote."""
    (folder / "docker").mkdir(exist_ok=True)
    shutil.copy(ROOT / "docker/make-secrets", folder / "docker/make-secrets")
    (folder / "docker/.env").write_text("".join(f"{name}='{value}'\n" for name, value in existing.items()))
    subprocess.run([folder / "docker/make-secrets", *arguments], check=True, capture_output=True)
    made = folder / "docker" / ("demo-secrets" if arguments else "secrets")
    assert made.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in made.iterdir())
    return {file.name: file.read_text() for file in made.iterdir()}


def test_every_secret_is_made_once(tmp_path):
    made = make_secrets(tmp_path)
    assert set(made) == {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert not [name for name in made if len(made[name]) < 32 and not name.endswith("_provider_url")]
    # Those of push and SMS are empty.
    assert len(set(made.values())) == len(made) - 2
    assert made["postgres_password"].strip() in made["database_url"]
    assert made["broker_url"].split(":")[2].partition("@")[0] in made["rabbitmq.conf"]
    assert make_secrets(tmp_path) == made


def test_secrets_that_the_environment_file_had_are_kept(tmp_path):
    made = make_secrets(
        tmp_path,
        HASH_KEY="h" * 40,
        POSTGRES_PASSWORD="old",
        EMAIL_PROVIDER_URL="smtp://a:b$c@relay:587/?tls=tls",
    )
    assert made["hash_key"] == "h" * 40 + "\n"
    assert made["database_url"] == "postgres://notifier:old@postgres:5432/notifier\n"
    assert made["email_provider_url"] == "smtp://a:b$c@relay:587/?tls=tls\n"


def test_a_missing_value_is_named_in_a_sentence():
    required = [
        found for found in REFERENCE.finditer(str(OURS["api"]["environment"])) if found["kind"] == "?"
    ]
    assert {found["name"] for found in required} == {"ALLOWED_HOSTS", "EMAIL_FROM"}
    for found in required:
        assert re.fullmatch(rf"Set {found['name']} to .*\.", found["rest"])


def test_every_service_is_hardened():
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "cap_add" not in service, name
        # Our image says so by itself.
        assert service in OURS.values() or service["user"] not in ("root", "0"), name


def test_every_process_can_write_where_it_does():
    for service in OURS.values():
        places = {mount.split(":")[1] for mount in service["volumes"] if "ro" not in mount.split(":")[2:]}
        assert {"/var/lib/notifier/metrics", "/var/lib/notifier/journal"} <= places
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108
    assert "front:/var/lib/notifier/front" in OURS["api"]["volumes"]
    made = (ROOT / "docker/Dockerfile").read_text()
    assert all(f"/var/lib/notifier/{name}" in made for name in ("metrics", "journal", "front"))


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


def test_a_worker_has_time_for_the_messages_that_it_is_sending():
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


def test_the_demo_starts_with_its_own_values(tmp_path):
    make_secrets(tmp_path, "demo")
    given = variables(ROOT / "docker/demo.env")

    def filled(name, value):
        if value is None:
            return given.get(name)
        return REFERENCE.sub(lambda found: given.get(found["name"]) or found["rest"] or "", str(value))

    values = {name: filled(name, value) for name, value in OURS["api"]["environment"].items()}
    values = {
        name: value.replace("/run/secrets", str(tmp_path / "docker/demo-secrets"))
        for name, value in values.items()
        if value is not None
    }
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    checked = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT, env={**keep, **values}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
