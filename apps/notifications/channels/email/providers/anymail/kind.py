"""A service's declaration as a provider."""

from collections.abc import Callable
from functools import partial
from importlib import import_module

from apps.notifications.channels.email.providers.anymail.provider import AnymailProvider
from apps.notifications.channels.email.providers.anymail.service import AnymailService
from apps.notifications.channels.email.providers.anymail.settings import AnymailSettings
from apps.notifications.channels.provider import Capabilities, ProviderKind
from apps.notifications.channels.tracking import EventsReader

_FOLDER = __name__.removesuffix(".anymail.kind")


def kind_of(
    service: AnymailService, make: Callable[[str, AnymailSettings], AnymailProvider] = AnymailProvider
) -> ProviderKind[AnymailSettings]:
    return ProviderKind(
        name=service.name,
        schemes=(service.scheme,),
        settings_from_url=partial(AnymailSettings.from_url, service=service),
        make=make,
        capabilities=Capabilities(smtputf8=service.smtputf8),
        events=_reader if service.verified_by else None,
    )


def _reader(settings: AnymailSettings) -> EventsReader:
    # Imported by what reads posts, and by nothing that sends: the library's views are Django views.
    reader: EventsReader = import_module(f"{_FOLDER}.{settings.service.name}.events").Events(settings)
    return reader
