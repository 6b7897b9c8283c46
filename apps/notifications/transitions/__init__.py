"""The only place where a delivery's status changes, and what follows: timeline, retries, dead letters, suppressions.

May import `webhooks` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not import DRF or send a message: each change is one conditional UPDATE, by the tables in `models.statuses`.
"""
