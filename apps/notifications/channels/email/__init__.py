"""Email: the message's bytes, its headers and return path, DKIM, and what a refusal by a mail server means.

May import what `channels` may; `mime` and `dkim` do without Django.
Must not open a connection (the providers do), nor suppress an address: it only says whether one is dead.
"""
