"""Tracking events of email services, with their signatures."""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qsl, quote, urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.conf import settings

from tests.support.event_bodies import BODIES, MAILGUN_KEY, UNISENDER_AUTH

PRIVATE_KEYS = {}
"""By the text of the public key, as a service shows it."""


def shown_key(private_key):
    der = private_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b64encode(der).decode()
    PRIVATE_KEYS[text] = private_key
    return text


SECRETS = {
    "postmark": "postmark:a-password-of-postmark",
    "brevo": "brevo:a-password-of-brevo-here",
    "sparkpost": "sparkpost:a-password-of-sparkpost",
    "mailjet": "mailjet:a-password-of-mailjet",
    "mailgun": MAILGUN_KEY,
    "mailersend": "key-mailersend-signs-with-1",
    "mailtrap": "key-mailtrap-signs-with-001",
    "mandrill": "key-mandrill-signs-with-001",
    "unisender_go": "key-of-the-account-at-unisender",
    "resend": "whsec_" + base64.b64encode(b"resend's own signing key").decode(),
    "sendgrid": shown_key(ec.generate_private_key(ec.SECP256R1())),
    "postal": shown_key(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
}
NEEDED = {
    "amazon_ses": {"region": "eu-west-1"},
    "postal": {"api_url": "https://postal.example.com"},
    "scaleway": {"project_id": "77ff06f5-6de5-46f2-92fd-a86c1397e0d0"},
    "unisender_go": {"api_url": "https://go2.unisender.ru/ru/transactional/api/v1"},
}
"""Options without which there is no account."""
KEYS = {"amazon_ses": "k:s", "mailjet": "k:s"}


def account_url(service, key="", **options):
    """`service`: the name of its kind."""
    options = {"key": key or KEYS.get(service, "k"), **NEEDED.get(service, {}), **options}
    return f"{service.replace('_', '-')}://?" + "&".join(
        f"{name}={quote(str(value), safe=':/')}" for name, value in options.items()
    )


def url_of(service, **options):
    """An account that takes events."""
    secret = SECRETS[service]
    return account_url(service, **{"webhook_secret" if ":" in secret else "webhook_key": secret}, **options)


class Service:
    """Posts through `client` an event about the delivery with `delivery_id` (sent as metadata) or `message_id`."""

    def __init__(self, name, client, *, account=None, secret=None):
        self.name = name
        self.client = client
        self.account = account or name
        self.secret = SECRETS[name] if secret is None else secret
        self.path = f"/api/v1/providers/{self.account}/events/"

    def tell(self, kind, *, delivery_id=None, message_id="id-of-the-service", number=1):
        """`number`: another one is another event of the same kind."""
        metadata = {"delivery_id": str(delivery_id)} if delivery_id else {}
        return self.send(BODIES[self.name](kind, metadata, message_id, number), number=f"{kind}-{number}")

    def send(self, body, *, number="1", **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        content_type = "application/json"
        if self.name == "mandrill":
            content_type = "application/x-www-form-urlencoded"
            raw = urlencode({"mandrill_events": raw}).encode()
        elif self.name == "unisender_go":
            place = UNISENDER_AUTH.encode()
            signature = hashlib.md5(
                raw.replace(place, self.secret.encode()), usedforsecurity=False
            ).hexdigest()
            raw = raw.replace(place, signature.encode())
        return self.client.generic(
            "POST",
            self.path,
            raw,
            content_type=content_type,
            headers={**self.headers(raw, number), **headers},
        )

    def headers(self, raw, number):
        if ":" in self.secret:
            return {"Authorization": "Basic " + base64.b64encode(self.secret.encode()).decode()}
        sign = getattr(self, f"_{self.name}", None)
        return sign(raw, number) if sign else {}

    def _mailersend(self, raw, number):
        return {"Signature": hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()}

    def _mailtrap(self, raw, number):
        return {"Mailtrap-Signature": hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()}

    def _resend(self, raw, number):
        now = int(time.time())
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = f"msg_{number}.{now}.".encode() + raw
        signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return {
            "svix-id": f"msg_{number}",
            "svix-timestamp": str(now),
            "svix-signature": f"v1,bm90aGluZw== v1,{signature}",
        }

    def _mandrill(self, raw, number):
        base = settings.PUBLIC_URL or "http://testserver"
        fields = sorted(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
        signed = (base + self.path + "".join(name + value for name, value in fields)).encode()
        return {
            "X-Mandrill-Signature": base64.b64encode(
                hmac.digest(self.secret.encode(), signed, "sha1")
            ).decode()
        }

    def _sendgrid(self, raw, number):
        now = str(int(time.time()))
        signature = PRIVATE_KEYS[self.secret].sign(now.encode() + raw, ec.ECDSA(hashes.SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": now,
        }

    def _postal(self, raw, number):
        signature = PRIVATE_KEYS[self.secret].sign(raw, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        return {"X-Postal-Signature": base64.b64encode(signature).decode()}
