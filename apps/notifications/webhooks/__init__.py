"""Callbacks to the organizations: webhook events, signing, posting, retries, endpoints, and the events exchange.

May import `routing` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not change a delivery's status, or post inside a transaction: `transitions` announces what it has changed.
"""
