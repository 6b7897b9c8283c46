"""People: added, found, changed, deleted; their preferences and devices."""

import pytest

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.notifications.models import Notification
from apps.users.models import Device, User
from tests.conftest import post
from tests.support.factories import DeviceFactory, UserFactory
from tests.support.routes import refused

FIELDS = {
    "id", "email", "phone", "name", "language", "timezone", "quiet_from", "quiet_until", "role", "is_active",
    "created_at",
}  # fmt: skip


def test_a_person_is_added_read_changed_and_deleted(api, organization):
    answer = api.post("/api/v1/users/", {"email": "Grace@Example.com", "name": "Grace", "language": "fr-CA"})

    assert answer.status_code == 201
    shown = answer.json()["data"]
    assert set(shown) == FIELDS
    assert shown | {"id": "", "created_at": ""} == {
        "id": "", "email": "Grace@Example.com", "phone": "", "name": "Grace", "language": "fr-CA", "timezone": "UTC",
        "quiet_from": None, "quiet_until": None,
        "role": "member", "is_active": True, "created_at": "",
    }  # fmt: skip
    url = f"/api/v1/users/{shown['id']}/"
    assert api.get(url).json()["data"] == shown
    changed = api.patch(url, {"name": "Grace H.", "timezone": "Europe/Paris"}).json()["data"]
    assert changed == {**shown, "name": "Grace H.", "timezone": "Europe/Paris"}
    assert api.patch(url, {}).json()["data"] == changed
    # What was read can be sent back.
    assert api.patch(url, changed).json()["data"] == changed
    answer = api.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")
    refused(api.get(url), 404)
    refused(api.delete(url), 404)


def test_who_is_added_cant_sign_in(api, organization):
    api.post("/api/v1/users/", {"email": "b@example.com"})

    person = User.objects.get(email="b@example.com")

    assert not person.has_usable_password()
    assert (person.organization, person.is_staff, person.is_superuser) == (organization, False, False)


@pytest.mark.parametrize("field", ["password", "is_staff", "is_superuser", "organization", "organization_id"])
def test_nobody_sets_what_isnt_theirs_to_set(field, api, user):
    answer = api.patch(f"/api/v1/users/{user.pk}/", {field: True})
    assert [entry["code"] for entry in refused(answer, 400)["errors"]] == ["unknown_field"]


