"""A worker on the push queue."""

from apps.notifications.management.consuming import ConsumeCommand
from notifier.channels.push import PUSH


class Command(ConsumeCommand):
    help = "Run a worker on the push queue until it is stopped."
    channel = PUSH.code
