"""Email addresses through every door: one mailbox is one, however it is spelled, and what is taken can be sent."""

import importlib

import pytest
from django.apps import apps
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.email.mime import Envelope
from apps.notifications.models import DeadLetter, Suppression
from apps.users.models import User
from apps.users.recipient_hashes import keyed_hash, recipient_hash
from tests.conftest import client_for, settled
from tests.lib.test_email_addresses import BAD, addresses
from tests.support.factories import OrganizationFactory, UserFactory
from tests.support.routes import refused

URL = "/api/v1/notifications/"
REQUEST = {"template_code": "hello", "channels": ["email"], "variables": {"name": "x"}}


def send_to(api, address):
    return api.post(URL, {**REQUEST, "recipient": {"email": address}}, format="json")


def status_of(answer):
    assert answer.status_code == 202, answer.content
    return answer.json()["data"]["deliveries"][0]["status"]


def former_hash(address):
    """What the release before hashed: trimmed, and Python's lower case."""
    return keyed_hash(f"email\0{address.strip().lower()}".encode())


SPELLINGS = [
    ("kim@bücher.example", "kim@xn--bcher-kva.example"),
    ("kim@xn--bcher-kva.example", "kim@bücher.example"),
    ("kim@xn--bcher-kva.example", "KIM@BÜCHER.example"),
    ("sup3@example.com", '"sup3"@example.com'),
    ('"sup3"@example.com', "SUP3@example.com"),
    ("kim@example.com", "kim@ｅxample.com"),
    ("kim@example.com", "kim@example。com"),
    ('"a b"@example.com', '"a\\ b"@EXAMPLE.com'),
    ("pelé@example.com", "pele\u0301@example.com"),
    ("kim@[IPv6:2001:db8::1]", "kim@[IPv6:2001:0DB8:0::1]"),
    ("用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah"),
]


@pytest.mark.parametrize(("suppressed", "named"), SPELLINGS)
def test_a_suppression_holds_for_every_spelling(suppressed, named, api, version):
    made = api.post("/api/v1/suppressions/", {"channel": "email", "recipient": suppressed}, format="json")
    assert made.status_code == 201, made.content
    assert status_of(send_to(api, named)) == "skipped"
    again = api.post("/api/v1/suppressions/", {"channel": "email", "recipient": named}, format="json")
    assert (again.status_code, again.json()["data"]["id"]) == (200, made.json()["data"]["id"])
    for spelling in (suppressed, named):
        found = api.get("/api/v1/suppressions/", {"recipient": spelling}).json()["data"]
        assert [row["id"] for row in found] == [made.json()["data"]["id"]]


@pytest.mark.parametrize(("stored", "named"), SPELLINGS)
def test_a_person_is_one_in_every_spelling(stored, named, api, organization):
    made = api.post("/api/v1/users/", {"email": stored}, format="json")
    assert made.status_code == 201, made.content
    found = api.get("/api/v1/users/", {"email": named}).json()["data"]
    assert [row["id"] for row in found] == [made.json()["data"]["id"]]
    problem = refused(api.post("/api/v1/users/", {"email": named}, format="json"), 400)
    assert problem["errors"][0]["code"] == "unique"


# A NUL, and half a character, are refused before anybody asks what they are.
@pytest.mark.parametrize("address", [one for one in BAD if not set("\0\ud800") & set(one)], ids=ascii)
def test_what_is_no_address_is_a_400_at_every_door(address, api, version):
    problem = refused(send_to(api, address), 400, "validation_error")
    assert [entry["field"] for entry in problem["errors"]] == ["recipient.email"]
    for url, body in (
        ("/api/v1/users/", {"email": address}),
        ("/api/v1/suppressions/", {"channel": "email", "recipient": address}),
    ):
        problem = refused(api.post(url, body, format="json"), 400, "validation_error")
        assert [entry["field"] for entry in problem["errors"]] == [list(body)[-1]]
    assert not EmailLog.objects.exists()
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("address", ["kim", "kim@example.com\u200b", "kim@[::1]"])
def test_a_search_for_what_is_no_address_finds_no_person(address, api, user):
    answer = api.get("/api/v1/users/", {"email": address})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


