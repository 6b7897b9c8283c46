"""Amazon SES as a provider: `amazon-ses://`."""

from importlib import import_module

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.provider import AnymailProvider
from apps.notifications.channels.email.providers.anymail.service import AnymailService
from apps.notifications.channels.email.providers.anymail.settings import AnymailSettings

_PROVIDER = __name__.removesuffix("kind") + "provider"


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
    ),
    make=_make,
)
