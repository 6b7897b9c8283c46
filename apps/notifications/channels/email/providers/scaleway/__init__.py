"""Scaleway: what its API's account needs.

May import the rest of `channels`, django-anymail and `notifier.lib`.
Must not store anything or send by itself: the room `anymail` does what all services have in common.
"""
