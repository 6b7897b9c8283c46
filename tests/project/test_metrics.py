"""The Prometheus metrics, counted through the API and real deliveries."""

import os
import resource
import subprocess
import sys
import threading
import urllib.request

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import DeadLetter, ProviderState, from_now
from apps.notifications.observability.exposition import take_slot
from apps.notifications.observability.metrics import LOOKED, OUTCOMES, REGISTRY
from apps.notifications.scheduler import gauges, loop
from scripts.private_services.process import free_port
from tests.conftest import client_for, post, settled, wait_until
from tests.environment import ROOT
from tests.support.smtp_server import ScriptedSmtpServer
from tests.support.webhook_calls import put
from tests.support.webhook_receiver import Receiver

LANE = {"channel": "email", "lane": "email"}
TOKEN = "a-token-for-the-tests-of-metrics-alone"


@pytest.fixture(autouse=True)
def metrics_settings(settings):
    settings.METRICS_TOKEN = TOKEN
    settings.METRICS_DIR = None


def page(**headers):
    headers.setdefault("Authorization", f"Bearer {TOKEN}")
    return Client().get("/metrics", headers=headers)


def samples(text=None):
    """Each sample's value by name and labels; one that isn't there is 0."""
    families = list(text_string_to_metric_families((text or page().content).decode()))
    found = {(one.name, frozenset(one.labels.items())): one.value for f in families for one in f.samples}
    assert len(found) == sum(len(family.samples) for family in families), "a series is there twice"
    return lambda name, **labels: found.get((name, frozenset(labels.items())), 0.0)


@pytest.fixture
def grown():
    """How much a sample has increased since the test began."""
    before = samples()
    return lambda name, **labels: samples()(name, **labels) - before(name, **labels)


@pytest.mark.usefixtures("worker", "version")
class TestCounts:
    def test_a_sent_message(self, api, user, smtp, grown):
        post(api, user, channels=["email"])
        settled("sent")
        sent = {"channel": "email", "provider": "smtp", "result": "sent", "code": "accepted"}
        wait_until(lambda: grown("notifier_delivery_outcomes_total", **sent) == 1)
        assert grown("notifier_deliveries_accepted_total", **LANE) == 1
        assert grown("notifier_delivery_seconds_count", **LANE) == 1
        assert 0 < grown("notifier_delivery_seconds_sum", **LANE) < 60
        assert grown("notifier_provider_send_seconds_count", provider="smtp") == 1
        route_labels = {"method": "POST", "route": "api/v1/notifications/"}
        assert grown("notifier_http_requests_total", status="202", **route_labels) == 1
        assert grown("notifier_http_request_seconds_count", **route_labels) == 1

    def test_bulk_is_a_lane_of_its_own(self, api, user, smtp, grown):
        post(api, user, channels=["email"], priority=1)
        settled("sent")
        wait_until(lambda: grown("notifier_delivery_seconds_count", channel="email", lane="email.bulk") == 1)
        assert grown("notifier_deliveries_accepted_total", channel="email", lane="email.bulk") == 1

    def test_a_retry(self, api, user, smtp, grown):
        smtp.scripts["rcpt"] = "450 4.2.1 try later"
        post(api, user, channels=["email"])
        (row,) = wait_until(lambda: EmailLog.objects.filter(status="queued", attempts=1))
        retried = {"channel": "email", "provider": "smtp", "result": "retry", "code": row.error_code}
        wait_until(lambda: grown("notifier_delivery_outcomes_total", **retried) == 1)
        assert grown("notifier_delivery_retries_total", channel="email", code=row.error_code) == 1
        assert grown("notifier_delivery_seconds_count", **LANE) == 0

    def test_a_provider_that_passed_it_on(self, api, user, settings, grown):
        with ScriptedSmtpServer() as first, ScriptedSmtpServer() as second:
            settings.EMAIL_PROVIDER_URL = f"{first.url}?tls=none&name=one {second.url}?tls=none&name=two"
            first.scripts["greeting"] = "421 4.3.2 closing down"
            post(api, user, channels=["email"])
            settled("sent")
        sent = {"channel": "email", "provider": "two", "result": "sent", "code": "accepted"}
        wait_until(lambda: grown("notifier_delivery_outcomes_total", **sent) == 1)
        passed = {"channel": "email", "provider": "one", "result": "passed_on", "code": "service_closing"}
        assert grown("notifier_delivery_outcomes_total", **passed) == 1

    def test_nothing_is_counted_for_what_was_refused(self, api, user, grown):
        assert post(api, user, variables={}).status_code == 400
        assert grown("notifier_deliveries_accepted_total", **LANE) == 0

    def test_a_callback(self, api, user, settings, smtp, grown):
        settings.CALLBACK_ALLOWED_HOSTS = ["127.0.0.1"]
        with Receiver() as hooks:
            put(api, hooks.url)
            assert api.post("/api/v1/webhook-endpoints/test/").status_code == 202
            wait_until(lambda: api.get("/api/v1/webhook-endpoints/deliveries/").json()["data"])
        wait_until(lambda: grown("notifier_callback_attempts_total", result="taken"))
        assert grown("notifier_callback_attempts_total", result="taken") == 1


