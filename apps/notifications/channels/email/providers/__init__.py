"""The ways by which email is sent: `smtp` to a relay, `esp` through a service's HTTP API.

May import the rest of `channels` and `notifier.lib`.
Must not retry, fail over or read the database: one call of `send` is one attempt, and returns an `Outcome`.
"""
