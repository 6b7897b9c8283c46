"""An invalid setting stops the start with one sentence that names it."""

import os
import subprocess
import sys

import pytest

from tests.environment import ROOT

GOOD = {
    "DATABASE_URL": "postgres://postgres@127.0.0.1/test",
    "BROKER_URL": "amqp://guest:guest@127.0.0.1//",
    "SECRET_KEY": "s" * 32,
    "JWT_SIGNING_KEY": "j" * 32,
    "HASH_KEY": "h" * 32,
    "ENCRYPTION_KEYS": "e" * 32,
}


def start(**environment):
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**keep, **GOOD, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_good_set_starts():
    assert start().returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://nowhere"),
        ("BROKER_URL", "redis://nowhere"),
        ("BROKER_URL", "memory://"),
        ("REDIS_URL", "http://nowhere"),
        ("SECRET_KEY", "short"),
        ("JWT_SIGNING_KEY", ""),
        ("HASH_KEY", "short"),
        ("ENCRYPTION_KEYS", "short"),
        ("ENCRYPTION_KEYS", "k" * 40 + ",short"),
        ("DEBUG", "perhaps"),
        ("PUBLIC_URL", "notify.example.com"),
        ("PUBLIC_URL", "http://notify.example.com"),
        ("PUBLIC_URL", "https://notify.example.com/?to=all"),
        ("NUM_PROXIES", "-1"),
        ("RATE_LIMIT_ADDRESS", "0"),
        ("RATE_LIMIT_KEY", "many"),
        ("RATE_LIMIT_PERSON", "-1"),
        ("RATE_LIMIT_ITEMS", "999"),
        ("DATABASE_POOL_SIZE", "many"),
        ("WORKER_THREADS", "0"),
        ("EMAIL_FROM", "nobody"),
        ("EMAIL_FROM", "Acme <>"),
        ("EMAIL_FROM", "a@example.com, b@example.com"),
        ("EMAIL_FROM", "Kim <a@example.com>, Lee <b@example.com>"),
        ("EMAIL_FROM", "Acme <a@exa_mple.com>"),
        ("EMAIL_FROM", "Acme <a@xn--a.example>"),
        ("EMAIL_FROM", "Acme <a@[::1]>"),
        ("EMAIL_FROM", "Acme\u2028 <a@example.com>"),
        ("BOUNCE_ADDRESS", "bounces"),
        ("BOUNCE_ADDRESS", "bounces@[::1]"),
        ("BOUNCE_ADDRESS", '"bou nces"@example.com'),
        ("BOUNCE_ADDRESS", "bouncés@example.com"),
        ("BOUNCE_ADDRESS", "bounces+tag@example.com"),
        ("BOUNCE_ADDRESS", "a-local-part-of-20-chars@example.com"),
        ("EVENTS_EXCHANGE", "perhaps"),
        ("EMAIL_RETRY_POLICY", "often"),
        ("PUSH_RETRY_POLICY", "3,0,2,60"),
        ("EMAIL_PROVIDER_URL", "http://relay"),
        ("PUSH_PROVIDER_URL", "fcm://"),
        ("EMAIL_PROVIDER_URL", "sandbox://host"),
        ("METRICS_TOKEN", "short"),
        ("METRICS_LISTEN", "9464"),
        ("METRICS_LISTEN", "127.0.0.1:99999"),
        ("METRICS_LISTEN", "::1:9464"),
    ],
)
def test_a_bad_value_is_named(name, value):
    stopped = start(**{name: value})
    assert stopped.returncode != 0
    lines = stopped.stderr.strip().splitlines()
    assert len(lines) == 1, stopped.stderr
    assert lines[0].startswith("Notifier can't start:")
    assert name in lines[0]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("Acme, Inc. <a@example.com>", '"Acme, Inc." <a@example.com>'),
        ('"Acme, Inc." <a@example.com>', '"Acme, Inc." <a@example.com>'),
        ("[Prod] Alerts <a@example.com>", '"[Prod] Alerts" <a@example.com>'),
        ("Büro <a@bücher.example>", '"Büro" <a@xn--bcher-kva.example>'),
        ("=?utf-8?q?B=C3=BCro?= <a@example.com>", '"Büro" <a@example.com>'),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
    ],
)
def test_any_sender_is_read(given, read):
    assert shown("EMAIL_FROM", EMAIL_FROM=given) == read


