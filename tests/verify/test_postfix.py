"""Through a real Postfix: every mail arrives once, and bounces are understood."""

import json
import re
import subprocess
import sys
from collections import Counter
from io import StringIO

import pytest
from django.core.management import call_command

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.models import Suppression
from apps.notifications.routing import accounts
from scripts.private_services.process import free_port
from tests.conftest import post, wait_until
from tests.environment import ROOT
from tests.support.bounce_reader import environment
from tests.support.smtp_server import ScriptedSmtpServer
from tests.verify.postfix import Postfix, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
MAILS = 500


@pytest.fixture
def remote():
    """The server behind the relay, which refuses a message only after the relay has accepted it."""
    with ScriptedSmtpServer() as server:
        yield server


@pytest.fixture
def postfix(remote, settings, organization):
    with Postfix(free_port(), remote.port) as relay:
        settings.EMAIL_PROVIDER_URL = f"smtp://127.0.0.1:{relay.port}/?tls=none"
        settings.BOUNCE_ADDRESS = "bounces@sender.test"
        settings.EMAIL_FROM = "Shop, Inc. <shop@sender.test>"
        accounts.close_all()
        yield relay
        accounts.close_all()


def arrived(postfix, box="inbox"):
    return list((postfix.maildir(box) / "new").iterdir())


@pytest.mark.usefixtures("version", "worker")
def test_five_hundred_mails_arrive_once_each(postfix, api):
    for start in range(0, MAILS, 100):
        items = [
            {
                "recipient": {"email": f"person{number}@inbox.test"},
                "template_code": "hello",
                "variables": {"name": f"Person {number}"},
                "channels": ["email"],
            }
            for number in range(start, start + 100)
        ]
        answer = api.post("/api/v1/notifications/batch/", {"notifications": items})
        assert answer.json()["data"]["accepted"] == 100
    wait_until(lambda: EmailLog.objects.filter(status="sent").count() == MAILS, seconds=120)
    wait_until(lambda: len(arrived(postfix)) >= MAILS, seconds=120, seen=lambda: postfix.log()[-2000:])

    ids, recipients = Counter(), Counter()
    for mail in arrived(postfix):
        octets = mail.read_bytes()
        ids[re.search(rb"^Message-ID: <([^@>]+)@sender.test>", octets, re.MULTILINE)[1].decode()] += 1
        recipients[re.search(rb"^Delivered-To: (\S+)", octets, re.MULTILINE)[1].decode()] += 1
        assert re.search(rb"^Return-Path: <bounces\+[0-9a-f]{44}@sender.test>", octets, re.MULTILINE)
    assert ids == Counter(str(pk) for pk in EmailLog.objects.values_list("pk", flat=True))
    assert recipients == Counter(f"person{number}@inbox.test" for number in range(MAILS))


BOUNCES = {
    "gone@remote.test": ("550 5.1.1 <gone@remote.test>: User unknown", True),
    "bare@remote.test": ("550 no such user here", True),
    "listed@remote.test": ("550 the sending address is on a block list", False),
    "policy@remote.test": ("554 5.7.1 refused for our policy", False),
    "full@remote.test": ("552 5.2.2 over quota", False),
    "fast@remote.test": ("550 5.2.1 this person gets mail too fast just now", False),
}


@pytest.mark.usefixtures("version", "worker")
def test_its_bounces_come_back(postfix, remote, api):
    for address, (reply, _) in BOUNCES.items():
        remote.recipients[address] = {"rcpt": reply}
        assert post(api, recipient={"email": address}, channels=["email"]).status_code == 202
    # A mailbox that it knows to be nobody's is refused while the session lasts.
    assert post(api, recipient={"email": "nobody@inbox.test"}, channels=["email"]).status_code == 202
    wait_until(lambda: EmailLog.objects.filter(status="sent").count() == len(BOUNCES), seconds=60)
    wait_until(lambda: EmailLog.objects.filter(status="failed").count() == 1, seconds=60)
    wait_until(
        lambda: len(arrived(postfix, "bounces")) == len(BOUNCES),
        seconds=120,
        seen=lambda: postfix.log()[-2000:],
    )

    out = StringIO()
    call_command("read_bounces", str(postfix.maildir("bounces")), "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"read": len(BOUNCES), "bounced": len(BOUNCES)}
    assert EmailLog.objects.filter(status="bounced").count() == len(BOUNCES)
    suppressed = set(Suppression.objects.active().values_list("recipient", flat=True))
    assert suppressed == {address for address, (_, gone) in BOUNCES.items() if gone} | {"nobody@inbox.test"}


def runs(python, packages):
    """Whether the user whom Postfix pipes to can run our command by it."""
    try:
        tried = subprocess.run(
            [python, "-c", "import django, psycopg, redis.asyncio"],
            cwd=ROOT, env={"PYTHONPATH": packages}, user="nobody", group="nogroup", extra_groups=[],
            capture_output=True, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return tried.returncode == 0


@pytest.mark.usefixtures("version", "worker")
def test_its_bounces_are_piped_in_and_wait_while_the_database_is_away(postfix, remote, api, settings):
    packages = ":".join(path for path in sys.path if "site-packages" in path)
    # The one of these tests may be in its owner's home.
    python = next((one for one in (sys.executable, "/usr/bin/python3") if runs(one, packages)), None)
    if python is None:
        pytest.skip("The user nobody can't run our command.")
    settings.BOUNCE_ADDRESS = "piped@sender.test"
    names = ("DATABASE_URL", "BROKER_URL", "REDIS_URL", "BOUNCE_ADDRESS", "HASH_KEY", "ENCRYPTION_KEYS")
    names += ("SECRET_KEY", "JWT_SIGNING_KEY", "EMAIL_FROM", "DEBUG")
    ours = {
        name: value
        for name, value in environment(BOUNCE_ADDRESS="piped@sender.test").items()
        if name in names
    }
    ours |= {"PYTHON": python, "PYTHONPATH": packages}
    postfix.use({**ours, "DATABASE_URL": f"postgres://nobody@127.0.0.1:{free_port()}/none"})
    remote.recipients["gone@remote.test"] = {"rcpt": "550 5.1.1 User unknown"}
    assert post(api, recipient={"email": "gone@remote.test"}, channels=["email"]).status_code == 202
    wait_until(lambda: "status=deferred" in postfix.log(), seconds=120, seen=lambda: postfix.log()[-2000:])
    assert "Not read, try again later" in postfix.log()
    assert EmailLog.objects.get().status == "sent"

    postfix.use(ours)
    postfix.flush()
    wait_until(
        lambda: EmailLog.objects.get().status == "bounced", seconds=120, seen=lambda: postfix.log()[-2000:]
    )
    wait_until(
        lambda: "relay=notifier" in postfix.log() and "delivered via notifier" in postfix.log(), seconds=30
    )
    assert Suppression.objects.active().get().recipient == "gone@remote.test"
