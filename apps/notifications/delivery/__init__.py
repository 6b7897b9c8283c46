"""How a worker sends: claim, recheck eligibility, render, route, send, record; its journal and crash recovery.

May import `operations` and every room below it, the apps `templates` and `users`, and `notifier.lib`.
Must not import DRF, set a status itself, or hold a transaction or a database connection while a provider works.
"""
