"""Scripted far ends on loopback, one for each provider, for the suite that every provider passes.

    with FAR_ENDS["resend"]("email", tmp_path) as far_end:
        far_end.cut()
        provider = kind.make("x", kind.settings_from_url(far_end.url()))

A new provider has an entry in `FAR_ENDS`: a subclass of `FarEnd`. One that speaks HTTP needs no more than
`HttpFarEnd` with its own answers, a service that django-anymail sends for no more than `ServiceFarEnd`.
"""

import json
import threading
from base64 import b64decode, b64encode
from contextlib import ExitStack
from email import message_from_bytes, policy
from functools import partial
from urllib.parse import quote, unquote_plus, urlsplit
from uuid import uuid4

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import rsa

from apps.notifications.channels.email.message import EmailMessage
from apps.notifications.channels.push.message import PushMessage
from apps.notifications.channels.sms.message import SmsMessage
from notifier.local.fcm import FcmStandIn
from tests.support.email_services import SECRETS
from tests.support.smtp_server import Do, Drip, ScriptedSmtpServer, Stall
from tests.support.webhook_receiver import Call, Receiver, Say

KEY = "Xy7+kQ2v/vB9uR3=mZ4cN5-wT6pL8"
EVENT_KEY = "hG5-jW1r.qD8sF4_zM7tK3"
JSON = (("Content-Type", "application/json"),)
DRIPS_FOR = 1.5
"""Seconds that a far end takes for an answer of which it sends an octet at a time."""


