"""RabbitMQ: what is declared there, the publisher, a worker's consumer, and that of the dead-letter queue `failed`.

May import `channels` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not be relied upon for delivery, or decide anything about a row: a message only wakes a worker for due rows.
"""