def test_a_bounce_address_may_have_any_domain():
    assert shown("BOUNCE_ADDRESS", BOUNCE_ADDRESS="Back@bücher.example") == "Back@xn--bcher-kva.example"


def test_a_secret_is_not_repeated_in_the_sentence():
    assert "hunter2" not in start(SECRET_KEY="hunter2").stderr
    assert "hunter2" not in start(METRICS_TOKEN="hunter2").stderr
    assert "hunter2" not in start(DATABASE_URL="mysql://me:hunter2@host/name").stderr
    assert "hunter2" not in start(EMAIL_PROVIDER_URL="smtp://me:hunter2@relay:port").stderr


def shown(name, **given):
    """A setting as a process that starts with these variables has it."""
    keep = {one: os.environ[one] for one in ("PATH", "HOME") if one in os.environ}
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", f"from notifier import settings; print(settings.{name})"],
        cwd=ROOT,
        env={**keep, **GOOD, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("given", "allowed"), [({}, "False"), ({"ALLOW_REGISTRATION": "true"}, "True")])
def test_accounts_are_ones_own_to_make_only_where_that_is_said(given, allowed):
    assert shown("ALLOW_REGISTRATION", **given) == allowed


SECRETS = ("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "JWT_SIGNING_KEY", "HASH_KEY", "ENCRYPTION_KEYS")


def test_secrets_may_be_files(tmp_path):
    for name in SECRETS:
        (tmp_path / name).write_text(f"{GOOD[name]}\n")
    (tmp_path / "none").write_text("")
    files = {f"{name}_FILE": str(tmp_path / name) for name in SECRETS}
    optional = ("REDIS_URL", "EMAIL_PROVIDER_URL", "PUSH_PROVIDER_URL", "METRICS_TOKEN")
    files |= {f"{name}_FILE": str(tmp_path / "none") for name in optional}
    assert start(**dict.fromkeys(SECRETS, ""), **files).returncode == 0


def test_a_file_s_value_is_checked_as_any(tmp_path):
    (tmp_path / "key").write_text("short")
    refused = start(HASH_KEY="", HASH_KEY_FILE=str(tmp_path / "key"))
    assert refused.returncode != 0
    assert "HASH_KEY must be a random string" in refused.stderr
    assert "short" not in refused.stderr


def test_a_value_and_a_file_are_one_too_many(tmp_path):
    (tmp_path / "key").write_text("k" * 40)
    refused = start(HASH_KEY_FILE=str(tmp_path / "key"))
    assert refused.returncode != 0
    assert "HASH_KEY and HASH_KEY_FILE are both set; set one of them." in refused.stderr


def test_a_file_that_is_missing_is_named(tmp_path):
    refused = start(HASH_KEY="", HASH_KEY_FILE=str(tmp_path / "nothing"))
    assert refused.returncode != 0
    assert f"HASH_KEY_FILE can't be read at {tmp_path}/nothing: No such file or directory." in refused.stderr


def test_all_that_the_doctor_hides_may_be_files():
    from apps.admin.doctor.secrets import is_secret
    from notifier import settings
    from notifier.configuration.environment import MAY_BE_FILES

    assert {name for name in settings.ENVIRONMENT_VARIABLES if is_secret(name)} <= set(MAY_BE_FILES)
    assert {name for name in settings.ENVIRONMENT_VARIABLES if name.endswith("_URL")} - set(MAY_BE_FILES) == {
        "PUBLIC_URL"
    }
