"""The circuits over the API: seen by operators, switched by those who run the host."""

import pytest
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.outcome import Outcome, Result
from apps.notifications.models import ProviderState, from_now
from apps.notifications.routing import circuit_breaker
from apps.notifications.routing.accounts import Account
from apps.users.models.scopes import Scope
from tests.conftest import client_for, post, wait_until
from tests.support.factories import OrganizationFactory, UserFactory, template_with


def test_every_account_is_listed_with_its_circuit(api, settings):
    settings.EMAIL_PROVIDER_URL = (
        "smtp://127.0.0.1:1/?name=first&tls=none&rate=5 postmark://?key=hidden-key&name=second&order=7"
    )
    circuit_breaker.open_for("second", 30, code="server_error", detail="500 for ada@example.com")
    answer = api.get("/api/v1/providers/")
    first, second = answer.json()["data"]
    assert (first["name"], first["channel"], first["kind"], first["state"], first["rate"]) == (
        "first", "email", "smtp", "closed", 5,
    )  # fmt: skip
    assert (second["state"], second["code"], second["order"]) == ("open", "server_error", 7)
    assert b"hidden-key" not in answer.content
    assert b"ada@" not in answer.content
    (change,) = api.get("/api/v1/providers/second/history/").json()["data"]
    assert (change["kind"], change["code"]) == ("opened", "server_error")


@pytest.mark.usefixtures("worker", "version")
def test_a_circuit_is_opened_and_closed_by_hand(api, user, smtp):
    assert api.post("/api/v1/providers/smtp/open/").json()["data"]["state"] == "open"
    post(api, user, channels=["email"])
    row = wait_until(lambda: EmailLog.objects.exclude(error_code="").first())
    assert (row.status, row.error_code, row.attempts) == ("queued", "opened_by_hand", 0)
    assert smtp.connections == 0
    assert api.post("/api/v1/providers/smtp/close/").json()["data"]["state"] == "closed"
    # The scheduler finds it at once, not when its wait is over.
    assert EmailLog.objects.due().exists() or EmailLog.objects.get().status == "sent"
    kinds = [
        (one["kind"], one["by"][:4]) for one in api.get("/api/v1/providers/smtp/history/").json()["data"]
    ]
    assert kinds == [("closed", "key:"), ("opened", "key:")]


def test_closing_it_wakes_every_organizations_messages(api, user, version, unpublished, db, settings):
    settings.EMAIL_PROVIDER_URL = "smtp://127.0.0.1:1/?tls=none"
    other = OrganizationFactory(slug="other")
    template_with(other)
    for client in (api, client_for(other)):
        post(client, recipient={"email": "somebody@example.com"}, channels=["email"])
    circuit_breaker.open_manually("smtp", by="user:1")
    EmailLog.objects.update(provider="smtp", error_code="opened_by_hand", due_at=from_now(600))
    assert api.post("/api/v1/providers/smtp/close/").status_code == 200
    assert EmailLog.objects.due().count() == 2


def test_a_probe_does_not_close_what_an_operator_opened_meanwhile(db, settings):
    account = Account("smtp")
    circuit_breaker.open_for("smtp", 0.0, code="connect_failed")
    permit = circuit_breaker.permit_for("smtp")
    assert permit.probe
    circuit_breaker.open_manually("smtp", by="user:1")
    circuit_breaker.record(account, permit, Outcome(Result.SENT, "accepted"))
    assert circuit_breaker.permit_for("smtp").code == "opened_by_hand"


def test_a_message_that_was_never_tried_closes_nothing(db):
    account = Account("smtp")
    circuit_breaker.open_for("smtp", 0.0, code="connect_failed")
    permit = circuit_breaker.permit_for("smtp")
    circuit_breaker.record(account, permit, Outcome(Result.PERMANENT, "address_invalid", untried=True))
    assert ProviderState.objects.get().open_until is not None
    # And the next one may probe.
    assert circuit_breaker.permit_for("smtp").probe


def test_an_unknown_one_is_not_found(api):
    assert api.post("/api/v1/providers/nobody/open/").status_code == 404
    assert api.get("/api/v1/providers/nobody/history/").status_code == 404


def test_an_organizations_administrator_may_look_and_not_switch(organization, db, settings):
    settings.EMAIL_PROVIDER_URL = "smtp://127.0.0.1:1/?tls=none"
    admin = UserFactory(organization=organization, role="admin")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(admin)}")
    assert client.get("/api/v1/providers/").status_code == 200
    assert client.post("/api/v1/providers/smtp/open/").status_code == 403
    body = {"name": "Sneaky", "scopes": [Scope.PROVIDERS_WRITE]}
    refused = client.post("/api/v1/admin/api-keys/", body, format="json")
    assert refused.json()["errors"][0]["code"] == "beyond"
    admin.is_superuser = True
    admin.save()
    assert client.post("/api/v1/providers/smtp/open/").status_code == 200
