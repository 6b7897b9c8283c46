"""HTTP between this host and others: a bounded client, its address guard, callers' addresses, Retry-After.

May import Django's settings and `notifier.lib`; the client itself imports no Django.
Must not know of a provider, a receiver or an endpoint.
"""
