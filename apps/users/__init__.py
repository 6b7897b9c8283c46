"""People, organizations and credentials: whom messages go to, who may ask for them, and what each person allows.

May import `notifier.lib` and itself: it is the lowest of the apps.
Must not import templates, notifications or admin, nor what composes the apps (URLs, settings, OpenAPI).
"""
