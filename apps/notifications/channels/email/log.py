"""The log of emails: a row for each delivery."""

from django.db import models

from apps.notifications.models.deliveries import Delivery
from notifier.channels.email import EMAIL


class EmailLog(Delivery):
    channel = EMAIL.code
    RECIPIENT = "email"
    ERASED = {"email": ""}

    email = models.EmailField(max_length=254, blank=True)


LOG = EmailLog
