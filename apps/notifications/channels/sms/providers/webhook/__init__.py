"""Any gateway: a text is posted as signed JSON to a URL of the operator's, who passes it on.

May import the rest of `channels` and `notifier.lib`.
Must not store anything: what it reads of a post, `feedback` applies.
"""
