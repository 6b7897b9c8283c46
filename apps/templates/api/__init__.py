"""The HTTP API of templates, layouts and partials.

May import every other package of this app, `apps.users`, Django REST framework and `notifier.lib`. Must not hold
rules about contents (they belong in `authoring`), and no other layer of this app imports it.
"""
