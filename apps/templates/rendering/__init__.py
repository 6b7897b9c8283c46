"""Rendering: a content's sources and the variables become the text of one message.

May import `html` and `liquid`. Must not import Django, read the database or send anything.
"""
