"""Metrics: what is counted, and the page that adds up all processes of a host.

May import `models` and `errors` of this app, and `notifier.lib`.
Must not import DRF, fail or block a send, or label a series with an id, an address or a token.
"""
