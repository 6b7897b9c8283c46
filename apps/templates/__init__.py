"""Message templates: their versions, authoring, rendering and HTTP API.

May import `apps.users` and `notifier.lib`. Inside, a package imports only the layers below it: api, authoring,
models, credentials, declarations, rendering, html, liquid. Must not import `apps.notifications` or `apps.admin`,
nor send anything.
"""
