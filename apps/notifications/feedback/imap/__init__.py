"""Bounces in an IMAP folder: its URL, a connection that nothing can stall or flood, and the reading.

May import `feedback` beside it and every room below that.
Must not apply an event itself, nor change a mail at the server before its event is committed.
"""
