"""The table of emails."""

from django.db import models


class Mail(models.Model):
    """An email to send."""

    email = models.EmailField()
    name = models.CharField(max_length=100)
    order = models.CharField(max_length=100)
    status = models.CharField(max_length=16, default="queued")
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.email
