"""The ways by which texts are sent, a folder each; `gateway` is what they have in common.

May import the rest of `channels` and `notifier.lib`.
Must not retry, fail over or read the database: one call of `send` is one attempt, and returns an `Outcome`.
"""
