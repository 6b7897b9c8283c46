"""The scheduler's loop (`manage.py tick`): publishes due rows that no worker was woken for, and frees lapsed leases.

May import `delivery` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not import DRF, send a message or set a status itself: it wakes workers, and uses `transitions` and `webhooks`.
"""