class TestRequests:
    def test_invented_paths_and_methods_are_one_series(self, db, grown):
        before = len(list(REGISTRY.collect()))
        for path in ("/api/v1/one/", "/two", "/three?four"):
            assert Client().get(path).status_code == 404
        assert Client().generic("BREW", "/coffee").status_code == 404
        assert grown("notifier_http_requests_total", method="GET", route="other", status="404") == 3
        assert grown("notifier_http_requests_total", method="other", route="other", status="404") == 1
        assert len(list(REGISTRY.collect())) == before

    def test_an_id_is_no_label(self, api, user, grown):
        assert api.get(f"/api/v1/users/{user.pk}/").status_code == 200
        assert str(user.pk) not in page().content.decode()
        route = {"method": "GET", "route": "api/v1/users/<uuid:pk>/"}
        assert grown("notifier_http_requests_total", status="200", **route) == 1

    def test_the_admin_is_one_series(self, db, grown):
        for path in ("/admin/", "/admin/notifications/notification/"):
            assert Client().get(path).status_code == 302
        assert grown("notifier_http_requests_total", method="GET", route="admin/", status="302") == 2

    def test_who_is_refused_for_the_number_of_requests(self, organization, settings, grown):
        settings.RATE_LIMIT_KEY = settings.RATE_LIMIT_ADDRESS = 1
        api = client_for(organization)
        assert [api.get("/api/v1/users/").status_code for _ in range(3)] == [200, 429, 429]
        assert grown("notifier_rate_limited_requests_total", caller="key") == 2
        assert [Client().get("/api/v1/users/").status_code for _ in range(2)] == [401, 429]
        assert grown("notifier_rate_limited_requests_total", caller="address") == 1


class TestAccess:
    @pytest.mark.parametrize(
        "given", ["", "Bearer", "Bearer wrong", TOKEN, f"Bearer {TOKEN}x", "Bearer \u00e9"]
    )
    def test_a_wrong_token_is_refused(self, given):
        refused = page(Authorization=given)
        assert refused.status_code == 401
        assert refused["WWW-Authenticate"] == "Bearer"
        assert b"notifier_" not in refused.content

    def test_without_a_token_nobody_is_let_in(self, settings):
        settings.METRICS_TOKEN, settings.LOCAL = "", False
        refused = page(Authorization="Bearer ")
        assert refused.status_code == 403
        assert b"notifier_" not in refused.content

    def test_the_local_default_shows_them_to_this_machine_alone(self, settings):
        settings.METRICS_TOKEN, settings.LOCAL = "", True
        assert page().status_code == 200
        assert page(X_Forwarded_For="203.0.113.9").status_code == 403
        assert page(Forwarded="for=203.0.113.9").status_code == 403
        assert Client(REMOTE_ADDR="203.0.113.9").get("/metrics").status_code == 403


class TestLooks:
    @pytest.fixture
    def look(self, transactional_db, settings):
        """What the page says once a tick has looked."""
        settings.EMAIL_PROVIDER_URL = "smtp://relay.test?tls=none"
        settings.PUSH_PROVIDER_URL = ""
        stop = threading.Event()
        thread = threading.Thread(target=loop.run, args=(stop,))

        def begin():
            thread.start()
            wait_until(lambda: LOOKED.families)
            return samples()

        yield begin
        stop.set()
        if thread.ident is not None:
            thread.join(20)
        assert not LOOKED.families

    def test_what_waits(self, api, user, version, unpublished, look):
        for priority in (5, 9, 1):
            post(api, user, channels=["email"], priority=priority)
        EmailLog.objects.filter(priority=9).update(due_at=from_now(-300))
        EmailLog.objects.filter(priority=1).update(due_at=from_now(-7000))
        post(api, user, channels=["push"], scheduled_at="2126-01-01T00:00:00Z")
        seen = look()
        assert seen("notifier_due_rows", lane="email") == 2
        assert 300 <= seen("notifier_oldest_due_seconds", lane="email") < 400
        assert seen("notifier_due_rows", lane="email.bulk") == 1
        assert 7000 <= seen("notifier_oldest_due_seconds", lane="email.bulk") < 7100
        assert seen("notifier_due_rows", lane="push") == 0
        assert seen("notifier_oldest_due_seconds", lane="callbacks") == 0

    def test_circuits_dead_letters_and_queues(self, organization, look):
        ProviderState.objects.create(name="smtp", open_until=from_now(60))
        ProviderState.objects.create(name="of-old", open_until=from_now(60))
        for state in ("open", "open", "replayed"):
            DeadLetter.objects.create(organization=organization, reason="foreign", state=state)
        seen = look()
        assert seen("notifier_circuit_state", provider="smtp") == 1
        assert "of-old" not in page().content.decode()
        assert seen("notifier_dead_letters_open") == 2
        assert seen("notifier_looked_at_timestamp_seconds") > 1.7e9
        assert b'notifier_queue_messages{queue="failed"}' in page().content

    @pytest.mark.parametrize(("left", "state"), [(60, 1), (-60, 2), (None, 0)])
    def test_a_circuit(self, left, state, look):
        ProviderState.objects.create(name="smtp", open_until=None if left is None else from_now(left))
        assert look()("notifier_circuit_state", provider="smtp") == state

    def test_a_count_has_an_end(self, api, user, version, unpublished, look, monkeypatch):
        monkeypatch.setattr(gauges, "COUNT_LIMIT", 2)
        for _ in range(3):
            post(api, user, channels=["email"])
        assert look()("notifier_due_rows", lane="email") == 2


