"""Any gateway as a provider: a URL of the operator's own, `https://`."""

from apps.notifications.channels.provider import ProviderKind
from apps.notifications.channels.sms.providers.gateway import Gateway, secret_of
from apps.notifications.channels.sms.providers.webhook.provider import WebhookDialect
from apps.notifications.channels.sms.providers.webhook.settings import WebhookSettings, checked
from apps.notifications.channels.tracking import EventsReader


def _make(name: str, own: WebhookSettings) -> Gateway:
    secret = secret_of(own.secret, own.secret_file)
    return Gateway(name, WebhookDialect(own, secret, checked(secret)), timeout=own.timeout)


def _events(own: WebhookSettings) -> EventsReader:
    # Only here: what sends needs nothing of it.
    from apps.notifications.channels.sms.providers.webhook.events import WebhookEvents

    return WebhookEvents(own)


KIND = ProviderKind(
    name="webhook",
    schemes=("https", "http"),
    settings_from_url=WebhookSettings.from_url,
    make=_make,
    events=_events,
)
