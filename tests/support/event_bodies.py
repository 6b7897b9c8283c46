"""Bodies of email services' tracking events, in their formats."""

import hashlib
import hmac
import json
import time

MAILGUN_KEY = "key-mailgun-signs-with-0001"
UNISENDER_AUTH = "(of the whole)"
"""Where the signature of the body stands in it."""
KINDS = ("delivered", "hard", "policy", "soft", "delayed", "complained", "opened", "clicked")
NO_SUCH_USER = "5.1.1 The email account that you tried to reach does not exist."
POLICY = "5.7.1 Our system has detected that this message is likely unsolicited."


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
    signed = hmac.new(MAILGUN_KEY.encode(), f"{now}{token}".encode(), hashlib.sha256).hexdigest()
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


def _sendgrid(kind, metadata, message_id, number):
    event, fields = {
        "hard": ("bounce", {"type": "bounce", "status": "5.1.1", "reason": f"550 {NO_SUCH_USER}"}),
        "policy": ("bounce", {"type": "bounce", "status": "5.7.1", "reason": f"550 {POLICY}"}),
        "soft": ("bounce", {"type": "blocked", "reason": "452 4.2.2 Mailbox full"}),
        "delayed": ("deferred", {"response": "450 Later", "attempt": "1"}),
        "complained": ("spamreport", {}),
        "opened": ("open", {"useragent": "Mozilla", "sg_machine_open": True}),
        "clicked": ("click", {"url": "https://example.com/", "url_offset": {"index": 0, "type": "html"}}),
        "unsubscribed": ("group_unsubscribe", {"asm_group_id": 10}),
        "rejected": ("dropped", {"type": "bounce", "reason": "Bounced Address", "status": "5.0.0"}),
    }.get(kind, (kind, {}))
    return [
        {
            "event": event,
            "email": "ada@example.com",
            "timestamp": 1461095250,
            "category": ["codes"],
            "smtp-id": "<wrfRRvF7Q0GgwUo2CvDmEA@ismtpd0006p1sjc2.sendgrid.net>",
            "sg_event_id": f"{kind}-{number}",
            "sg_message_id": "wrfRRvF7Q0GgwUo2CvDmEA.filter0425p1mdw1.13037.57168B4A1D.0",
            "anymail_id": message_id,
            **fields,
            **metadata,
        }
    ]


def _mailjet(kind, metadata, message_id, number):
    event, fields = {
        "delivered": ("sent", {"smtp_reply": "sent (250 2.0.0 OK)"}),
        "hard": (
            "bounce",
            {"blocked": False, "hard_bounce": True, "error_related_to": "recipient", "error": "user unknown"},
        ),
        "policy": (
            "bounce",
            {
                "hard_bounce": True,
                "error_related_to": "spam",
                "error": "policy issue",
                "comment": f"550 {POLICY}",
            },
        ),
        "soft": ("bounce", {"hard_bounce": False, "error": "quota exceeded"}),
        "delayed": ("bounce", {"hard_bounce": False, "error_related_to": "domain", "error": "greylisted"}),
        "complained": ("spam", {"source": "JMRPP"}),
        "opened": ("open", {"agent": "Mozilla", "geo": "EU"}),
        "clicked": ("click", {"url": "https://example.com/"}),
        "unsubscribed": ("unsub", {"mj_list_id": 0, "agent": "List-Unsubscribe"}),
        "rejected": ("blocked", {"error_related_to": "mailjet", "error": "preblocked"}),
    }.get(kind, (kind, {}))
    return {
        "event": event,
        "time": 1433333900 + number,
        "MessageID": message_id,
        "Message_GUID": "1ab23cd4-e567-8901-2345-6789f0gh1i2j",
        "email": "ada@example.com",
        "mj_campaign_id": 1234567890,
        "customcampaign": "",
        "Payload": json.dumps(metadata) if metadata else "",
        **fields,
    }


def _mandrill(kind, metadata, message_id, number):
    event, fields = {
        "delivered": ("delivered", {}),
        "hard": ("hard_bounce", {"bounce_description": "bad_mailbox", "diag": f"smtp;550 {NO_SUCH_USER}"}),
        "policy": ("hard_bounce", {"bounce_description": "bad_mailbox", "diag": f"smtp;550 {POLICY}"}),
        "soft": ("soft_bounce", {"bounce_description": "mailbox_full", "diag": "smtp;452 4.2.2 Full"}),
        "delayed": ("deferral", {"diag": "smtp;450 Later"}),
        "complained": ("spam", {}),
        "opened": ("open", {"opens": [{"ts": 1461095242}]}),
        "clicked": ("click", {}),
        "unsubscribed": ("unsub", {}),
        "rejected": ("reject", {"reject": {"reason": "hard-bounce"}}),
    }.get(kind, (kind, {}))
    message = {"email": "ada@example.com", "state": "sent", "metadata": metadata, "_id": message_id}
    return [{"event": event, "_id": message_id, "ts": 1461095246 + number, "msg": message | fields}]


