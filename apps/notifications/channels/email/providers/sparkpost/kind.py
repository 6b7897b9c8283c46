"""SparkPost as a provider: `sparkpost://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(AnymailService(name="sparkpost", verified_by="webhook_secret"))
