"""The operators' web admin and the `doctor` command.

May import every other app and `notifier.lib`; no other app imports it. Must not hold business rules: its pages and
checks call the same functions as the API and the workers.
"""
