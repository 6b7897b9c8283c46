"""From a caller's request to stored rows: planning, idempotency, backpressure and group commit.

May import `feedback` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not import DRF or send anything itself: it stores rows, and publishes their ids after the commit.
"""
