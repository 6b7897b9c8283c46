"""Twilio as a provider: `twilio://`."""

from django.conf import settings

from apps.notifications.channels.provider import ProviderKind
from apps.notifications.channels.sms.providers.gateway import Gateway, secret_of
from apps.notifications.channels.sms.providers.twilio.provider import TwilioDialect
from apps.notifications.channels.sms.providers.twilio.settings import TwilioSettings
from apps.notifications.channels.tracking import EventsReader


def _make(name: str, own: TwilioSettings) -> Gateway:
    report_to = f"{settings.PUBLIC_URL}/api/v1/providers/{name}/events/" if settings.PUBLIC_URL else ""
    dialect = TwilioDialect(own, secret_of(own.key, own.key_file), report_to)
    return Gateway(name, dialect, timeout=own.timeout)


def _events(own: TwilioSettings) -> EventsReader:
    # Only here: what sends needs nothing of it.
    from apps.notifications.channels.sms.providers.twilio.events import TwilioEvents

    return TwilioEvents(own)


KIND = ProviderKind(
    name="twilio", schemes=("twilio",), settings_from_url=TwilioSettings.from_url, make=_make, events=_events
)