def says(status, body=b"", headers=JSON):
    return Say(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def email(number, refused, to):
    to = to or f"{'gone' if refused else 'kim'}-{number}@example.com"
    return EmailMessage(f"<{uuid4()}@sender.test>", "news@sender.test", to, "Hi", "<p>Hi", "Hi")


def push(number, refused, to):
    to = to or f"{'gone' if refused else 'kim'}-{number}-APA91bHun4MxP5egoKMwt2KZFBaFUH"
    return PushMessage(str(uuid4()), to, "Hello", "World")


def sms(number, refused, to):
    return SmsMessage(str(uuid4()), to or f"+1415555{'9' if refused else '0'}{number:03}", "Hello")


MESSAGES = {"email": email, "push": push, "sms": sms}


class FarEnd:
    """`impatient`: settings with which the provider waits half a second for an answer. `bounds_drips`: the provider
    bounds the whole answer, not only each silence in it. `remote`: it is reached by a connection.

    `requests`: how many sends it saw begin; `committed`: how many it may have taken.
    """

    impatient: dict = {}
    bounds_drips = True
    remote = True
    requests = committed = 0

    def __init__(self, channel, folder):
        self.channel, self.folder = channel, folder
        self.stack = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def message(self, number=1, *, refused=False, to=None):
        """A message that it takes; or one that it refuses for good, because of its recipient."""
        return MESSAGES[self.channel](number, refused, to)

    def url(self, port=None):
        """An account's; `port`: of another server than this one."""
        raise NotImplementedError

    def secrets(self):
        """What must stand in no detail, no repr and no error: of the URL, and in what forms it went over the wire."""
        return []

    def misconfigure(self):
        """It refuses the account, and repeats what it was sent."""

    def echo(self):
        """Other refusals that repeat what they were sent: a setter each."""
        return []

    def cut(self):
        """It takes the message, and breaks the connection."""

    def stall(self):
        """It takes the message, and says nothing."""

    def drip(self):
        """It takes the message, and answers an octet at a time, for `DRIPS_FOR` seconds."""

    def babble(self, octets):
        """It takes the message, answers exactly these octets, and breaks the connection."""

    def hang_up(self):
        """It ends the connections that are idle."""

    def heard(self):
        """The last message as it arrived, decoded."""
        raise NotImplementedError


class HttpFarEnd(FarEnd):
    """`accepted`, `refused`: its own answers."""

    accepted: Say
    refused: Say

    def __enter__(self):
        self.server = self.stack.enter_context(Receiver(keeps=True))
        self.released = threading.Event()
        self.stack.callback(self.released.set)
        self.server.choose = self.choose
        self.port = urlsplit(self.server.url).port
        return self

    def choose(self, call):
        return self.refused if self.refuses(call.body) else self.accepting(call)

    def refuses(self, body):
        return b"gone-" in body

    def accepting(self, call):
        return self.accepted

    @property
    def requests(self):
        return len(self.server.calls)

    @property
    def committed(self):
        return len(self.server.calls)

    def always(self, say):
        self.server.choose = lambda _: say

    def cut(self):
        self.always(Say(cut=True))

    def stall(self):
        self.always(Say(hold=self.released, cut=True))

    def drip(self):
        self.always(Say(drip=0.1, drip_for=DRIPS_FOR))

    def babble(self, octets):
        self.always(Say(raw=octets) if octets else Say(cut=True))

    def repeat(self, status):
        def answer(call: Call):
            return says(status, {"message": " ".join((*call.headers.values(), KEY))})

        self.server.choose = answer

    def misconfigure(self):
        self.repeat(401)

    def echo(self):
        return [partial(self.repeat, status) for status in (200, 302, 400, 403, 422, 429, 500)]

    def hang_up(self):
        self.server.hang_up()

    def heard(self):
        body = self.server.calls[-1].body
        if body.startswith(b"{"):
            return json.dumps(json.loads(body), ensure_ascii=False)
        return unquote_plus(body.decode())

    def sent_secrets(self):
        """What the requests signed in with."""
        return [
            value.split()[-1]
            for call in self.server.calls[-1:]
            for name, value in call.headers.items()
            if name == "authorization"
        ]


class ServiceFarEnd(HttpFarEnd):
    """A service that django-anymail sends for."""

    name = ""
    key = KEY
    needed = ""
    """Further options that its URL must have."""
    events = ""
    """The URL's option that verifies its tracking events, with what that may be."""
    impatient = {"timeout": 0.5}
    # requests, which the library sends with, waits for each octet anew.
    bounds_drips = False

    def url(self, port=None):
        scheme = self.name.replace("_", "-")
        url = f"{scheme}://?key={quote(self.key, safe='')}&api_url=http://127.0.0.1:{port or self.port}/"
        return "&".join(filter(None, (url, self.needed, self.events)))

    def secrets(self):
        return [KEY, self.events.partition("=")[2].rpartition(":")[2], *self.sent_secrets()]


BASIC = f"webhook_secret=me:{EVENT_KEY}"
SIGNED = f"webhook_key={EVENT_KEY}"


class AmazonSes(ServiceFarEnd):
    """It computes the signature anew of what it was sent, as the real one does."""

    name, needed = "amazon_ses", "region=eu-west-1"
    key = f"AKIAIOSFODNN7EXAMPLE:{KEY}"
    accepted = says(200, {"MessageId": "0102018f-ses-1"})
    refused = says(
        400,
        {"message": "Missing final '@domain'"},
        headers=(*JSON, ("x-amzn-errortype", "BadRequestException")),
    )
    unsigned = says(
        403,
        {"message": "The request signature we calculated does not match the signature you provided."},
        headers=(*JSON, ("x-amzn-errortype", "SignatureDoesNotMatch")),
    )

    def accepting(self, call):
        return self.accepted if self.is_signed(call) else self.unsigned

    def heard(self):
        octets = b64decode(json.loads(self.server.calls[-1].body)["Content"]["Raw"]["Data"])
        message = message_from_bytes(octets, policy=policy.default)
        return "\n".join((*map(": ".join, message.items()), message.get_body(("plain",)).get_content()))

    def is_signed(self, call):
        sent = call.headers
        _, _, parameters = sent["authorization"].partition(" ")
        given = dict(one.split("=", 1) for one in parameters.split(", "))
        user, secret = self.key.split(":")
        signer = SigV4Auth(Credentials(user, secret), "ses", "eu-west-1")
        request = AWSRequest(
            "POST",
            f"http://{sent['host']}{call.path}",
            headers={name: sent[name] for name in given["SignedHeaders"].split(";")},
            data=call.body,
        )
        request.context["timestamp"] = sent["x-amz-date"]
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return given["Signature"] == signer.signature(text, request)


class Brevo(ServiceFarEnd):
    name, events = "brevo", BASIC
    accepted = says(201, {"messageId": "<br-1@smtp-relay.mailin.fr>"})
    refused = says(400, {"code": "invalid_parameter", "message": "email is not valid in to"})


class MailerSend(ServiceFarEnd):
    name, events = "mailersend", SIGNED
    accepted = says(202, headers=(("Content-Type", "text/html"), ("X-Message-Id", "ms-1")))
    refused = says(422, {"message": "The to.0.email must be valid.", "errors": {"to.0.email": ["invalid"]}})


class Mailgun(ServiceFarEnd):
    name, events = "mailgun", SIGNED
    accepted = says(200, {"id": "<mg-1@sender.test>", "message": "Queued. Thank you."})
    refused = says(400, {"message": "to parameter is not a valid address. please check documentation"})


class Mailjet(ServiceFarEnd):
    name, events = "mailjet", BASIC
    key = f"b0a1f2c3:{KEY}"
    refused = says(
        400,
        {
            "Messages": [
                {
                    "Status": "error",
                    "Errors": [{"ErrorCode": "mj-0013", "StatusCode": 400, "ErrorMessage": "invalid email"}],
                }
            ]
        },
    )

    def accepting(self, call):
        to = json.loads(call.body)["Messages"][0]["To"][0]["Email"]
        sent = {"Email": to, "MessageUUID": "mj-1", "MessageID": 456}
        return says(200, {"Messages": [{"Status": "success", "To": [sent]}]})


class Mailtrap(ServiceFarEnd):
    name, events = "mailtrap", SIGNED
    accepted = says(200, {"success": True, "message_ids": ["mt-1"]})
    refused = says(400, {"success": False, "errors": ["'to' address is invalid"]})


class Mandrill(ServiceFarEnd):
    """It has the key in the request's body."""

    name, events = "mandrill", SIGNED
    refused = says(
        500, {"status": "error", "code": -2, "name": "ValidationError", "message": "message.to: invalid"}
    )

    def accepting(self, call):
        to = json.loads(call.body)["message"]["to"][0]["email"]
        return says(200, [{"email": to, "status": "sent", "_id": "md-1", "reject_reason": None}])

    def misconfigure(self):
        error = {"status": "error", "code": -1, "name": "Invalid_Key", "message": f"Invalid API key {KEY}"}
        self.always(says(500, error))


class Postal(ServiceFarEnd):
    """It answers errors with a 200."""

    name, events = "postal", f"webhook_key={quote(SECRETS['postal'], safe='')}"
    refused = says(200, {"status": "parameter-error", "flags": {}, "data": {"message": "`to` is invalid"}})

    def accepting(self, call):
        (to,) = json.loads(call.body)["to"]
        data = {"message_id": "x@rp.postal.test", "messages": {to: {"id": 1563, "token": "zw6psSlgo6ki"}}}
        return says(200, {"status": "success", "time": 0.1, "flags": {}, "data": data})

    def misconfigure(self):
        error = {
            "code": "InvalidServerAPIKey",
            "message": f"The API token {KEY} was not valid.",
            "token": KEY,
        }
        self.always(says(200, {"status": "error", "time": 0.0, "flags": {}, "data": error}))


class Postmark(ServiceFarEnd):
    name, events = "postmark", BASIC
    refused = says(422, {"ErrorCode": 300, "Message": "Invalid 'To' address: 'gone'."})

    def accepting(self, call):
        to = json.loads(call.body)["To"]
        return says(200, {"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "To": to})


class Resend(ServiceFarEnd):
    name, events = "resend", "webhook_key=whsec_" + b64encode(b"%7Jq!xZp4&Lw9*Vd2").decode()
    accepted = says(200, {"id": "re-1"})
    refused = says(422, {"statusCode": 422, "name": "validation_error", "message": "Invalid `to` field."})


class Scaleway(ServiceFarEnd):
    name, needed = "scaleway", "project_id=77ff06f5-6de5-46f2-92fd-a86c1397e0d0"
    refused = says(400, {"type": "invalid_arguments", "message": "invalid argument(s)", "details": []})

    def accepting(self, call):
        to = json.loads(call.body)["to"][0]["email"]
        return says(200, {"emails": [{"id": "scw-1", "status": "new", "mail_rcpt": to}]})


class SendGrid(ServiceFarEnd):
    name, events = "sendgrid", f"webhook_key={quote(SECRETS['sendgrid'], safe='')}"
    refused = says(400, {"errors": [{"message": "Does not contain a valid address.", "field": "to"}]})

    def accepting(self, call):
        to = json.loads(call.body)["personalizations"][0]["to"][0]["email"]
        return says(202, headers=(("X-Message-Id", "sg-1"),)) if to.isascii() else self.refused


class SparkPost(ServiceFarEnd):
    name, events = "sparkpost", BASIC
    accepted = says(
        200, {"results": {"total_accepted_recipients": 1, "total_rejected_recipients": 0, "id": "sp-1"}}
    )
    refused = says(400, {"errors": [{"message": "invalid recipient", "code": "5002"}]})


class UnisenderGo(ServiceFarEnd):
    name, events = "unisender_go", SIGNED
    refused = says(400, {"status": "error", "code": 204, "message": "No valid recipients"})

    def accepting(self, call):
        to = json.loads(call.body)["message"]["recipients"][0]["email"]
        return says(200, {"status": "success", "job_id": "1ZymBc-00041N-9X", "emails": [to]})


FCM_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Fcm(HttpFarEnd):
    """Google's sign-in is a server of its own, and works."""

    impatient = {"read_timeout": 0.5}
    accepted = says(200, {"name": "projects/demo/messages/1"})
    refused = says(
        404,
        {
            "error": {
                "code": 404,
                "status": "NOT_FOUND",
                "message": "Requested entity was not found.",
                "details": [
                    {
                        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                        "errorCode": "UNREGISTERED",
                    }
                ],
            }
        },
    )

    def __enter__(self):
        super().__enter__()
        sign_in = self.stack.enter_context(FcmStandIn("demo", key=FCM_KEY))
        self.account = sign_in.write_service_account(self.folder / "account.json")
        return self

    def url(self, port=None):
        return f"fcm://demo/?credentials={self.account}&base_url=http://127.0.0.1:{port or self.port}"

    def secrets(self):
        return self.sent_secrets()


class SmsFarEnd(HttpFarEnd):
    impatient = {"timeout": 0.5}

    def refuses(self, body):
        return b"14155559" in body


class Twilio(SmsFarEnd):
    accepted = says(
        201, {"sid": "SM" + "0" * 32, "status": "queued", "num_segments": "1", "error_code": None}
    )
    refused = says(400, {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400})

    def url(self, port=None):
        key = quote(KEY, safe="")
        return f"twilio://AC{'0' * 32}?key={key}&from=%2B15005550006&api_url=http://127.0.0.1:{port or self.port}"

    def secrets(self):
        return [KEY, *self.sent_secrets()]


class Webhook(SmsFarEnd):
    """A gateway of the operator's own."""

    secret = b64encode(b"%7Jq!xZp4&Lw9*Vd2hK").decode()
    accepted = says(202, {"id": "gw-1"})
    refused = says(422, {"code": "number_invalid", "message": "no such number"})

    def url(self, port=None):
        secret = quote(self.secret, safe="")
        return f"http://127.0.0.1:{port or self.port}/sms?tenant=7&secret=whsec_{secret}"

    def secrets(self):
        return [self.secret]

    def repeat(self, status):
        def answer(call: Call):
            return says(status, {"message": " ".join((*call.headers.values(), f"whsec_{self.secret}"))})

        self.server.choose = answer


class Smtp(FarEnd):
    impatient = {"dot_timeout": 0.5}

    def __enter__(self):
        gone = {self.message(n, refused=True).to: {"rcpt": "550 5.1.1 no such user"} for n in range(100)}
        self.server = self.stack.enter_context(
            ScriptedSmtpServer(
                capabilities=("PIPELINING", "8BITMIME", "SMTPUTF8", "AUTH PLAIN LOGIN"), recipients=gone
            )
        )
        return self

    def url(self, port=None):
        port = port or urlsplit(self.server.url).port
        return f"smtp://me:{quote(KEY, safe='')}@127.0.0.1:{port}/?tls=none"

    def secrets(self):
        return [KEY, b64encode(KEY.encode()).decode(), b64encode(f"\0me\0{KEY}".encode()).decode()]

    @property
    def requests(self):
        return len(self.server.lines("MAIL"))

    @property
    def committed(self):
        return len(self.server.messages)

    def misconfigure(self):
        self.server.scripts["auth"] = f"535 5.7.8 refused: {' '.join(self.secrets())}"

    def cut(self):
        self.server.scripts["dot"] = (Do.TAKE, Do.CLOSE)

    def stall(self):
        self.server.scripts["dot"] = (Do.TAKE, Stall())

    def drip(self):
        self.server.scripts["dot"] = (Drip(b"250 " + b"x" * int(DRIPS_FOR / 0.1), 0.1), Do.CLOSE)

    def babble(self, octets):
        # The server takes a message by itself where it accepts it.
        accepts = octets[:1] == b"2" and octets[:3].isdigit() and len(octets) > 4
        self.server.scripts["dot"] = (octets, Do.CLOSE) if accepts else (Do.TAKE, octets, Do.CLOSE)

    def hang_up(self):
        self.server.hang_up()

    def heard(self):
        return " ".join(self.server.messages[-1].recipients)


class Sandbox(FarEnd):
    """There is none."""

    remote = False

    def url(self, port=None):
        return "sandbox://"

    def message(self, number=1, *, refused=False, to=None):
        if refused:
            to = {
                "email": f"permfail+{number}@sandbox.test",
                "push": f"sandbox-permfail-{number}",
                "sms": "+15005550104",
            }[self.channel]
        return super().message(number, to=to)


FAR_ENDS = {
    "smtp": Smtp,
    "amazon_ses": AmazonSes,
    "brevo": Brevo,
    "mailersend": MailerSend,
    "mailgun": Mailgun,
    "mailjet": Mailjet,
    "mailtrap": Mailtrap,
    "mandrill": Mandrill,
    "postal": Postal,
    "postmark": Postmark,
    "resend": Resend,
    "scaleway": Scaleway,
    "sendgrid": SendGrid,
    "sparkpost": SparkPost,
    "unisender_go": UnisenderGo,
    "fcm": Fcm,
    "twilio": Twilio,
    "webhook": Webhook,
    "sandbox": Sandbox,
}
"""By the kind's name."""
