import pytest
from django.db.models.functions import Now

from apps.notifications.models import Callback, from_now
from tests.support.webhook_calls import put
from tests.support.webhook_receiver import Receiver


@pytest.fixture
def loopback(settings):
    """Allows callbacks to this machine."""
    settings.CALLBACK_ALLOWED_HOSTS = ["127.0.0.1", "localhost"]


@pytest.fixture
def hooks():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def secret(api, hooks, loopback):
    """Sets the receiver as the organization's endpoint; returns its secret."""
    return put(api, hooks.url)["secret"]


@pytest.fixture
def retry(_republisher):
    """Makes every waiting callback due, and does the scheduler's work once."""

    def now():
        Callback.objects.filter(status="queued").update(due_at=Now(), created_at=from_now(-60))
        _republisher.republish()

    return now


@pytest.fixture
def certified(tmp_path):
    """A self-signed certificate for hooks.example, and its file."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "hooks.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
