"""The OpenAPI document: operation names, descriptions, examples and error responses, and the view that serves it.

May import `notifier.http`, the settings, `notifier.lib` and the apps.
Must not change what the API does: it describes the views.
"""
