"""A worker on the push queue."""

from apps.notifications.management.consuming import ConsumeCommand
from apps.users.channels import Channel


class Command(ConsumeCommand):
    help = "Run a worker on the push queue until it is stopped."
    channel = Channel.PUSH