def _mailtrap(kind, metadata, message_id, number):
    event, fields = {
        "delivered": ("delivery", {}),
        "hard": ("bounce", {"response": f"bounced (550 {NO_SUCH_USER})", "response_code": 550}),
        "policy": ("bounce", {"response": f"bounced (550 {POLICY})", "bounce_category": "spam"}),
        "soft": ("soft bounce", {"response": "soft bounce (452 4.2.2 Full)", "response_code": 452}),
        "delayed": ("suspension", {"reason": "other"}),
        "complained": ("spam", {}),
        "opened": ("open", {"ip": "192.0.2.1", "user_agent": "Mozilla"}),
        "clicked": ("click", {"url": "https://example.com/"}),
        "unsubscribed": ("unsubscribe", {}),
        "rejected": ("reject", {"reason": "recipient is suppressed"}),
    }.get(kind, (kind, {}))
    data = {
        "event": event,
        "timestamp": 1498093527,
        "sending_stream": "transactional",
        "custom_variables": metadata,
        "message_id": message_id,
        "email": "ada@example.com",
        "event_id": f"{kind}-{number}",
        **fields,
    }
    return {"events": [data]}


def _postal(kind, metadata, message_id, number):
    message = {
        "id": message_id,
        "token": "zw6psSlgo6ki",
        "direction": "outgoing",
        "message_id": "c462ad36@rp.postal.example.com",
        "to": "ada@example.com",
        "tag": None,
    }
    failed = {"details": "Could not deliver", "sent_with_ssl": None, "time": None}
    event, payload = {
        "delivered": ("MessageSent", {"message": message, "status": "Sent", "output": "250 2.0.0 OK"}),
        "hard": (
            "MessageDeliveryFailed",
            {"message": message, "status": "HardFail", "output": f"550 {NO_SUCH_USER}", **failed},
        ),
        "policy": (
            "MessageDeliveryFailed",
            {"message": message, "status": "HardFail", "output": f"550 {POLICY}", **failed},
        ),
        "soft": ("MessageDelayed", {"message": message, "status": "SoftFail", "output": "452 4.2.2 Full"}),
        "delayed": ("MessageDelayed", {"message": message, "status": "SoftFail", "output": "450 Later"}),
        "opened": ("MessageLoaded", {"message": message, "user_agent": "Mozilla"}),
        "clicked": ("MessageLinkClicked", {"message": message, "url": "https://example.com/", "token": "x"}),
        # A bounce that came as mail: it may be about anything.
        "rejected": (
            "MessageBounced",
            {"original_message": message, "bounce": {"id": 7, "direction": "incoming"}},
        ),
    }.get(kind, (kind, {}))
    return {
        "event": event,
        "timestamp": 1606753101.354368,
        "payload": payload,
        "uuid": f"{kind}-{number}",
    }


def _unisender_go(kind, metadata, message_id, number):
    status, fields = {
        "hard": (
            "hard_bounced",
            {"delivery_status": "err_user_unknown", "destination_response": f"550 {NO_SUCH_USER}"},
        ),
        "policy": (
            "hard_bounced",
            {"delivery_status": "err_spam_rejected", "destination_response": f"550 {POLICY}"},
        ),
        "soft": ("soft_bounced", {"delivery_status": "err_mailbox_full", "destination_response": "452 Full"}),
        "delayed": (
            "soft_bounced",
            {"delivery_status": "err_will_retry", "destination_response": "450 Later"},
        ),
        "complained": ("spam", {}),
        "rejected": ("hard_bounced", {"delivery_status": "err_unsubscribed"}),
    }.get(kind, (kind, {}))
    data = {
        "job_id": "1a3Q2V-0000OZ-S0",
        "metadata": {"anymail_id": message_id, **metadata},
        "email": "ada@example.com",
        "status": status,
        "event_time": f"2015-11-30 15:09:{number:02}",
        **({"delivery_info": fields} if fields else {}),
    }
    event = {"event_name": "transactional_email_status", "event_data": data}
    return {"auth": UNISENDER_AUTH, "events_by_user": [{"user_id": 456, "events": [event]}]}


BODIES = {
    "postmark": _postmark,
    "mailgun": _mailgun,
    "resend": _resend,
    "mailersend": _mailersend,
    "brevo": _brevo,
    "sparkpost": _sparkpost,
    "sendgrid": _sendgrid,
    "mailjet": _mailjet,
    "mandrill": _mandrill,
    "mailtrap": _mailtrap,
    "postal": _postal,
    "unisender_go": _unisender_go,
}
