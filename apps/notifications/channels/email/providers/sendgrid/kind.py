"""SendGrid as a provider: `sendgrid://`."""

from apps.notifications.channels.email.providers.anymail.kind import kind_of
from apps.notifications.channels.email.providers.anymail.public_keys import is_elliptic
from apps.notifications.channels.email.providers.anymail.service import AnymailService

KIND = kind_of(
    AnymailService(
        name="sendgrid",
        smtputf8=False,
        # Its answers have no body. A 200 is one of its sandbox mode: valid, and not sent.
        accepts_with=202,
        verified_by="webhook_key",
        is_secret=is_elliptic,
    )
)
