"""Twilio's Messages API on loopback: it refuses what Twilio refuses, and signs its posts as Twilio does."""

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qsl, urlencode

from tests.support.webhook_receiver import Receiver, Say

ACCOUNT = "AC" + "0f" * 16
TOKEN = "5f3c-auth-token-of-the-account"
SENDER = "+15005550006"
PUBLIC_URL = "https://notify.example.com"


def says(http, **body):
    return _says(http, body)


def _says(status, body):
    return Say(status, (("Content-Type", "application/json"),), json.dumps(body).encode())


def error(status, code, message):
    more = f"https://www.twilio.com/docs/errors/{code}"
    return _says(status, {"code": code, "message": message, "more_info": more, "status": status})


class Twilio:
    """`texts`: the fields of those that it took. `refuse`: its answer to a number instead."""

    def __init__(self):
        self.texts = []
        self.refuse = {}
        self.receiver = Receiver(keeps=True)
        self.receiver.choose = self.answer

    def __enter__(self):
        self.receiver.__enter__()
        return self

    def __exit__(self, *error):
        self.receiver.__exit__(*error)

    @property
    def url(self):
        base = self.receiver.url.partition("/hooks")[0]
        return f"twilio://{ACCOUNT}?key={TOKEN}&from={SENDER}&api_url={base}"

    def answer(self, call):
        expected = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if call.path != f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return error(404, 20404, f"The requested resource {call.path} was not found")
        if call.headers.get("authorization") != expected:
            return error(401, 20003, "Authenticate")
        if call.headers.get("content-type") != "application/x-www-form-urlencoded":
            return error(400, 21602, "Message body is required.")
        fields = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        if not re.fullmatch(r"\+[1-9]\d{6,14}", fields.get("To", "")):
            return error(400, 21211, f"Invalid 'To' Phone Number: {fields.get('To')}")
        if fields.get("From") != SENDER:
            return error(400, 21606, "The 'From' phone number is not yours.")
        if not fields.get("Body"):
            return error(400, 21602, "Message body is required.")
        if len(fields["Body"]) > 1600:
            return error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        if not 1 <= int(fields.get("ValidityPeriod", 1)) <= 36000:
            return error(400, 21609, "ValidityPeriod is out of range")
        if fields["To"] in self.refuse:
            return self.refuse[fields["To"]]
        self.texts.append(fields)
        return says(201, sid=f"SM{len(self.texts):032x}", status="queued", num_segments="1", error_code=None)


def signature(path, fields, *, token=TOKEN, public=PUBLIC_URL):
    signed = public + path + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def report(client, fields, *, name="twilio", **signing):
    """Twilio's post of these fields; the answer."""
    path = f"/api/v1/providers/{name}/events/"
    return client.post(
        path,
        urlencode(fields),
        content_type="application/x-www-form-urlencoded",
        headers={"x-twilio-signature": signature(path, fields, **signing)},
    )
