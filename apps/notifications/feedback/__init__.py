"""What providers report after a send: services' tracking events and bounces that come by mail.

May import `transitions` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not import DRF or set a status itself: it stores each report once and applies it through `transitions`.
"""
