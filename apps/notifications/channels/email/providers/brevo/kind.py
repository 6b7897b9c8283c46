"""Brevo as a provider: `brevo://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(AnymailService(name="brevo", verified_by="webhook_secret"))
