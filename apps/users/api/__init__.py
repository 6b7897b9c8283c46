"""The REST API of people, devices, preferences, categories, API keys, sessions and the audit log.

May import every other package of `apps.users` but the management commands, and `notifier.lib`.
Must not hold a rule that the admin or a command also needs: those are in `access`, `preferences` and `models`.
"""
