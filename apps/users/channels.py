"""The channels of delivery: email and push."""

from django.db import models


class Channel(models.TextChoices):
    """A way to reach a person. Every channel has a delivery log, a provider and a transactional queue."""

    EMAIL = "email", "Email"
    PUSH = "push", "Push"
