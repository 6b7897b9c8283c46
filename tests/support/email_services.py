"""Tracking events of email services: bodies in their formats, with their signatures."""

import base64
import hashlib
import hmac
import json
import time

SECRETS = {
    "postmark": "postmark:a-password-of-postmark",
    "brevo": "brevo:a-password-of-brevo-here",
    "sparkpost": "sparkpost:a-password-of-sparkpost",
    "mailgun": "key-mailgun-signs-with-0001",
    "mailersend": "key-mailersend-signs-with-1",
    "resend": "whsec_" + base64.b64encode(b"resend's own signing key").decode(),
}
KINDS = ("delivered", "hard", "policy", "soft", "delayed", "complained", "opened", "clicked")
NO_SUCH_USER = "5.1.1 The email account that you tried to reach does not exist."
POLICY = "5.7.1 Our system has detected that this message is likely unsolicited."


def url_of(service, **options):
    secret = SECRETS[service].replace("+", "%2B")
    option = "webhook_secret" if ":" in secret else "webhook_key"
    return f"{service}://?key=k&{option}={secret}" + "".join(f"&{k}={v}" for k, v in options.items())


class Service:
    """Posts through `client` an event about the delivery with `delivery_id` (sent as metadata) or `message_id`."""

    def __init__(self, name, client, *, account=None, secret=None):
        self.name = name
        self.client = client
        self.account = account or name
        self.secret = SECRETS[name] if secret is None else secret

    def tell(self, kind, *, delivery_id=None, message_id="id-of-the-service", number=1):
        """`number`: another one is another event of the same kind."""
        metadata = {"delivery_id": str(delivery_id)} if delivery_id else {}
        return self.send(BODIES[self.name](kind, metadata, message_id, number), number=f"{kind}-{number}")

    def send(self, body, *, number="1", **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.generic(
            "POST",
            f"/api/v1/providers/{self.account}/events/",
            raw,
            content_type="application/json",
            headers={**self.headers(raw, number), **headers},
        )

    def headers(self, raw, number):
        if ":" in self.secret:
            return {"Authorization": "Basic " + base64.b64encode(self.secret.encode()).decode()}
        if self.name == "mailersend":
            return {"Signature": hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()}
        if self.name == "resend":
            now = int(time.time())
            key = base64.b64decode(self.secret.removeprefix("whsec_"))
            signed = f"msg_{number}.{now}.".encode() + raw
            signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            return {
                "svix-id": f"msg_{number}",
                "svix-timestamp": str(now),
                "svix-signature": f"v1,bm90aGluZw== v1,{signature}",
            }
        return {}


def _postmark(kind, metadata, message_id, number):
    record, bounce = {
        "delivered": ("Delivery", None),
        "hard": ("Bounce", "HardBounce"),
        "policy": ("Bounce", "HardBounce"),
        "soft": ("Bounce", "SoftBounce"),
        "delayed": ("Bounce", "Transient"),
        "complained": ("SpamComplaint", "SpamComplaint"),
        "opened": ("Open", None),
        "clicked": ("Click", None),
    }.get(kind, (kind, None))
    body = {
        "RecordType": record,
        "MessageID": message_id,
        "Metadata": metadata,
        "Recipient": "ada@example.com",
        "ReceivedAt": f"2026-04-27T16:21:{number:02}.2493688-04:00",
    }
    if bounce:
        detail = {"policy": f"smtp;550-{POLICY}", "hard": f"smtp;550 {NO_SUCH_USER}"}.get(
            kind, "smtp;451 Later"
        )
        body |= {"ID": 901542550 + number, "Type": bounce, "Details": detail, "Email": "ada@example.com"}
    return body


def _mailgun(kind, metadata, message_id, number):
    event, severity, reason, code, detail = {
        "delivered": ("delivered", None, None, 250, "OK"),
        "hard": ("failed", "permanent", "bounce", 550, NO_SUCH_USER),
        "policy": ("failed", "permanent", "bounce", 550, POLICY),
        "soft": ("failed", "temporary", "generic", 452, "4.2.2 Mailbox full"),
        "delayed": ("failed", "temporary", "greylisted", 450, "Greylisted"),
    }.get(kind, (kind, None, None, None, ""))
    now = str(int(time.time()))
    token = hashlib.sha256(f"{kind}{number}".encode()).hexdigest()[:50]
    data = {
        "event": event,
        "timestamp": time.time(),
        "message": {"headers": {"message-id": message_id.strip("<>"), "to": "ada@example.com"}},
        "recipient": "ada@example.com",
        "user-variables": metadata,
        "delivery-status": {"code": code, "message": detail, "description": ""},
        **({"severity": severity} if severity else {}),
        **({"reason": reason} if reason else {}),
    }
    signed = hmac.new(SECRETS["mailgun"].encode(), f"{now}{token}".encode(), hashlib.sha256).hexdigest()
    return {"signature": {"timestamp": now, "token": token, "signature": signed}, "event-data": data}


def _resend(kind, metadata, message_id, number):
    event, bounce = {
        "hard": ("bounced", {"type": "Permanent", "subType": "General", "message": NO_SUCH_USER}),
        "policy": ("bounced", {"type": "Permanent", "subType": "General", "message": f"550 {POLICY}"}),
        "soft": ("bounced", {"type": "Transient", "subType": "MailboxFull", "message": "Full."}),
        "delayed": ("delivery_delayed", None),
    }.get(kind, (kind, None))
    data = {
        "email_id": message_id,
        "to": ["ada@example.com"],
        "headers": [{"name": "X-Metadata", "value": json.dumps(metadata)}],
        **({"bounce": bounce} if bounce else {}),
    }
    return {"type": f"email.{event}", "created_at": "2026-09-28T17:19:44.823Z", "data": data}


def _mailersend(kind, metadata, message_id, number):
    event = {
        "hard": "hard_bounced",
        "policy": "hard_bounced",
        "soft": "soft_bounced",
        "complained": "spam_complaint",
    }
    detail = f"550 {POLICY}" if kind == "policy" else f"550 {NO_SUCH_USER}"
    return {
        "type": f"activity.{event.get(kind, kind)}",
        "data": {
            "id": f"{kind}-{number}",
            "type": event.get(kind, kind),
            "created_at": "2026-02-27T23:27:18.000000Z",
            "email": {"message": {"id": message_id}, "recipient": {"email": "ada@example.com"}},
            **({"morph": {"object": "recipient_bounce", "reason": detail}} if kind in event else {}),
        },
    }


def _brevo(kind, metadata, message_id, number):
    event = {
        "hard": "hard_bounce", "policy": "hard_bounce", "soft": "soft_bounce", "delayed": "deferred",
        "complained": "spam", "opened": "unique_opened", "clicked": "click",
    }  # fmt: skip
    return {
        "event": event.get(kind, kind),
        "email": "ada@example.com",
        "message-id": message_id,
        "ts_epoch": 1534486682000 + number,
        "X-Mailin-custom": json.dumps(metadata),
        "reason": f"550 {POLICY if kind == 'policy' else NO_SUCH_USER}",
    }


def _sparkpost(kind, metadata, message_id, number):
    event, bounce_class = {
        "delivered": ("delivery", None),
        "hard": ("bounce", "10"),
        "policy": ("bounce", "10"),
        "soft": ("bounce", "22"),
        "delayed": ("delay", "22"),
        "complained": ("spam_complaint", None),
        "opened": ("open", None),
        "clicked": ("click", None),
    }.get(kind, (kind, None))
    data = {
        "type": event,
        "event_id": f"{kind}-{number}",
        "timestamp": "1460989507",
        "transmission_id": message_id,
        "rcpt_meta": metadata,
        "raw_reason": f"550 {POLICY if kind == 'policy' else NO_SUCH_USER}",
        **({"bounce_class": bounce_class} if bounce_class else {}),
    }
    return [{"msys": {"message_event": data}}]


BODIES = {
    "postmark": _postmark,
    "mailgun": _mailgun,
    "resend": _resend,
    "mailersend": _mailersend,
    "brevo": _brevo,
    "sparkpost": _sparkpost,
}