# One database for all examples: each makes rows of its own, and none looks at another's.
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(address=addresses)
def test_202_means_that_the_sender_can_build_it(address, api, version):
    answer = send_to(api, address)
    assert answer.status_code in (202, 400), answer.content
    if answer.status_code == 202:
        row = EmailLog.objects.get(pk=answer.json()["data"]["deliveries"][0]["id"])
        built = Envelope.of(
            EmailMessage("<1@example.org>", "Kim <kim@example.org>", row.email, "s", "h", "t")
        )
        assert built.to == row.email
        assert row.recipient_hash == recipient_hash("email", address)


@pytest.mark.usefixtures("worker", "version")
@pytest.mark.parametrize(
    ("address", "command"),
    [
        ('"a<b"@example.com', 'RCPT TO:<"a<b"@example.com>'),
        ('"a b, c"@example.com', 'RCPT TO:<"a b, c"@example.com>'),
        ('"a\\"b"@example.com', 'RCPT TO:<"a\\"b"@example.com>'),
        ("kim@[IPv6:2001:db8::1]", "RCPT TO:<kim@[IPv6:2001:db8::1]>"),
        ("kim@bücher.example", "RCPT TO:<kim@xn--bcher-kva.example>"),
        ("用户@例え.テスト", "RCPT TO:<用户@xn--r8jz45g.xn--zckzah>"),
    ],
)
def test_it_is_sent_as_it_is_written(address, command, api, smtp):
    send_to(api, address)
    settled("sent")
    assert smtp.lines("RCPT") == [command]
    (mail,) = smtp.lines("MAIL")
    assert ("SMTPUTF8" in mail) == (not command.isascii())
    written = command.removeprefix("RCPT TO:<").removesuffix(">")
    assert f"\r\nTo: {written}\r\n".encode() in smtp.messages[0].data


@pytest.mark.usefixtures("worker", "version")
def test_where_the_relay_lacks_smtputf8_it_fails_and_is_kept(api, smtp):
    smtp.scripts["ehlo"] = "250-test.invalid\n250 PIPELINING"
    send_to(api, "pelé@example.com")
    (row,) = settled("failed")
    assert row.error_code == "smtputf8_unavailable"
    assert "does not offer SMTPUTF8" in row.error_detail
    assert not Suppression.objects.exists()
    assert smtp.lines("MAIL") == []
    assert DeadLetter.objects.filter(delivery_id=row.pk).exists()


