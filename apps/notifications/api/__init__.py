"""The HTTP API of notifications: routes, serializers, views and the query behind the list.

May import every room of this app but `management`, the rooms of `templates` and `users`, and `notifier.lib`.
Must not decide what happens to a delivery: views validate, call the room that decides, and serialize.
"""
