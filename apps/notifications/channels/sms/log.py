"""The log of texts: a row for each delivery to a phone number."""

from django.db import models

from apps.notifications.models.deliveries import Delivery
from notifier.channels.sms import SMS


class SmsLog(Delivery):
    channel = SMS.code
    RECIPIENT = "phone"
    ERASED = {"phone": ""}

    phone = models.CharField(max_length=16, blank=True)

    class Meta(Delivery.Meta):
        verbose_name = "SMS log"


LOG = SmsLog
