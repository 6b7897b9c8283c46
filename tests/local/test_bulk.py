"""Bulk mail on the local default: SQLite's rows are claimed in turns by organization, as PostgreSQL's are."""

import pytest
from django.conf import settings as project

from apps.notifications.channels.email.log import EmailLog
from tests.conftest import client_for, deliver, post, timeline
from tests.support.factories import OrganizationFactory, UserFactory, template_with

pytestmark = pytest.mark.skipif(project.ON_POSTGRES, reason="tests/notifications/delivery has PostgreSQL's.")


def test_each_is_sent_once(api, user, version, smtp, unpublished, transactional_db):
    other = OrganizationFactory()
    template_with(other)
    theirs = client_for(other), UserFactory(organization=other, email="kim@example.com")
    for client, person in ((api, user), theirs, (api, user)):
        assert post(client, person, channels=["email"], priority=4).status_code == 202
    named = EmailLog.objects.order_by("id").first()
    deliver("email", [str(named.pk)], bulk=True)
    assert set(EmailLog.objects.values_list("status", flat=True)) == {"sent"}
    assert len(smtp.wait_for(3)) == 3
    assert [kind for kind, _ in timeline(str(named.notification_id))] == ["accepted", "sent"]
