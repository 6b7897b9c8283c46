"""The metrics of the product as it is deployed: two API processes, a worker and a scheduler on one page."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import wait_until
from tests.outages.conftest import post_many, to_address

TOKEN = "a-token-for-the-tests-of-metrics-alone"
COUNT = 20
SENT = {"channel": "email", "provider": "smtp", "result": "sent", "code": "accepted"}
SOON = 30.0
pytestmark = pytest.mark.chaos


def test_every_process_is_on_the_page_and_no_count_goes_back(make_system, key, tmp_path):
    system = make_system(METRICS_TOKEN=TOKEN, VAR_DIR=str(tmp_path / "var"))
    system.start_api(workers=2)
    system.start_worker("email", "email")
    system.start_tick()

    def seen(name, **labels):
        """The sample's value, None without it; a connection of its own, to whichever process takes it."""
        answer = httpx.get(f"{system.api_url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def accepted():
        return seen("notifier_deliveries_accepted_total", channel="email", lane="email")

    def sent():
        return seen("notifier_delivery_outcomes_total", **SENT)

    with system.client(key) as client:
        assert {answer.status_code for answer in post_many(client, COUNT, to_address)} == {202}
        # What a process has counted is in the other's page a little later.
        wait_until(lambda: [accepted() for _ in range(6)] == [COUNT] * 6, seconds=SOON)
        wait_until(lambda: sent() == COUNT, seconds=SOON)
        wait_until(lambda: seen("notifier_due_rows", lane="email") == 0, seconds=SOON)
        assert seen("notifier_circuit_state", provider="smtp") == 0

        system.kill("email")
        system.kill("tick")
        assert sent() == COUNT
        wait_until(lambda: seen("notifier_due_rows", lane="email") is None, seconds=SOON)
        system.start_worker("email", "email")
        assert client.post("notifications/", json=to_address(COUNT)).status_code == 202
        wait_until(lambda: sent() == COUNT + 1, seconds=SOON)
    assert system.log("api").count("metrics_not_written") == 0
