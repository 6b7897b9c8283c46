"""Every page opens, to whom it should, and shows what it should."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.admin.lists import paging
from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import from_now
from apps.users.models import Organization, User
from tests.admin.conftest import ADDRESS, NUMBER, TOKEN, failed_rows, text_of
from tests.support.factories import OrganizationFactory, UserFactory, template_with

pytestmark = pytest.mark.django_db

LOGS = ("notification", "emaillog", "pushlog", "smslog", "deadletter")
OURS = sorted(
    f"{model._meta.app_label}_{model._meta.model_name}"
    for model in admin.site._registry
    if model._meta.app_label != "auth"
)


def test_every_page_opens_for_a_superuser(door: Client, everything: dict[str, Any]) -> None:
    assert sorted(everything) == OURS
    assert door.get(reverse("admin:index")).status_code == 200
    for name, row in everything.items():
        listed = door.get(reverse(f"admin:{name}_changelist"))
        assert listed.status_code == 200, name
        assert str(row.pk) in text_of(listed), name
        assert door.get(reverse(f"admin:{name}_change", args=[row.pk])).status_code == 200, name


def test_the_site_is_called_notifier(client: Client) -> None:
    assert "Notifier" in text_of(client.get(reverse("admin:login")))


@pytest.mark.parametrize(
    "name",
    [
        "users_organization", "users_user", "users_apikey", "users_category", "templates_template",
        "templates_layout", "templates_partial",
    ],
)  # fmt: skip
def test_forms_to_add_open(door: Client, name: str) -> None:
    assert door.get(reverse(f"admin:{name}_add")).status_code == 200


def test_staff_see_their_organization_only(everything: dict[str, Any], staff: Any) -> None:
    own, other = staff(everything["users_organization"]), staff(OrganizationFactory())
    for name, row in everything.items():
        listed, page = reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=[row.pk])
        # Providers belong to no organization.
        host = ("notifications_providerstate", "notifications_circuitchange", "notifications_unreadevent")
        seen = name not in host
        assert (page in text_of(own.get(listed))) is seen, name
        assert own.get(page).status_code == (200 if seen else 302), name
        assert page not in text_of(other.get(listed)), name
        assert other.get(page).status_code == 302, name


def test_staff_need_permissions(organization: Organization, staff: Any) -> None:
    door = staff(organization, "view_emaillog")
    assert door.get(reverse("admin:notifications_emaillog_changelist")).status_code == 200
    assert door.get(reverse("admin:notifications_pushlog_changelist")).status_code == 403


def test_addresses_tokens_and_variables_are_masked(door: Client, everything: dict[str, Any]) -> None:
    # The person's own page shows the address, and the notification's names its person.
    for name in OURS:
        for page in (
            reverse(f"admin:{name}_changelist"),
            reverse(f"admin:{name}_change", args=[everything[name].pk]),
        ):
            shown = text_of(door.get(page))
            assert TOKEN not in shown, page
            assert NUMBER not in shown, page
            assert "a secret name" not in shown, page
            if name not in ("users_user", "notifications_notification"):
                assert ADDRESS not in shown, page
    page = text_of(
        door.get(
            reverse("admin:notifications_emaillog_change", args=[everything["notifications_emaillog"].pk])
        )
    )
    assert "a***@example.com" in page
    assert "550 5.1.1" in page


def test_a_notification_shows_its_timeline(door: Client, failed: SimpleNamespace) -> None:
    page = text_of(
        door.get(reverse("admin:notifications_notification_change", args=[failed.notification.pk]))
    )
    assert "hello v1" in page
    assert "email to a***@example.com: send" in page
    assert "code: mailbox_unknown" in page
    assert reverse("admin:notifications_emaillog_change", args=[failed.email.pk]) in page


def test_long_metadata_cost_no_more_than_they_are_long(door: Client, failed: SimpleNamespace) -> None:
    # It contains no address, but one might begin at every character.
    type(failed.notification).objects.filter(pk=failed.notification.pk).update(
        metadata={"note": "a" * 60_000}
    )
    began = time.thread_time()

    answer = door.get(reverse("admin:notifications_notification_change", args=[failed.notification.pk]))

    assert "a" * 60_000 in text_of(answer)
    assert time.thread_time() - began < 4


def test_the_list_of_notifications_shows_their_status(door: Client, failed: SimpleNamespace) -> None:
    assert '<td class="field-status">Failed</td>' in text_of(
        door.get(reverse("admin:notifications_notification_changelist"))
    )


@pytest.mark.parametrize("name", LOGS)
def test_logs_are_not_counted(door: Client, failed: SimpleNamespace, name: str) -> None:
    page = reverse(f"admin:notifications_{name}_changelist")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for query in ("", "?q=order-1", "?within=day", "?p=1"):
            assert door.get(page + query).status_code == 200
    statements = [query["sql"].upper() for query in queries.captured_queries]
    assert not [sql for sql in statements if "COUNT(" in sql or "DISTINCT" in sql]
    unlimited = [
        sql for sql in statements if f'FROM "NOTIFICATIONS_{name.upper()}"' in sql and "LIMIT" not in sql
    ]
    # A first page that isn't full is read without one.
    assert all("ORDER BY" in sql for sql in unlimited)


@pytest.mark.parametrize(
    "name", [*(f"notifications_{name}" for name in (*LOGS, "callback")), "users_auditentry"]
)
def test_logs_are_not_sorted_even_if_asked(door: Client, everything: dict[str, Any], name: str) -> None:
    page = reverse(f"admin:{name}_changelist")
    with CaptureQueriesContext(connection) as queries:
        assert door.get(f"{page}?o=1.-2.3.4.5.6.7").status_code == 200
    sorted_ = [query["sql"] for query in queries.captured_queries if f'FROM "{name}"' in query["sql"]]
    assert sorted_
    assert all(f'ORDER BY "{name}"."id" DESC' in sql for sql in sorted_ if "ORDER BY" in sql)


def test_a_log_has_a_last_page(
    door: Client, user: User, failed: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LIMIT", 60)
    EmailLog.objects.bulk_create(
        EmailLog(
            notification=failed.notification,
            organization=user.organization,
            email=ADDRESS,
            deadline_at=from_now(60),
        )
        for _ in range(70)
    )
    first = door.get(reverse("admin:notifications_emaillog_changelist"))
    assert "the newest 60 email logs" in text_of(first)
    second = door.get(reverse("admin:notifications_emaillog_changelist") + "?p=2")
    assert len(second.context["cl"].result_list) == 10


@pytest.mark.parametrize("page", ["emaillog", "pushlog", "notification", "deadletter"])
def test_search_finds_by_what_is_in_hand(
    door: Client, failed: SimpleNamespace, page: str, organization: Organization
) -> None:
    other = UserFactory(organization=organization, email="bob@example.com")
    failed_rows(other, failed.notification.template_version)

    def found(term: str) -> list[Any]:
        answer = door.get(reverse(f"admin:notifications_{page}_changelist"), {"q": term})
        return [row.pk for row in answer.context["cl"].result_list]

    own = {
        "emaillog": failed.email,
        "pushlog": failed.push,
        "notification": failed.notification,
        "deadletter": failed.dead_letter,
    }[page]
    assert found(str(failed.notification.pk)) == [own.pk]
    assert found(failed.notification.request_id) == [own.pk]
    assert len(found("trace-1")) == 2
    assert found("nothing like it") == []
    if page != "pushlog":
        assert found(f" {ADDRESS.upper()} ") == [own.pk]
        assert found(f"<{failed.email.pk}@mail.example.com>") == [own.pk]
    if page == "pushlog":
        assert len(found("projects/demo/messages/77")) == 2
        assert len(found(TOKEN)) == 2


@pytest.mark.parametrize(("query", "count"), [("status__exact=failed", 1), ("status__exact=sent", 0),
    ("reason=rejected", 1), ("error_code=other", 0), ("within=hour", 1)])  # fmt: skip
def test_filters(door: Client, failed: SimpleNamespace, query: str, count: int) -> None:
    answer = door.get(reverse("admin:notifications_emaillog_changelist") + f"?{query}")
    assert len(answer.context["cl"].result_list) == count


def test_another_organizations_template_stays_out_of_sight(organization: Organization, staff: Any) -> None:
    version = template_with(OrganizationFactory())
    door = staff(organization)
    for page in (
        reverse("admin:templates_template_version_add", args=[version.template_id]),
        reverse("admin:templates_template_version_activate", args=[version.template_id, 1]),
    ):
        assert door.post(page).status_code == 404
