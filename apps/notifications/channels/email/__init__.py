"""Email: the message's bytes, DKIM, list headers, and what a refusal by a mail server means.

May import what `channels` may; `mime` and `dkim` do without Django.
Must not open a connection (the providers do), nor suppress an address: it only says whether one is dead.
"""
