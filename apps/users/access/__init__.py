"""Access control: authentication, sessions, permissions, rate limits and quotas of the callers of the API.

May import `apps.users.models` and what is below it, and `notifier.lib`.
Must not import the views, the preferences or the management commands above it, nor send anything.
"""
