"""Admin pages for notifications, delivery logs, dead letters, suppressions, webhooks and provider states.

May import `lists`, `apps.notifications` and `apps.users`. Must not show an unmasked address or token, or change a
delivery other than through `apps.notifications`.
"""
