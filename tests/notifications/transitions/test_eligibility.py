"""Eligibility stands twice, in Python and in the claim's SQL: what the SQL calls plain, the Python lets be sent."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.conf import settings as project
from django.db import transaction
from django.utils import timezone
from hypothesis import event, given, settings
from hypothesis import strategies as st

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Notification, Suppression
from apps.notifications.models.statuses import Status
from apps.notifications.transitions.claims import claim_named
from apps.notifications.transitions.eligibility import recheck_eligibility
from apps.users.models import Category, NotificationPreference, User
from apps.users.recipient_hashes import recipient_hash
from tests.support.factories import DeviceFactory, OrganizationFactory, UserFactory, template_with

pytestmark = [
    pytest.mark.skipif(not project.ON_POSTGRES, reason="Elsewhere no row is plain."),
    pytest.mark.django_db,
]
NOW = timezone.now()
SOON, AGO = timedelta(hours=1), timedelta(hours=-1)

mostly = st.sampled_from([True] * 9 + [False])
"""Each thing that may object is seldom there, so that rows that nothing objects to are among the examples."""
seldom = mostly.map(lambda value: not value)

CASE = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["email", "push"]),
        "for_user": st.booleans(),
        # Whom the notification names: a person, one that was deleted since, or none.
        "names_person": mostly,
        "person_active": mostly,
        "person_erased": seldom,
        "organization_active": mostly,
        "registered": mostly,
        "registered_to_another": seldom,
        "spelling": st.sampled_from(["ada@example.com", "ADA@example.com", "Ada@Example.COM"]),
        "device_retired": seldom,
        "recipient_there": mostly,
        "quiet": st.sampled_from([None] * 9 + ["now", "later"]),
        "refused": st.sampled_from([None] * 9 + ["channel", "other_channel", "category", "allowed"]),
        "category": st.sampled_from([None] * 4 + ["plain"] * 4 + ["mandatory", "capped"]),
        "suppressed": st.sampled_from([None] * 9 + ["active", "lifted", "elsewhere"]),
        "expires": st.sampled_from([None] * 9 + [SOON, AGO]),
        "deadline": st.sampled_from([SOON] * 9 + [AGO]),
    }
)


def world(case: dict[str, Any], number: int) -> EmailLog | PushLog:
    """One due row, and all that its eligibility depends on, in an organization of its own."""
    organization = OrganizationFactory(is_active=case["organization_active"])
    category = None
    if case["category"]:
        capped = {"cap": 1, "cap_window": 3600} if case["category"] == "capped" else {}
        category = Category.objects.create(
            organization=organization, code="news", name="News",
            mandatory=case["category"] == "mandatory", **capped,
        )  # fmt: skip
    version = template_with(organization, category=category)
    hour = timezone.now().hour
    quiet = {
        "now": (time((hour - 1) % 24), time((hour + 2) % 24)),
        "later": (time((hour + 3) % 24), time((hour + 4) % 24)),
        None: (None, None),
    }[case["quiet"]]
    person = UserFactory(
        organization=organization,
        email=case["spelling"].lower() if case["registered"] else f"moved{number}@example.com",
        is_active=case["person_active"],
        erased_at=NOW if case["person_erased"] else None,
        quiet_from=quiet[0],
        quiet_until=quiet[1],
    )
    another = UserFactory(organization=organization, email=f"another{number}@example.com")
    owner = another if case["registered_to_another"] else person
    token = f"device-token-of-{number:06}"
    if case["registered"]:
        DeviceFactory(user=owner, token=token, retired_at=NOW if case["device_retired"] else None)
    if case["registered_to_another"] and case["channel"] == "email":
        User.objects.filter(pk=person.pk).update(email=f"moved{number}@example.com")
        User.objects.filter(pk=another.pk).update(email=case["spelling"].lower())
    if case["refused"]:
        NotificationPreference.objects.create(
            user=person,
            channel="push" if case["refused"] == "other_channel" else case["channel"],
            category=category if case["refused"] == "category" else None,
            enabled=case["refused"] == "allowed",
        )
    notification = Notification.objects.create(
        organization=organization, body_hash="", template_version=version, correlation_id="c",
        requested_by="test", user=person if case["names_person"] else None, for_user=case["for_user"],
        expires_at=NOW + case["expires"] if case["expires"] else None, variables={"name": "Ada"},
    )  # fmt: skip
    value = case["spelling"] if case["channel"] == "email" else token
    hashed = recipient_hash(case["channel"], value)
    if case["suppressed"]:
        Suppression.objects.create(
            organization=OrganizationFactory() if case["suppressed"] == "elsewhere" else organization,
            channel=case["channel"], recipient_hash=hashed, reason="bounced",
            lifted_at=NOW if case["suppressed"] == "lifted" else None,
        )  # fmt: skip
    model = EmailLog if case["channel"] == "email" else PushLog
    return model.objects.create(
        notification=notification, organization=organization, language="en", recipient_hash=hashed,
        deadline_at=NOW + case["deadline"],
        **{model.RECIPIENT: value if case["recipient_there"] else ""},
    )  # fmt: skip


@settings(max_examples=40)
@given(cases=st.lists(CASE, min_size=12, max_size=12))
def test_what_the_sql_calls_plain_the_python_sends(cases):
    with transaction.atomic():
        rows = [world(case, number) for number, case in enumerate(cases)]
        for model in (EmailLog, PushLog):
            own = {row.pk: case for row, case in zip(rows, cases, strict=True) if type(row) is model}
            claimed = claim_named(model, [str(pk) for pk in own], token="t", lease=60)
            assert claimed.size == len(own)
            taken = model.objects.filter(pk__in=list(own), status=Status.SENDING)
            sendable = {row.pk for row in recheck_eligibility(taken.complete())}
            plain = {one.pk for one in claimed.plain}
            for pk, case in own.items():
                event(f"plain {pk in plain}, sent {pk in sendable}")
                assert pk not in plain or pk in sendable, (case, model.objects.get(pk=pk).reason)
        transaction.set_rollback(True)


def test_a_row_that_nothing_objects_to_is_plain():
    """The claim's SQL is worth having: neither of the two channels goes through the Python for nothing."""
    usual = {
        "for_user": True, "names_person": True, "person_active": True, "person_erased": False,
        "organization_active": True, "registered": True, "registered_to_another": False,
        "spelling": "ada@example.com", "device_retired": False, "recipient_there": True, "quiet": None,
        "refused": None, "category": "plain", "suppressed": None, "expires": None, "deadline": SOON,
    }  # fmt: skip
    for number, channel in enumerate(("email", "push")):
        row = world({**usual, "channel": channel}, number)
        assert [one.pk for one in claim_named(type(row), [str(row.pk)], token="t", lease=60).plain] == [
            row.pk
        ]