def test_an_address_is_one_persons(api, user, organization):
    other = UserFactory(organization=organization, email="b@example.com")
    for answer in (
        api.post("/api/v1/users/", {"email": "ADA@example.COM"}),
        api.patch(f"/api/v1/users/{other.pk}/", {"email": "Ada@example.com"}),
    ):
        (entry,) = refused(answer, 400, "validation_error")["errors"]
        assert (entry["field"], entry["code"]) == ("email", "unique")
    # One's own in another spelling is no other's.
    assert api.patch(f"/api/v1/users/{user.pk}/", {"email": "Ada@example.com"}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_at_once_get_one_address(api, monkeypatch):
    from apps.users.api.serializers.users import UserSerializer

    # The look that both took before either wrote.
    monkeypatch.setattr(UserSerializer, "validate_email", lambda self, value: value)
    assert api.post("/api/v1/users/", {"email": "b@example.com"}).status_code == 201

    refused(api.post("/api/v1/users/", {"email": "B@example.com"}), 409, "conflict")

    assert User.objects.filter(User.at("b@example.com")).count() == 1


def test_the_logs_outlive_a_person(api, user, version):
    identity = post(api, user).json()["data"]["id"]

    assert api.delete(f"/api/v1/users/{user.pk}/").status_code == 204

    assert Notification.objects.get(pk=identity).user_id is None
    assert (EmailLog.objects.count(), PushLog.objects.count(), Device.objects.count()) == (1, 1, 0)
    assert len(api.get(f"/api/v1/notifications/{identity}/").json()["data"]["deliveries"]) == 2


def test_preferences_change_by_channel(api, user):
    url = f"/api/v1/users/{user.pk}/preferences/"

    def shown(email, push):
        return {"email": email, "push": push, "sms": True, "categories": {}}

    assert api.get(url).json()["data"] == shown(True, True)

    assert api.patch(url, {"email": False}).json()["data"] == shown(False, True)
    assert api.patch(url, {}).json()["data"] == shown(False, True)
    assert api.patch(url, {"push": False}).json()["data"] == shown(False, False)
    assert api.patch(url, {"email": True, "push": False}).json()["data"] == shown(True, False)

    assert api.get(url).json()["data"] == shown(True, False)
    assert user.preferences.count() == 2


def test_a_channel_switched_off_is_skipped(api, user, version):
    api.patch(f"/api/v1/users/{user.pk}/preferences/", {"email": False})

    rows = {row["channel"]: row for row in post(api, user).json()["data"]["deliveries"]}

    assert (rows["email"]["status"], rows["push"]["status"]) == ("skipped", "queued")
    assert rows["email"]["reason"]


def test_a_person_has_many_devices(api, user):
    url = f"/api/v1/users/{user.pk}/devices/"
    answer = api.post(url, {"token": "tablet-token-0002", "platform": "web", "name": "Tablet"})

    assert answer.status_code == 201
    shown = answer.json()["data"]
    assert set(shown) == {"id", "platform", "name", "retired_at", "created_at", "updated_at"}
    assert "tablet-token" not in answer.content.decode()
    assert [row["id"] for row in api.get(url).json()["data"]][-1] == shown["id"]
    assert user.devices.count() == 2
    assert api.get(f"{url}{shown['id']}/").json()["data"] == shown
    assert api.patch(f"{url}{shown['id']}/", {"name": "Pad"}).json()["data"]["name"] == "Pad"
    assert api.delete(f"{url}{shown['id']}/").status_code == 204
    refused(api.get(f"{url}{shown['id']}/"), 404)


def test_a_token_registered_again_moves(api, user, organization):
    device = user.devices.get()
    Device.objects.update(name="Ada's phone", retired_at=device.created_at)
    other = UserFactory(organization=organization)

    answer = api.post(
        f"/api/v1/users/{other.pk}/devices/", {"token": "ada-phone-token-0001", "platform": "ios"}
    )

    assert answer.status_code == 200
    moved = Device.objects.get()
    assert (moved.user, moved.platform, moved.retired_at, moved.name) == (other, "ios", None, "")
    assert api.get(f"/api/v1/users/{user.pk}/devices/").json()["data"] == []
    refused(api.get(f"/api/v1/users/{user.pk}/devices/{moved.pk}/"), 404)


def test_a_device_gets_a_new_token(api, user, organization):
    device = user.devices.get()
    Device.objects.update(retired_at=device.created_at)
    url = f"/api/v1/users/{user.pk}/devices/{device.pk}/"

    assert api.patch(url, {"name": "Phone"}).json()["data"]["retired_at"] is not None
    assert api.patch(url, {"token": "ada-phone-token-0002"}).json()["data"]["retired_at"] is None

    device.refresh_from_db()
    assert Device.objects.active().retire(token_hash=device.token_hash) == 1


def test_a_device_takes_a_token_over(api, user, organization):
    theirs = DeviceFactory(user=UserFactory(organization=organization), token="shared-token-0001")
    device = user.devices.get()

    answer = api.patch(f"/api/v1/users/{user.pk}/devices/{device.pk}/", {"token": "shared-token-0001"})

    assert answer.status_code == 200
    assert not Device.objects.filter(pk=theirs.pk).exists()
    assert user.devices.get().token == "shared-token-0001"


def test_a_device_belongs_to_the_person_in_the_url(api, user, organization):
    theirs = DeviceFactory(user=UserFactory(organization=organization))
    url = f"/api/v1/users/{user.pk}/devices/{theirs.pk}/"
    refused(api.get(url), 404)
    refused(api.patch(url, {"name": "x"}), 404)
    refused(api.delete(url), 404)
    assert Device.objects.filter(pk=theirs.pk).exists()


def test_people_are_found_by_their_number_in_any_spelling(api, user, organization):
    other = UserFactory(organization=organization, email="grace@example.com", phone="+14155550123")
    User.objects.filter(pk=user.pk).update(phone="+14155550123")
    for query, found in {
        "%2B1%20(415)%20555-0123": {str(user.pk), str(other.pk)},
        "%2B14155550123&email=grace@example.com": {str(other.pk)},
        "%2B14155550124": set(),
    }.items():
        answer = api.get(f"/api/v1/users/?phone={query}")
        assert {row["id"] for row in answer.json()["data"]} == found, query


@pytest.mark.parametrize("query", ["+14155550123", "4155550123", "", "x"])
def test_a_number_without_its_plus_is_400(query, api, user):
    answer = api.get(f"/api/v1/users/?phone={query}")
    assert answer.status_code == 400
    assert [entry["field"] for entry in answer.json()["errors"]] == ["phone"]
