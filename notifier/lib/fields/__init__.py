"""Checked values: serializer fields, model and form fields, and query parameters, all refusing what they don't know.

May import Django, the REST framework, drf-spectacular and `notifier.lib`.
Must not import an app or look up rows.
"""
