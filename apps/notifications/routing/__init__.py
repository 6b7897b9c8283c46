"""Which provider account may send: the accounts of the settings, circuit breakers and rate limits.

May import `queue` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not know a delivery or set its status: its answer is a permit, a wait or an `Outcome` that defers the message.
"""
