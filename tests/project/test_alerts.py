"""Alarms and dashboard: they query existing metrics, and each alarm links to its instructions."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from django.test import Client

from apps.notifications.queue.broker import Broker
from apps.notifications.scheduler.gauges import Gauges
from tests.environment import ROOT

PROMETHEUS = ROOT / "docker/prometheus"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((ROOT / "docker/grafana/notifier.json").read_text())
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


@pytest.fixture
def exposed(transactional_db, settings):
    """The names of the samples on the page, once a tick has looked."""
    settings.METRICS_DIR, settings.METRICS_TOKEN = None, "t" * 32
    broker = Broker()
    looks = Gauges(broker)
    looks.refresh_if_due()
    try:
        page = Client().get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})
        types = re.findall(r"^# TYPE (\S+) (\S+)$", page.content.decode(), re.MULTILINE)
    finally:
        looks.forget()
        broker.close()
    return {name + suffix for name, kind in types for suffix in SUFFIXES.get(kind, ("",))}


def test_every_number_that_is_asked_for_is_on_the_page(exposed):
    queried = {name for expression in EXPRESSIONS for name in re.findall(r"notifier_\w+", expression)}
    assert queried
    assert queried <= exposed


def test_every_number_is_on_the_dashboard(exposed):
    """Every metric is on the dashboard, but for the time of the last tick, which is for an alarm."""
    queried = " ".join(EXPRESSIONS)
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed}
    assert {name for name in families if name not in queried} == set()


def test_every_alarm_says_what_to_do():
    text = (ROOT / "docs/operations.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for rule in RULES:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert anchor in anchors, rule["alert"]
        assert f"`{rule['alert']}`" in text
        assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.fixture(scope="module")
def tool():
    """promtool: the installed one, else the one of Debian's package, unpacked here and not installed."""
    unpacked = ROOT / "var/promtool"
    downloaded = unpacked / "usr/bin/promtool"
    if (installed := shutil.which("promtool")) or downloaded.exists():
        return installed or str(downloaded)
    if shutil.which("apt-get") is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    unpacked.mkdir(parents=True, exist_ok=True)
    commands = (["apt-get", "download", "prometheus"], ["sh", "-c", "dpkg -x prometheus_*.deb ."])
    for command in commands:
        done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            pytest.skip(
                f"promtool is not installed, and its package can't be had: {done.stderr.strip()[-200:]}"
            )
    return str(downloaded)


@pytest.mark.parametrize(
    "arguments", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]], ids=" ".join
)
def test_prometheus_own_tool_agrees(arguments, tool):
    result = subprocess.run([tool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alarm_is_raised_and_not_raised_in_a_test():
    tested = [
        (case["alertname"], bool(case["exp_alerts"]))
        for test in yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(tested) == {(rule["alert"], raised) for rule in RULES for raised in (True, False)}


def test_the_dashboard_can_be_read():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(places) == len(set(places))
