"""Amazon SES as a provider: `amazon-ses://`."""

from importlib import import_module

import requests

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.provider import AnymailProvider
from apps.notifications.channels.email.providers.anymail.service import AnymailService
from apps.notifications.channels.email.providers.anymail.settings import AnymailSettings

_PROVIDER = __name__.removesuffix("kind") + "provider"
_STATUSES = {
    # The account's, whatever the message.
    "AccountSuspendedException": 403,
    "MailFromDomainNotVerifiedException": 403,
    "SendingPausedException": 403,
    # Its rate or its day's quota.
    "LimitExceededException": 429,
    "ThrottlingException": 429,
}


def _status_of(response: requests.Response) -> int:
    """SES answers most errors with a 400, and names them in a header, which may go on with `:` and a URL."""
    if response.status_code != 400:
        return 0
    error = response.headers.get("x-amzn-errortype", "").partition(":")[0]
    if error == "MessageRejected" and b"not verified" in response.content:
        # The sender's address or domain; or the account is still in SES's sandbox, and it is the recipient's.
        return 403
    return _STATUSES.get(error, 0)


def _make(name: str, settings: AnymailSettings) -> AnymailProvider:
    # boto3 takes a tenth of a second to import; only those who send through it wait for it.
    provider: AnymailProvider = import_module(_PROVIDER).AmazonSesProvider(name, settings)
    return provider


KIND = kind_of(
    AnymailService(
        name="amazon_ses",
        key="aws_access_key_id:aws_secret_access_key",
        options=frozenset({"configuration_set_name"}),
        required=frozenset({"region"}),
        smtputf8=False,
        status_of=_status_of,
    ),
    make=_make,
)
