"""Admin pages where template versions, layouts and partials are written, previewed and published.

May import `lists`, `apps.templates` and `apps.users`. Must not change a stored version, or validate contents by
rules of its own: `apps.templates.authoring` does.
"""
