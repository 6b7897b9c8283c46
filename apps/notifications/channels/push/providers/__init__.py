"""The ways by which push is sent, a folder each. `registry` lists them.

May import the rest of `channels` and `notifier.lib`.
Must not retry, fail over or read the database: one call of `send` is one attempt, and returns an `Outcome`.
"""
