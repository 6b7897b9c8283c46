"""The log of pushes: a row for each delivery to a device."""

from django.db import models

from apps.notifications.models.deliveries import Delivery
from apps.users.models import Device
from notifier.channels.push import PUSH
from notifier.lib.database.encryption import EncryptedTextField


class PushLog(Delivery):
    channel = PUSH.code
    RECIPIENT = "token"
    ERASED = {"token": "", "device": None}

    device = models.ForeignKey(Device, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    token = EncryptedTextField(blank=True)


LOG = PushLog