class TestAfterAnUpgrade:
    """Rows of the release before, whose hashes knew one mailbox as several."""

    def run(self, app, name, function):
        module = importlib.import_module(f"apps.{app}.migrations.{name}")
        getattr(module, function)(apps, None)

    def suppress(self, organization, address, **fields):
        return Suppression.objects.create(
            organization=organization, channel="email", recipient=address, reason="mailbox_unknown",
            recipient_hash=former_hash(address), **fields,
        )  # fmt: skip

    @pytest.mark.parametrize(
        "was",
        [
            "kim@bücher.example", "Kim@BÜCHER.example", '"kim"@xn--bcher-kva.example', "kim@xn--bcher-kva.example",
            "kim@bü\u00adcher.example", "kim@bücher.example\u200b", '"kim"@bücher.example', "kim@Bücher.example",
            "KIM@XN--BCHER-KVA.EXAMPLE", "kim@bu\u0308cher.example",
        ],
    )  # fmt: skip
    def test_no_suppression_is_lost(self, was, api, organization, version):
        self.suppress(organization, was)
        self.run("notifications", "0004_one_hash_a_mailbox", "rehash")
        assert status_of(send_to(api, "kim@bücher.example")) == "skipped"

    def test_several_of_one_mailbox_become_one_and_the_others_say_why(self, api, organization, version):
        first = self.suppress(organization, "kim@bücher.example")
        self.suppress(organization, '"kim"@bücher.example')
        self.suppress(organization, "kim@xn--bcher-kva.example")
        elsewhere = self.suppress(OrganizationFactory(), "kim@bücher.example")
        self.run("notifications", "0004_one_hash_a_mailbox", "rehash")
        assert Suppression.objects.active().filter(organization=organization).count() == 1
        assert Suppression.objects.active().filter(pk=elsewhere.pk).exists()
        assert set(Suppression.objects.exclude(lifted_at=None).values_list("lifted_by", "lift_reason")) == {
            ("upgrade", "The same mailbox is suppressed in another spelling.")
        }
        assert len({row.recipient_hash for row in Suppression.objects.all()}) == 1
        assert status_of(send_to(api, first.recipient)) == "skipped"
        # Again it changes nothing.
        before = list(Suppression.objects.order_by("pk").values())
        self.run("notifications", "0004_one_hash_a_mailbox", "rehash")
        assert list(Suppression.objects.order_by("pk").values()) == before

    @pytest.mark.parametrize(
        "was", ["kim@bücher.example", '"kim"@xn--bcher-kva.example', '"KIM"@BÜCHER.example']
    )
    def test_an_erased_persons_is_known_once_a_request_names_it(self, was, api, organization, version):
        row = self.suppress(organization, was)
        Suppression.objects.update(recipient="")
        assert status_of(send_to(api, "kim@bücher.example")) == "skipped"
        row.refresh_from_db()
        assert row.recipient_hash == recipient_hash("email", "kim@bücher.example")

    def test_neither_is_anothers(self, organization, version):
        row = self.suppress(OrganizationFactory(), "kim@bücher.example")
        Suppression.objects.update(recipient="")
        assert status_of(send_to(client_for(organization), "kim@bücher.example")) == "queued"
        row.refresh_from_db()
        assert row.recipient_hash == former_hash("kim@bücher.example")

    def test_people_and_deliveries_get_the_one_spelling(self, api, organization, version):
        send_to(api, "kim@bücher.example")
        EmailLog.objects.update(email="kim@bücher.example", recipient_hash=former_hash("kim@bücher.example"))
        person, twin, plain = UserFactory.create_batch(3, organization=organization)
        User.objects.filter(pk=person.pk).update(email="Kim@bücher.example")
        User.objects.filter(pk=twin.pk).update(email='"kim"@bücher.example')
        self.run("notifications", "0004_one_hash_a_mailbox", "rehash")
        self.run("users", "0006_addresses_in_one_spelling", "respell")
        row = EmailLog.objects.get()
        assert (row.email, row.recipient_hash) == (
            "kim@xn--bcher-kva.example", recipient_hash("email", "kim@bücher.example"),
        )  # fmt: skip
        emails = dict(User.objects.values_list("pk", "email"))
        assert emails[person.pk] == "Kim@xn--bcher-kva.example"
        # Another person has that address already: it stays, and still leads to the same mailbox.
        assert emails[twin.pk] == '"kim"@bücher.example'
        assert emails[plain.pk] == plain.email


def test_an_erasure_finds_every_spelling(api, organization, version, capsys):
    assert status_of(send_to(api, "kim@bücher.example")) == "queued"
    call_command("erase_user", '"kim"@XN--BCHER-KVA.example')
    assert EmailLog.objects.get().email == ""


def test_commands_and_forms_store_the_one_spelling(organization):
    person = User.objects.create_user("Kim@BÜCHER.example", organization=organization)
    assert User.objects.get(pk=person.pk).email == person.email == "Kim@xn--bcher-kva.example"
    person.email = '"sup3"@example.com'
    person.full_clean(exclude=["password"])
    person.save()
    assert User.objects.get(pk=person.pk).email == "sup3@example.com"