COUNTING = """
import sys, django
django.setup()
from pathlib import Path
from django.conf import settings
from apps.notifications.observability import exposition, metrics
exposition.EVERY_SECONDS = 0.05
settings.METRICS_DIR = Path(sys.argv[1])
exposition.exposition.start()
metrics.ACCEPTED.labels("email", "email").inc(int(sys.argv[2]))
metrics.OUTCOMES.labels("email", "smtp", "sent", "accepted").inc()
{more}
print("counted", flush=True)
sys.stdin.readline()
"""


class TestProcesses:
    """Several share a folder, and any of them shows what all have counted."""

    @pytest.fixture
    def counting(self, settings, tmp_path):
        settings.METRICS_DIR = tmp_path / "metrics"
        started = []

        def begin(count, more="", folder=None, limit=None, listen=""):
            process = subprocess.Popen(
                [sys.executable, "-c", COUNTING.format(more=more), str(folder or settings.METRICS_DIR), str(count)],
                cwd=ROOT,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "notifier.settings", "METRICS_LISTEN": listen},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                preexec_fn=limit,
            )  # fmt: skip
            started.append(process)
            assert process.stdout.readline() == "counted\n", process.stderr.read()
            return process

        yield begin
        for process in started:
            process.kill()
            process.communicate()

    def test_they_are_added_up_and_outlive_their_processes(self, counting, settings):
        # A series that this process has, too.
        OUTCOMES.labels("email", "smtp", "sent", "accepted").inc()
        own = samples()("notifier_deliveries_accepted_total", **LANE)

        def accepted():
            return samples()("notifier_deliveries_accepted_total", **LANE) - own

        first, second = counting(3), counting(4)
        wait_until(lambda: accepted() == 7)
        first.kill()
        first.wait()
        assert accepted() == 7
        counting(5)
        wait_until(lambda: accepted() == 12)
        # In order: the last count is written at the end.
        second.communicate("end\n")
        assert accepted() == 12
        assert len(list(settings.METRICS_DIR.glob("*.prom"))) == 2

    def test_one_of_them_serves_the_page_and_the_next_takes_over(self, counting):
        port = free_port()

        def seen():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    return samples(answer.read())("notifier_deliveries_accepted_total", **LANE)
            except OSError:
                return None

        first = counting(3, listen=f"127.0.0.1:{port}")
        wait_until(lambda: seen() == 3)
        counting(4, listen=f"127.0.0.1:{port}")
        wait_until(lambda: seen() == 7)
        first.kill()
        first.wait()
        wait_until(lambda: seen() == 7)

    def test_a_dead_ones_gauges_say_nothing(self, counting):
        looked = (
            "from prometheus_client.core import GaugeMetricFamily\n"
            "metrics.LOOKED.families = (GaugeMetricFamily('notifier_dead_letters_open', 'x', value=9),)"
        )
        process = counting(1, more=looked)
        wait_until(lambda: samples()("notifier_dead_letters_open") == 9)
        process.kill()
        process.wait()
        assert samples()("notifier_dead_letters_open") == 0

    def test_a_folder_that_cannot_be_used_harms_nobody(self, counting, tmp_path):
        (tmp_path / "file").write_text("")
        process = counting(1, folder=tmp_path / "file" / "metrics")
        _, output = process.communicate("end\n")
        assert process.returncode == 0
        assert output.count("metrics_not_written") == 1
        assert "Traceback" not in output

    def test_a_full_disk_harms_nobody(self, counting, tmp_path):
        folder = tmp_path / "metrics"

        def nothing_fits():
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

        process = counting(1, folder=folder, limit=nothing_fits)
        _, output = process.communicate("end\n")
        assert process.returncode == 0
        assert output.count("metrics_not_written") == 1
        assert "Traceback" not in output

    def test_a_broken_file_costs_its_own_numbers_alone(self, counting, settings):
        counting(3)
        wait_until(lambda: list(settings.METRICS_DIR.glob("*.prom")))
        (settings.METRICS_DIR / "9.prom").write_text("notifier_deliveries_accepted_total{{{ 5")
        assert page().status_code == 200
        slot = take_slot(settings.METRICS_DIR)
        assert slot.path.name == "1.prom"
        slot.free()
