"""The ways by which email is sent, a folder each: `smtp` to a relay, the others through a service's HTTP API.

`registry` lists them; `anymail` is no way of its own, but what most services have in common.

May import the rest of `channels` and `notifier.lib`.
Must not retry, fail over or read the database: one call of `send` is one attempt, and returns an `Outcome`.
"""
