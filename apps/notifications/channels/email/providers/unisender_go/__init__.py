"""Unisender Go: what its API's account needs, and how its tracking events are read.

May import the rest of `channels`, django-anymail and `notifier.lib`.
Must not store anything or send by itself: the room `anymail` does what all services have in common.
"""
