"""A worker on the email queue."""

from apps.notifications.management.consuming import ConsumeCommand
from notifier.channels.email import EMAIL


class Command(ConsumeCommand):
    help = "Run a worker on the email queue until it is stopped."
    channel = EMAIL.code
