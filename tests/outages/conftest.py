"""What the fault tests share: a deployed system on private services, and counts of what arrived."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection

from apps.notifications.channels.email.log import EmailLog
from apps.notifications.channels.push.log import PushLog
from apps.users.models import Organization
from scripts.private_services.rabbit import PrivateRabbit
from tests.conftest import OrganizationFactory
from tests.support.factories import key_for, template_with
from tests.support.smtp_server import ScriptedSmtpServer
from tests.support.system import System


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    organization = OrganizationFactory(slug="acme")
    template_with(organization)
    return organization


@pytest.fixture
def key(acme: Organization) -> str:
    return key_for(acme)


@pytest.fixture(scope="module")
def rabbit() -> Iterator[PrivateRabbit]:
    with PrivateRabbit() as broker:
        yield broker


@pytest.fixture
def quiet_broker() -> Iterator[PrivateRabbit]:
    """A broker with nothing in it, that no worker of another test reads."""
    with PrivateRabbit() as broker:
        yield broker


@pytest.fixture
def make_system(
    transactional_db: None,
    tmp_path: Path,
    smtp: ScriptedSmtpServer,
    fcm: Any,
    settings: Any,
    quiet_broker: PrivateRabbit,
) -> Iterator[Callable[..., System]]:
    """A system on this test's database, relay and FCM; ends with the test."""
    made: list[System] = []

    def make(**fields: Any) -> System:
        system = System(
            tmp_path,
            database=connection.settings_dict["NAME"],
            **{
                "email_url": settings.EMAIL_PROVIDER_URL,
                "push_url": settings.PUSH_PROVIDER_URL,
                "broker_url": quiet_broker.url,
                **fields,
            },
        )
        made.append(system)
        return system

    yield make
    for system in made:
        system.__exit__(None, None, None)


def post_many(
    client: httpx.Client, count: int, body: Callable[[int], dict[str, Any]], threads: int = 16
) -> list[httpx.Response]:
    """Post `count` notifications from several connections at once; the answers, in order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda n: client.post("notifications/", json=body(n)), range(count)))


def to_address(n: int) -> dict[str, Any]:
    return {
        "recipient": {"email": f"person{n}@example.com"},
        "channels": ["email"],
        "template_code": "hello",
        "variables": {"name": f"Person {n}"},
        "request_id": f"request-{n}",
    }


def counts(model: type[EmailLog] | type[PushLog] = EmailLog) -> Counter[str]:
    return Counter(model.objects.values_list("status", flat=True))


def copies(server: ScriptedSmtpServer) -> Counter[str]:
    """How often each Message-ID was taken."""
    return Counter(str(message_from_bytes(mail.data)["Message-ID"]) for mail in server.wait_for(0))
