"""The SMTP client: pooled connections, one recipient a transaction, the next message pipelined.

May import the modules of `channels` that do without Django, and `notifier.lib`.
Must not import Django, nor send a message again once its final dot may have gone out.
"""
