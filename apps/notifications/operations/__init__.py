"""Maintenance: erasing a person, deleting in batches, purging, reconciling, reviewing suppressions.

May import `acceptance` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not import DRF, print, or hold a long transaction: work goes in small batches, and callers report progress.
"""
