"""The HTTP API of notifications: routes, serializers, views and the query behind the list.

May import every room of this app but `management`, the rooms of `templates` and `users`, and `notifier.lib`.
Must not hold business rules or change a row by itself: views validate, call the room that decides, and serialize.
"""
