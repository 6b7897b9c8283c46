"""The circuits over the API: seen by operators, switched by whoever runs the host."""

import pytest
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications import breaker
from apps.notifications.models import EmailLog
from apps.users.scopes import Scope
from tests.cast import UserFactory
from tests.conftest import post, wait_until


def test_every_account_is_listed_with_its_circuit(api, settings):
    settings.EMAIL_PROVIDER_URL = (
        "smtp://127.0.0.1:1/?name=first&tls=none&rate=5 postmark://?key=hidden-key&name=second&order=7"
    )
    breaker.open_for("second", 30, code="server_error", detail="500 for ada@example.com")
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
    # The tick finds it at once, not when its wait is over.
    assert EmailLog.objects.due().exists() or EmailLog.objects.get().status == "sent"
    kinds = [
        (one["kind"], one["by"][:4]) for one in api.get("/api/v1/providers/smtp/history/").json()["data"]
    ]
    assert kinds == [("closed", "key:"), ("opened", "key:")]


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
    asked = {"name": "Sneaky", "scopes": [Scope.PROVIDERS_WRITE]}
    refused = client.post("/api/v1/admin/api-keys/", asked, format="json")
    assert refused.json()["errors"][0]["code"] == "beyond"
    admin.is_superuser = True
    admin.save()
    assert client.post("/api/v1/providers/smtp/open/").status_code == 200
