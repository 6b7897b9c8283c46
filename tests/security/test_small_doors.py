"""Public endpoints beside the API proper: their limits, and what they cost."""

import io

import pytest
from django.core.files import uploadhandler
from django.test import Client

from apps.users.preferences import links, preference_page
from notifier.http import health
from tests.support.factories import UserFactory


class TestUploads:
    @pytest.mark.parametrize("page", ["/admin/login/", "/password-reset/x/", "/preferences/x/"])
    def test_no_form_writes_a_file_to_disk(self, page, db, monkeypatch):
        made = []
        monkeypatch.setattr(
            uploadhandler.TemporaryFileUploadHandler, "new_file", lambda *args, **kwargs: made.append(args)
        )
        file = io.BytesIO(b"x" * 3_000_000)
        file.name = "large.bin"
        answer = Client(raise_request_exception=False).post(page, {"username": "a", "file": file})
        assert answer.status_code in (400, 404)
        assert not made


class TestReady:
    def test_it_looks_once_a_second_whoever_asks(self, client, db, monkeypatch):
        looked = []
        real = health._broker
        monkeypatch.setattr(health, "_broker", lambda: looked.append(1) or real())
        monkeypatch.setattr(health, "_probed_at", float("-inf"))
        answers = [client.get("/api/v1/health/ready/") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert len(looked) <= 2


class TestOneClick:
    def test_a_persons_links_take_so_many_clicks(self, organization, settings, monkeypatch):
        from apps.users.models import Category

        settings.PUBLIC_URL = "https://notify.example.com"
        settings.ALLOWED_HOSTS = ["testserver"]
        monkeypatch.setattr(preference_page, "CLICKS_A_MINUTE", 3)
        offers = Category.objects.create(organization=organization, code="offers", name="Offers")
        ada, grace = UserFactory(organization=organization), UserFactory(organization=organization)

        def click(person):
            path = links.page_for(person.pk, offers.pk).removeprefix(settings.PUBLIC_URL)
            return Client().post(path, {"List-Unsubscribe": "One-Click"})

        answers = [click(ada) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429]
        assert 1 <= int(answers[-1]["Retry-After"]) <= 60
        # The servers of one mailbox provider click for many people.
        assert click(grace).status_code == 200
