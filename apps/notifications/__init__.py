"""Notifications: accepted, sent, retried, explained. Each package is a room, named for a step of a message's way.

May import templates, users and `notifier.lib`. A room imports only rooms below it; pyproject.toml has their order.
Must not import the admin, nor what composes the project; a rule must not stand in two rooms.
"""
