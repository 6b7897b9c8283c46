"""The SMTP client as a provider: `smtp://` and `smtps://`."""

from apps.notifications.channels.email.providers.smtp.provider import SmtpProvider
from apps.notifications.channels.email.providers.smtp.settings import SmtpSettings
from apps.notifications.channels.provider import Capabilities, ProviderKind

KIND = ProviderKind(
    name="smtp",
    schemes=("smtp", "smtps"),
    settings_from_url=SmtpSettings.from_url,
    make=SmtpProvider,
    # Where the relay itself doesn't offer SMTPUTF8, the outcome says so.
    capabilities=Capabilities(pipelines=True, smtputf8=True),
)
