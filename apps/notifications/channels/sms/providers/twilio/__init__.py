"""Twilio: its Messages API, what its answers mean, and the posts by which it reports and passes on replies.

May import the rest of `channels` and `notifier.lib`.
Must not store anything: what it reads of a post, `feedback` applies.
"""
