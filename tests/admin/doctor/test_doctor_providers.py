"""`manage.py doctor` on the mail relay and on FCM: checked with the providers' own code, nothing sent."""

import pytest
from django.conf import settings as configured

from notifier.local import fcm_answers
from scripts.private_services.process import free_port
from tests.notifications.channels.email.test_smtp_provider import certificate
from tests.support.admin_visits import PASSWORD, TOKEN, visit
from tests.support.smtp_server import ScriptedSmtpServer

pytestmark = pytest.mark.skipif(configured.LOCAL, reason="the local default has no connections to look at")


def test_accounts_of_two_channels_with_one_name(settings, transactional_db):
    settings.EMAIL_PROVIDER_URL = "postmark://?key=k&name=main resend://?key=k&name=other"
    settings.SMS_PROVIDER_URL = f"twilio://AC{'0' * 32}?key=k&from=%2B15005550006&name=main"
    sentence = visit().sentence("settings")
    assert sentence.startswith("Accounts of several channels are called main: ")
    assert sentence.endswith("Give each URL a name= of its own.")


def test_the_sandbox_may_stand_for_every_channel(settings, transactional_db):
    settings.EMAIL_PROVIDER_URL = settings.PUSH_PROVIDER_URL = settings.SMS_PROVIDER_URL = "sandbox://"
    assert not visit().sentences("settings")


# --- Email ------------------------------------------------------------------------------------------------


def with_password(server, options):
    return f"smtp://ada:{PASSWORD}@{server.host}:{server.port}/?{options}"


@pytest.mark.parametrize(
    "refusal", ["535 5.7.8 Error: authentication failed", "535 5.7.139 password expired"]
)
def test_a_password_that_is_refused_or_expired(refusal, settings, transactional_db):
    with ScriptedSmtpServer(capabilities=("AUTH PLAIN LOGIN",), auth=refusal) as server:
        settings.EMAIL_PROVIDER_URL = with_password(server, "tls=none")
        found = visit()
        assert not server.lines("MAIL")
    sentence = found.sentence("email")
    assert (
        f"refuses the user name or password (auth_failed): auth: {refusal}. The password may be wrong, "
        in sentence
    )
    assert "expired" in sentence
    assert PASSWORD not in found.text


def test_a_session_that_stands_ends_with_quit(settings, transactional_db):
    with ScriptedSmtpServer(capabilities=("AUTH PLAIN",)) as server:
        settings.EMAIL_PROVIDER_URL = with_password(server, "tls=none")
        found = visit()
        assert server.credentials == [("ada", PASSWORD)]
        assert [line.split()[0] for line in server.lines()] == ["EHLO", "AUTH", "QUIT"]
    assert "accepts us as ada; nothing was sent." in found.sentence("email", "ok")
    assert "is sent unencrypted" in found.sentence("email", "warning")


@pytest.mark.parametrize(
    ("host", "trusted", "expected"),
    [
        ("127.0.0.1", True, "accepts us as ada"),
        ("127.0.0.1", False, "shows a certificate that is not trusted (certificate_invalid)"),
        ("192.0.2.1", True, "shows a certificate that is not trusted (certificate_invalid)"),
    ],
    ids=["right", "unknown authority", "another host's"],
)
def test_the_relays_certificate(host, trusted, expected, settings, tmp_path, transactional_db):
    context, path = certificate(tmp_path, host)
    with ScriptedSmtpServer(tls=context, capabilities=("AUTH PLAIN",)) as server:
        settings.EMAIL_PROVIDER_URL = with_password(server, f"tls=starttls&ca={path if trusted else ''}")
        found = visit()
    assert expected in found.sentence("email", "ok" if "accepts" in expected else "wrong")


def test_a_relay_without_tls_and_an_authority_without_file(settings, transactional_db):
    with ScriptedSmtpServer() as server:
        settings.EMAIL_PROVIDER_URL = with_password(server, "tls=starttls")
        assert "does not support TLS as configured (tls_failed)" in visit().sentence("email")
        settings.EMAIL_PROVIDER_URL = with_password(server, "ca=/nowhere.pem")
        assert "EMAIL_PROVIDER_URL can't be used: " in visit().sentence("email")


# --- Push -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "no json", "{}"])
def test_a_service_account_that_cannot_be_used(content, settings, tmp_path, transactional_db):
    path = tmp_path / "account.json"
    if content is not None:
        path.write_text(content)
    settings.PUSH_PROVIDER_URL = f"fcm://my-project/?credentials={path}"
    sentence = visit().sentence("push")
    assert sentence.startswith(f"The FCM service account file {path} can't be used: ")
    assert sentence.endswith("Correct PUSH_PROVIDER_URL, or let this user read the file.")


def test_another_project_than_the_accounts(fcm, settings, transactional_db):
    settings.PUSH_PROVIDER_URL = settings.PUSH_PROVIDER_URL.replace("fcm://stand-in", "fcm://another")
    sentence = visit().sentence("push")
    assert sentence.startswith(
        "FCM does not accept us for the project another, "
        "and the service account belongs to the project stand-in (not_found): 404"
    )
    assert sentence.endswith("Correct the project id after fcm://, or base_url=.")


def test_an_account_without_the_right_to_send(fcm, transactional_db):
    fcm.script(TOKEN, fcm_answers.permission_denied())
    sentence = visit().sentence("push")
    assert sentence.startswith("FCM does not accept us for the project stand-in (permission_denied): 403")
    assert "Use a service account of this project" in sentence


def test_a_key_that_google_no_longer_takes(fcm, transactional_db):
    fcm.script("oauth", fcm_answers.invalid_grant())
    assert "gets no access token (auth_refused): " in visit().sentence("push")


def test_fcm_out_of_reach(fcm, settings, transactional_db):
    settings.PUSH_PROVIDER_URL = settings.PUSH_PROVIDER_URL.replace(
        fcm.base_url, f"http://127.0.0.1:{free_port()}"
    )
    assert visit().sentence("push").startswith("FCM can't be reached at http://127.0.0.1:")


# --- Sandbox ----------------------------------------------------------------------------------------------


def test_the_sandbox_is_reported(settings, transactional_db):
    settings.EMAIL_PROVIDER_URL = settings.PUSH_PROVIDER_URL = "sandbox://"
    found = visit()
    assert "emails are marked as sent and reach no recipient" in found.sentence("email", "warning")
    assert "pushes are marked as sent and reach no recipient" in found.sentence("push", "warning")


# --- Texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "public", "level", "sentence"),
    [
        ("", "", "skipped", "SMS_PROVIDER_URL is not set: messages by SMS wait."),
        ("fax://x", "", "wrong", "SMS_PROVIDER_URL can't be used: a provider's URL must begin with one of"),
        ("sandbox://", "", "warning", "The setting names the sandbox: messages by SMS"),
        (f"twilio://AC{'0' * 32}?key_file=/absent&from=ACME", "", "wrong", "The account twilio can't be used"),
        (f"twilio://AC{'0' * 32}?key=k&from=ACME", "", "warning", "has nowhere to report to"),
        (f"twilio://AC{'0' * 32}?key=k&from=ACME", "https://n.example.com", "ok", "can be used; nothing was sent."),
    ],
)  # fmt: skip
def test_whether_an_account_of_texts_can_be_used(url, public, level, sentence, settings, transactional_db):
    settings.SMS_PROVIDER_URL, settings.PUBLIC_URL = url, public
    assert sentence in visit().sentence("sms", level)
