"""No caller changes an account, a role or a key with more permissions than its own, over the API or in the admin."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Suppression
from apps.notifications.password_reset import links
from apps.templates.models import Layout, Partial
from apps.users.access import quotas, sessions
from apps.users.models import ApiKey, AuditEntry, Device, User
from apps.users.models.scopes import ROLE_SCOPES, Role, Scope
from tests.conftest import client_for, post
from tests.support.factories import DeviceFactory, UserFactory
from tests.support.routes import refused, stored
from tests.users.conftest import PASSWORD

USERS = [Scope.USERS_READ.value, Scope.USERS_WRITE.value]


def signed_in(person):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(person)}")
    return client


@pytest.fixture
def boss(organization):
    return UserFactory(organization=organization, email="boss@example.com", role=Role.ADMIN)


@pytest.fixture
def root(organization):
    return UserFactory(
        organization=organization, email="root@example.com", role="admin", is_superuser=True, is_staff=True
    )


def acts_on(client, person):
    path = f"/api/v1/users/{person.pk}/"
    device = DeviceFactory(user=person)
    yield client.patch(path, {"is_active": False}, format="json")
    yield client.patch(path, {"role": "member"}, format="json")
    yield client.patch(path, {"email": "evil@example.com"}, format="json")
    yield client.patch(path, {"name": "Evil"}, format="json")
    yield client.patch(f"{path}preferences/", {"email": False}, format="json")
    yield client.post(f"{path}devices/", {"token": "evil-token-1", "platform": "web"}, format="json")
    yield client.patch(f"{path}devices/{device.pk}/", {"token": "evil-token-2"}, format="json")
    yield client.delete(f"{path}devices/{device.pk}/")
    yield client.delete(path)


class TestPeople:
    @pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR, Role.EDITOR])
    def test_a_key_that_keeps_customers_touches_nobody_who_may_do_anything(self, role, organization):
        person = UserFactory(organization=organization, role=role)
        client = client_for(organization, scopes=USERS)
        for answer in acts_on(client, person):
            refused(answer, 403, "beyond_reach")
        assert User.objects.filter(pk=person.pk, role=role, is_active=True).exists()
        assert client.get(f"/api/v1/users/{person.pk}/").status_code == 200

    @pytest.mark.parametrize("kind", ["superuser", "staff"])
    def test_no_administrator_and_no_key_touches_the_hosts_own(self, kind, organization, boss, api):
        person = UserFactory(organization=organization, is_staff=True, is_superuser=kind == "superuser")
        for client in (signed_in(boss), api):
            for answer in acts_on(client, person):
                refused(answer, 403, "beyond_reach")

    def test_a_key_of_everything_reaches_an_organizations_own(self, api, boss):
        codes = [answer.status_code for answer in acts_on(api, boss)]
        # A role is given by an administrator alone.
        assert codes == [200, 400, 200, 200, 200, 201, 200, 204, 204]

    def test_a_test_key_reaches_customers_alone(self, organization, boss):
        client = client_for(organization, live=False, scopes=sorted(Scope.values))
        for answer in acts_on(client, boss):
            refused(answer, 403, "beyond_reach")
        customer = UserFactory(organization=organization)
        assert client.patch(f"/api/v1/users/{customer.pk}/", {"name": "A"}, format="json").status_code == 200

    def test_customers_are_changed_and_it_is_recorded(self, organization):
        person = UserFactory(organization=organization)
        client = client_for(organization, scopes=USERS)
        assert client.delete(f"/api/v1/users/{person.pk}/").status_code == 204
        line = AuditEntry.objects.get(kind="users.user", action="deleted")
        assert line.actor.startswith("key:")

    def test_everybody_keeps_to_themselves(self, boss):
        answer = signed_in(boss).patch(f"/api/v1/users/{boss.pk}/", {"name": "Me"}, format="json")
        assert answer.status_code == 200

    def test_a_superiors_address_is_not_suppressed_by_hand(self, organization, root, boss):
        key = client_for(organization, scopes=["suppressions:read", "suppressions:write"])
        for person in (root, boss):
            body = {"channel": "email", "recipient": person.email.upper()}
            refused(key.post("/api/v1/suppressions/", body, format="json"), 403, "beyond_reach")
        operator = UserFactory(
            organization=organization, email="op@example.com", role="operator", is_staff=True
        )
        from django.contrib.auth.models import Permission

        operator.user_permissions.add(Permission.objects.get(codename="add_suppression"))
        browser = Client()
        browser.force_login(operator)
        page = browser.post(
            "/admin/notifications/suppression/add/",
            {"organization": organization.pk, "channel": "email", "address": root.email, "reason": "x"},
        )
        assert "has more permissions than you" in page.content.decode()
        assert not Suppression.objects.exists()
        body = {"channel": "email", "recipient": "stranger@example.com"}
        assert key.post("/api/v1/suppressions/", body, format="json").status_code == 201

    @pytest.mark.parametrize("channel", ["email", "push"])
    def test_nor_by_a_receipt(self, channel, organization, root, user, version, unpublished):
        from apps.notifications.channels.logs import DELIVERIES

        DeviceFactory(user=root)
        key = client_for(organization, scopes=["notifications:write", "suppressions:write"])
        for person in (root, user):
            sent = post(key, person, channels=[channel]).json()["data"]["deliveries"][0]["id"]
            DELIVERIES[channel].objects.update(status="sent")
            body = {"delivery_id": sent, "status": "bounced", "permanent": True}
            answer = key.post(f"/api/v1/{channel}/status/", body, format="json")
            if person == root:
                refused(answer, 403, "beyond_reach")
                assert DELIVERIES[channel].objects.get().status == "sent"
                assert not Suppression.objects.exists()
                assert Device.objects.active().filter(user=root).exists()
            else:
                assert answer.status_code == 200

    def test_nor_is_their_device(self, organization, root):
        DeviceFactory(user=root, token="root-phone-token-1")
        key = client_for(organization, scopes=["suppressions:read", "suppressions:write"])
        body = {"channel": "push", "recipient": "root-phone-token-1"}
        refused(key.post("/api/v1/suppressions/", body, format="json"), 403, "beyond_reach")
        body["recipient"] = "a-strangers-token-1"
        assert key.post("/api/v1/suppressions/", body, format="json").status_code == 201

    def test_a_key_that_sends_ends_no_address(self, organization, user, version, unpublished):
        key = client_for(organization, scopes=["notifications:write", "notifications:read"])
        sent = post(key, user, channels=["email"]).json()["data"]["deliveries"][0]["id"]
        from apps.notifications.channels.email.log import EmailLog

        EmailLog.objects.update(status="sent")
        body = {"delivery_id": sent, "status": "bounced", "permanent": True}
        refused(key.post("/api/v1/email/status/", body, format="json"), 403, "permission_denied")
        assert not Suppression.objects.exists()
        assert (
            key.post("/api/v1/email/status/", {**body, "permanent": False}, format="json").status_code == 200
        )
        assert not Suppression.objects.exists()


class TestKeys:
    URL = "/api/v1/admin/api-keys/"

    def keys_key(self, organization, **fields):
        fields = {"scopes": ["api-keys:write", "users:read"], **fields}
        return ApiKey.objects.issue(organization=organization, name="Keys", **fields)

    def client(self, plain):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Api-Key {plain}")
        return client

    def test_one_with_more_reach_is_neither_revoked_nor_slowed(self, organization):
        _, plain = self.keys_key(organization)
        strong, _ = ApiKey.objects.issue(organization=organization, name="s", scopes=["users:write"])
        before = stored()
        client = self.client(plain)
        refused(client.delete(f"{self.URL}{strong.pk}/"), 403, "beyond_reach")
        refused(
            client.patch(f"{self.URL}{strong.pk}/", {"rate_limit": 1}, format="json"), 403, "beyond_reach"
        )
        refused(client.post(f"{self.URL}{strong.pk}/rotate/", {}, format="json"), 403, "beyond_reach")
        assert stored() == before
        assert client.get(f"{self.URL}{strong.pk}/").status_code == 200

    def test_a_test_key_touches_no_live_one(self, organization):
        _, plain = self.keys_key(organization, live=False)
        live, _ = ApiKey.objects.issue(organization=organization, name="l", scopes=["users:read"])
        client = self.client(plain)
        refused(client.delete(f"{self.URL}{live.pk}/"), 403, "beyond_reach")
        refused(client.patch(f"{self.URL}{live.pk}/", {"name": "x"}, format="json"), 403, "beyond_reach")

    def test_a_test_key_changes_nothing_that_a_live_one_sent(
        self, api, organization, user, version, unpublished
    ):
        from apps.notifications.channels.email.log import EmailLog
        from apps.notifications.models import DeadLetter

        client = client_for(organization, live=False)
        for sender, codes in ((client, [200, 200, 200, 200]), (api, [404, 404, 200, 404])):
            EmailLog.objects.all().delete()
            sent = post(sender, user, channels=["email"]).json()["data"]
            row = EmailLog.objects.get()
            EmailLog.objects.update(status="failed")
            dead_letters = [
                DeadLetter.objects.create(
                    organization=organization, notification_id=row.notification_id, delivery_id=row.pk,
                    channel="email", reason=reason,
                )
                for reason in ("refused", "rejected")
            ]  # fmt: skip
            ids = [str(dead_letter.pk) for dead_letter in dead_letters]
            replayed = client.post("/api/v1/dead-letters/replay/", {"ids": ids[:1]}, format="json")
            assert replayed.json()["data"]["replayed"] == (sender is client)
            EmailLog.objects.update(status="queued")
            assert [
                client.post(f"/api/v1/dead-letters/{ids[1]}/discard/").status_code,
                client.post(f"/api/v1/notifications/{sent['id']}/cancel/").status_code,
                client.get(f"/api/v1/notifications/{sent['id']}/").status_code,
                client.post(
                    "/api/v1/email/status/",
                    {"delivery_id": str(row.pk), "status": "delivered"},
                    format="json",
                ).status_code,
            ] == codes
            assert api.get(f"/api/v1/notifications/{sent['id']}/").status_code == 200

    def test_none_raises_itself(self, organization):
        key, plain = self.keys_key(organization)
        client = self.client(plain)
        answer = client.patch(f"{self.URL}{key.pk}/", {"rate_limit": 10}, format="json")
        assert refused(answer, 400)["errors"][0]["code"] == "beyond"

    def test_nor_by_another(self, organization, settings):
        settings.RATE_LIMIT_KEY = 100
        _, plain = self.keys_key(organization, rate_limit=50)
        client = self.client(plain)
        body = {"name": "x", "scopes": ["users:read"]}
        answer = client.post(self.URL, {**body, "rate_limit": 51}, format="json")
        assert refused(answer, 400)["errors"][0]["field"] == "rate_limit"
        made = client.post(self.URL, {**body, "rate_limit": 50}, format="json").json()["data"]
        answer = client.patch(f"{self.URL}{made['id']}/", {"rate_limit": 51}, format="json")
        assert refused(answer, 400)["errors"][0]["field"] == "rate_limit"

    def test_nor_by_leaving_it_out_or_by_rotating(self, organization, settings):
        settings.RATE_LIMIT_KEY = 100
        own, plain = self.keys_key(organization, rate_limit=50)
        client = self.client(plain)
        body = {"name": "x", "scopes": ["users:read"]}
        made = client.post(self.URL, body, format="json").json()["data"]
        assert made["rate_limit"] == 50
        for answer in (
            client.post(self.URL, {**body, "rate_limit": None}, format="json"),
            client.patch(f"{self.URL}{made['id']}/", {"rate_limit": None}, format="json"),
        ):
            assert refused(answer, 400)["errors"][0]["field"] == "rate_limit"
        for limit in (None, 60):
            fast, _ = ApiKey.objects.issue(
                organization=organization, name="f", scopes=["users:read"], rate_limit=limit
            )
            answer = client.post(f"{self.URL}{fast.pk}/rotate/", {}, format="json")
            refused(answer, 403, "beyond_reach")
        assert client.post(f"{self.URL}{own.pk}/rotate/", {}, format="json").status_code == 201

    def test_one_that_ends_makes_none_that_lives_longer(self, organization):
        now = timezone.now()
        _, plain = self.keys_key(organization, expires_at=now + timedelta(days=7))
        client, body = self.client(plain), {"name": "x", "scopes": ["users:read"]}
        made = client.post(self.URL, body, format="json").json()["data"]
        left = ApiKey.objects.get(pk=made["id"]).expires_at - now
        assert timedelta(days=6) < left < timedelta(days=7, minutes=10)
        for days, code in ((6, 201), (8, 400), (3650, 400)):
            expires_at = (now + timedelta(days=days)).isoformat()
            answer = client.post(self.URL, {**body, "expires_at": expires_at}, format="json")
            assert answer.status_code == code, days
        assert refused(answer, 400)["errors"][0]["code"] == "beyond"

    def test_one_for_some_networks_makes_none_for_more(self, organization, settings):
        settings.NUM_PROXIES = 1
        own, plain = self.keys_key(organization, addresses=["203.0.113.0/24", "2001:db8::/32"])
        client = self.client(plain)
        client.defaults["HTTP_X_FORWARDED_FOR"] = "203.0.113.7"
        body = {"name": "x", "scopes": ["users:read"]}
        made = client.post(self.URL, body, format="json").json()["data"]
        assert made["addresses"] == ["203.0.113.0/24", "2001:db8::/32"]
        for wider in ([], ["0.0.0.0/0"], ["203.0.113.0/25", "198.51.100.7"], ["2001::/16"]):
            answer = client.post(self.URL, {**body, "addresses": wider}, format="json")
            assert refused(answer, 400)["errors"][0]["code"] == "beyond", wider
        narrow = {**body, "addresses": ["203.0.113.128/25", "2001:db8::1"]}
        assert client.post(self.URL, narrow, format="json").status_code == 201
        free, _ = ApiKey.objects.issue(organization=organization, name="f", scopes=["users:read"])
        refused(client.post(f"{self.URL}{free.pk}/rotate/", {}, format="json"), 403, "beyond_reach")
        assert client.post(f"{self.URL}{own.pk}/rotate/", {}, format="json").status_code == 201

    def test_the_host_sets_the_ceiling(self, boss, settings):
        client = signed_in(boss)
        made = client.post(self.URL, {"name": "x"}, format="json").json()["data"]
        answer = client.patch(f"{self.URL}{made['id']}/", {"rate_limit": 60_001}, format="json")
        assert refused(answer, 400)["errors"][0]["field"] == "rate_limit"
        answer = client.patch(f"{self.URL}{made['id']}/", {"rate_limit": 60_000}, format="json")
        assert answer.status_code == 200

    def test_there_is_an_end_to_making_them(self, boss, settings):
        settings.QUOTA_KEYS = 2
        client = signed_in(boss)
        made = [client.post(self.URL, {"name": "x"}, format="json") for _ in range(3)]
        assert [answer.status_code for answer in made] == [201, 201, 409]
        message = refused(made[-1], 409, "quota_reached")["message"]
        assert "QUOTA_KEYS" in message
        assert "2 API keys" in message
        client.delete(f"{self.URL}{made[0].json()['data']['id']}/")
        assert client.post(self.URL, {"name": "x"}, format="json").status_code == 201

    def test_in_the_admin_neither(self, organization, root):
        from django.contrib.auth.models import Permission

        staff = UserFactory(organization=organization, role="operator", is_staff=True)
        staff.user_permissions.add(*Permission.objects.filter(codename__endswith="_apikey"))
        strong, _ = ApiKey.objects.issue(organization=organization, name="s", scopes=["users:write"])
        weak, _ = ApiKey.objects.issue(organization=organization, name="w", scopes=["users:read"])
        browser = Client()
        browser.force_login(staff)
        answer = browser.post(f"/admin/users/apikey/{strong.pk}/change/", {"name": "x", "rate_limit": 1})
        assert answer.status_code == 403
        chosen = {"action": "revoke", "_selected_action": [str(strong.pk), str(weak.pk)]}
        browser.post("/admin/users/apikey/", chosen)
        strong.refresh_from_db()
        weak.refresh_from_db()
        assert (strong.revoked_at, weak.revoked_at is None) == (None, False)

    @pytest.mark.parametrize(
        ("address", "code"), [("203.0.113.7", 200), ("203.0.114.7", 403), ("2001:db8::1", 403)]
    )
    def test_an_allow_list_of_addresses(self, address, code, organization, settings):
        settings.NUM_PROXIES = 1
        _, plain = self.keys_key(organization, addresses=["203.0.113.0/24"])
        answer = self.client(plain).get("/api/v1/users/", headers={"X-Forwarded-For": address})
        assert answer.status_code == code, answer.content
        if code == 403:
            refused(answer, 403, "address_not_allowed")

    @pytest.mark.parametrize("wrong", ["x", "203.0.113.1/24", "203.0.113.0/33", "", "::/129"])
    def test_a_wrong_network_is_named(self, wrong, boss):
        answer = signed_in(boss).post(self.URL, {"name": "x", "addresses": [wrong]}, format="json")
        assert refused(answer, 400)["errors"][0]["field"].startswith("addresses")

    def test_a_rotated_key_keeps_its_addresses(self, boss):
        client = signed_in(boss)
        body = {"name": "x", "addresses": ["203.0.113.0/24", "2001:db8::1"]}
        made = client.post(self.URL, body, format="json").json()["data"]
        assert made["addresses"] == ["203.0.113.0/24", "2001:db8::1/128"]
        new = client.post(f"{self.URL}{made['id']}/rotate/", {}, format="json").json()["data"]
        assert new["addresses"] == made["addresses"]


class TestFanOut:
    def test_a_person_keeps_the_devices_that_were_registered_last(self, api, user, settings, version):
        settings.DEVICES_A_PERSON = 3
        path = f"/api/v1/users/{user.pk}/devices/"
        Device.objects.update(updated_at=timezone.now() - timedelta(days=1))
        for number in range(300 // 60):
            body = {"token": f"token-{number}-of-many", "platform": "ios"}
            assert api.post(path, body, format="json").status_code == 201
        assert Device.objects.active().count() == 3
        assert post(api, user, channels=["push"]).status_code == 202
        assert PushLog.objects.count() == 3

    def test_nobody_fills_the_organizations_quota_alone(self, user, settings):
        settings.DEVICES_A_PERSON, settings.QUOTA_DEVICES = 2, 6
        client, path = signed_in(user), f"/api/v1/users/{user.pk}/devices/"
        for number in range(10):
            body = {"token": f"token-{number}-of-many", "platform": "ios"}
            assert client.post(path, body, format="json").status_code == 201
        assert Device.objects.active().filter(user=user).count() == 2
        assert Device.objects.count() == 4
        other = UserFactory(organization=user.organization)
        body = {"token": "anothers-token-1", "platform": "ios"}
        answer = signed_in(other).post(f"/api/v1/users/{other.pk}/devices/", body, format="json")
        assert answer.status_code == 201

    def test_devices_from_before_the_limit_are_not_all_sent_to(self, api, user, settings, version):
        settings.DEVICES_A_PERSON = 2
        for _ in range(5):
            DeviceFactory(user=user)
        post(api, user, channels=["push"])
        assert PushLog.objects.count() == 2

    def test_many_devices_cost_as_much_of_the_quota_as_many_people(
        self, api, user, settings, version, unpublished, monkeypatch
    ):
        from apps.users.access import throttling

        monkeypatch.setattr(throttling, "_over", {})
        settings.RATE_LIMIT_ITEMS = 20
        for _ in range(9):
            DeviceFactory(user=user)
        item = {"user_id": str(user.pk), "template_code": "hello", "variables": {"name": "Ada"}}
        assert post(api, user).status_code == 202
        batch = {"notifications": [item, item]}
        assert api.post("/api/v1/notifications/batch/", batch, format="json").status_code == 202
        refused(post(api, user), 429, "rate_limited")
        answer = api.post("/api/v1/notifications/batch/", batch, format="json")
        assert int(refused(answer, 429, "rate_limited") and answer["Retry-After"]) <= 60

    def test_templates_and_devices_have_quotas(self, api, user, settings, version):
        settings.QUOTA_TEMPLATES, settings.QUOTA_DEVICES = 1, 1
        answer = api.post("/api/v1/templates/", {"code": "second", "name": "Second"}, format="json")
        assert "QUOTA_TEMPLATES" in refused(answer, 409, "quota_reached")["message"]
        answer = api.post(
            f"/api/v1/users/{user.pk}/devices/", {"token": "one-more-token", "platform": "web"}, format="json"
        )
        assert "QUOTA_DEVICES" in refused(answer, 409, "quota_reached")["message"]

    @pytest.mark.parametrize(
        "kind",
        ["users/category", "templates/template", "templates/layout", "templates/partial", "users/apikey"],
    )
    def test_they_hold_in_the_admin_too(self, kind, root, settings):
        for name in ("QUOTA_TEMPLATES", "QUOTA_PARTS", "QUOTA_CATEGORIES", "QUOTA_KEYS"):
            setattr(settings, name, 1)
        browser = Client()
        browser.force_login(root)
        codes = []
        for code in "ab":
            entered = {
                "organization": root.organization_id, "code": code, "name": code, "on_unknown": "hold",
                "scopes": "users:read", "live": "True", "text": "{{ content }}", "source_format": "html",
            }  # fmt: skip
            answer = browser.post(f"/admin/{kind}/add/", entered)
            codes.append(answer.status_code)
        assert codes == [302, 200]
        assert "which is its quota" in answer.content.decode()

    @pytest.mark.parametrize(
        ("path", "quota", "named"),
        [
            ("categories/", "QUOTA_CATEGORIES", "code"),
            ("templates/layouts/", "QUOTA_PARTS", "name"),
            ("templates/partials/", "QUOTA_PARTS", "name"),
        ],
    )
    def test_so_have_categories_layouts_and_partials(self, path, quota, named, api, settings):
        setattr(settings, quota, 1)
        rest = {"name": "News"} if path == "categories/" else {"text": "{{ content }}"}

        def added(name):
            return api.post(f"/api/v1/{path}", {**rest, named: name}, format="json")

        assert added("first").status_code == 201
        assert quota in refused(added("second"), 409, "quota_reached")["message"]

    def test_layouts_are_not_counted_for_partials(self, organization, settings, monkeypatch):
        settings.QUOTA_PARTS = 1
        # As where it is so large that a count stands for a while.
        monkeypatch.setattr(quotas, "LARGE", 0)
        Layout.objects.create(organization=organization, name="brand", text="{{ content }}")
        assert quotas.reached("QUOTA_PARTS", organization.pk, Layout.objects.all())
        assert not quotas.reached("QUOTA_PARTS", organization.pk, Partial.objects.all())


class TestSessions:
    def login(self):
        answer = APIClient().post(
            "/api/v1/auth/login/", {"email": "ada@example.com", "password": PASSWORD}, format="json"
        )
        return answer.json()["data"]

    def me(self, access):
        client = APIClient()
        return client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {access}"}).status_code

    def refresh(self, token):
        return APIClient().post("/api/v1/auth/refresh/", {"refresh": token}, format="json")

    @pytest.mark.parametrize("names", [None, ["is_active"]])
    @pytest.mark.parametrize("what", ["API", "person", "organization"])
    def test_what_was_given_out_before_it_was_switched_off_stays_dead(self, what, names, member, api):
        tokens = self.login()
        assert self.me(tokens["access"]) == 200
        for active in (False, True):
            if what == "API":
                path = f"/api/v1/users/{member.pk}/"
                assert api.patch(path, {"is_active": active}, format="json").status_code == 200
            else:
                switched = member if what == "person" else member.organization
                switched.is_active = active
                switched.save(update_fields=names)
        assert self.me(tokens["access"]) == 401
        assert self.refresh(tokens["refresh"]).status_code == 401
        assert self.me(self.login()["access"]) == 200

    @pytest.mark.parametrize("what", ["person", "organization"])
    def test_so_do_the_admins_sessions_and_links_of_resets(self, what, member, settings):
        settings.PUBLIC_URL = "https://notify.example.com"
        User.objects.filter(pk=member.pk).update(is_staff=True)
        browser = Client()
        entered = {"username": member.email, "password": PASSWORD}
        assert browser.post("/admin/login/?next=/admin/", entered).status_code == 302
        assert browser.get("/admin/").status_code == 200
        member.refresh_from_db()
        link = links.page_for(member).removeprefix(settings.PUBLIC_URL)
        assert Client().get(link).status_code == 200
        switched = member if what == "person" else member.organization
        for active in (False, True):
            switched.is_active = active
            switched.save()
        assert browser.get("/admin/").status_code == 302
        assert Client().get(link).status_code == 404
        assert browser.post("/admin/login/?next=/admin/", entered).status_code == 302
        assert browser.get("/admin/").status_code == 200

    def test_a_refresh_that_is_shown_twice_ends_its_family(self, member):
        first = self.login()["refresh"]
        other = self.login()["refresh"]
        second = self.refresh(first).json()["data"]["refresh"]
        third = self.refresh(second).json()["data"]["refresh"]
        refused(self.refresh(first), 401, "invalid_token")
        for token in (second, third):
            refused(self.refresh(token), 401, "invalid_token")
        assert self.refresh(other).status_code == 200

    def test_so_does_one_that_is_shown_twice_at_once(self, member, monkeypatch):
        token = self.login()["refresh"]
        validate, others = sessions._valid, []

        def meanwhile(refresh):
            found = validate(refresh)
            if not others:
                others.append(None)
                others.append(self.refresh(token).json()["data"]["refresh"])
            return found

        monkeypatch.setattr(sessions, "_valid", meanwhile)
        refused(self.refresh(token), 401, "invalid_token")
        refused(self.refresh(others[1]), 401, "invalid_token")

    def test_renewing_has_an_end(self, member, settings):
        token = self.login()["refresh"]
        settings.SESSION_LONGEST = timedelta(days=5)
        from rest_framework_simplejwt.tokens import UntypedToken

        renewed = self.refresh(token).json()["data"]["refresh"]
        claims = UntypedToken(renewed).payload
        assert claims["exp"] == claims["began"] + 5 * 86400
        settings.SESSION_LONGEST = timedelta(0)
        refused(self.refresh(renewed), 401, "invalid_token")


class TestMasking:
    def test_texts_show_no_address_that_a_column_masks(self, api, user, version, unpublished):
        from apps.notifications.channels.email.log import EmailLog
        from apps.notifications.models import DeadLetter, Event

        post(api, user, channels=["email"])
        reply = "550 5.1.1 <ada@example.com>: no such user"
        row = EmailLog.objects.get()
        EmailLog.objects.update(error_detail=reply)
        Event.objects.create(notification_id=row.notification_id, kind="failed", data={"detail": reply})
        DeadLetter.objects.create(
            organization=user.organization, notification_id=row.notification_id, delivery_id=row.pk,
            channel="email", reason="mailbox_unknown", detail=reply,
        )  # fmt: skip
        Suppression.objects.create(
            organization=user.organization, channel="email", recipient_hash="0", reason="x", detail=reply,
            recipient="ada@example.com",
        )  # fmt: skip
        for path in (
            f"notifications/{row.notification_id}/", f"notifications/{row.notification_id}/events/",
            "notifications/", "dead-letters/", "suppressions/",
        ):  # fmt: skip
            shown = api.get(f"/api/v1/{path}").content.decode()
            assert "ada@example.com" not in shown, path
            assert "a***@example.com" in shown, path

    @pytest.mark.parametrize(
        "query",
        ["email__startswith=a", "email__regex=^a", "recipient_hash=x", "notification__user__email__lt=b"],
    )
    def test_no_query_of_the_admin_guesses_one(self, query, root):
        browser = Client()
        browser.force_login(root)
        assert browser.get(f"/admin/notifications/emaillog/?{query}").status_code == 400
        assert browser.get("/admin/notifications/emaillog/?status__exact=sent").status_code == 200


def test_every_role_is_within_the_administrators(db):
    assert all(ROLE_SCOPES[Role.ADMIN] >= scopes for scopes in ROLE_SCOPES.values())
